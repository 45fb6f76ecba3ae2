/**
 * Neighbouring grey tone difference features (Amadasun and King 1989; IBSI reference manual, section
 * 3.10) of a slice, under PyRadiomics' names and choices: the eight neighbours, those in the mask.
 */

import type { GreyLevels } from "./grey_levels.ts";

/** Names in the order of `ngtdmFeatures`' values. */
export const NGTDM_NAMES = [
  "Busyness",
  "Coarseness",
  "Complexity",
  "Contrast",
  "Strength",
] as const;

/** Features of a slice with at least one pixel inside its mask. */
export function ngtdmFeatures({ levels, height, width }: GreyLevels): number[] {
  const table = new Map<number, { count: number; difference: number }>();
  let valid = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const level = levels[y * width + x];
      if (level === 0) continue;
      let sum = 0, neighbours = 0;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const other = levels[v * width + u];
          if (other === 0 || (v === y && u === x)) continue;
          sum += other;
          neighbours++;
        }
      }
      const row = table.get(level) ?? { count: 0, difference: 0 };
      row.count++;
      // A pixel without neighbours counts, as one that differs from none: PyRadiomics has it so.
      if (neighbours > 0) row.difference += Math.abs(level - sum / neighbours);
      table.set(level, row);
      valid++;
    }
  }
  const rows = [...table].map(([i, { count, difference }]) => ({
    i,
    p: count / valid,
    s: difference,
  }));
  const differences = rows.reduce((sum, { s }) => sum + s, 0);
  const weighted = rows.reduce((sum, { p, s }) => sum + p * s, 0);
  let contrast = 0, busy = 0, complexity = 0, strength = 0;
  for (const a of rows) {
    for (const b of rows) {
      const apart = Math.abs(a.i - b.i);
      contrast += a.p * b.p * apart ** 2;
      busy += Math.abs(a.i * a.p - b.i * b.p);
      complexity += apart * (a.p * a.s + b.p * b.s) / (a.p + b.p);
      strength += (a.p + b.p) * apart ** 2;
    }
  }
  const pairs = rows.length * (rows.length - 1);
  const of: Record<typeof NGTDM_NAMES[number], number> = {
    Busyness: busy === 0 ? 0 : weighted / busy,
    Coarseness: weighted === 0 ? 1e6 : 1 / weighted,
    Complexity: complexity / valid,
    Contrast: pairs === 0 ? 0 : contrast * differences / valid / pairs,
    Strength: differences === 0 ? 0 : strength / differences,
  };
  return NGTDM_NAMES.map((name) => of[name]);
}
