/**
 * Grey-level size-zone features (Thibault 2013; IBSI reference manual, section 3.8) of a slice, under
 * PyRadiomics' names and choices: a zone is of one level, its pixels touch at sides or corners.
 */

import { EPSILON } from "./first_order.ts";
import type { GreyLevels } from "./grey_levels.ts";

/** Names in the order of `glszmFeatures`' values. */
export const GLSZM_NAMES = [
  "GrayLevelNonUniformity",
  "GrayLevelNonUniformityNormalized",
  "GrayLevelVariance",
  "HighGrayLevelZoneEmphasis",
  "LargeAreaEmphasis",
  "LargeAreaHighGrayLevelEmphasis",
  "LargeAreaLowGrayLevelEmphasis",
  "LowGrayLevelZoneEmphasis",
  "SizeZoneNonUniformity",
  "SizeZoneNonUniformityNormalized",
  "SmallAreaEmphasis",
  "SmallAreaHighGrayLevelEmphasis",
  "SmallAreaLowGrayLevelEmphasis",
  "ZoneEntropy",
  "ZonePercentage",
  "ZoneVariance",
] as const;

/** Calls `found` with the first pixel's level and the size of each zone of one level (0: outside). */
export function zones(
  { levels, height, width }: Pick<GreyLevels, "levels" | "height" | "width">,
  found: (level: number, size: number) => void,
): void {
  const seen = new Uint8Array(levels.length), stack: number[] = [];
  for (let start = 0; start < levels.length; start++) {
    const level = levels[start];
    if (level === 0 || seen[start]) continue;
    let size = 0;
    seen[start] = 1;
    stack.push(start);
    while (stack.length) {
      const at = stack.pop()!, y = Math.floor(at / width), x = at % width;
      size++;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const next = v * width + u;
          if (seen[next] || levels[next] !== level) continue;
          seen[next] = 1;
          stack.push(next);
        }
      }
    }
    found(level, size);
  }
}

/** Features of a slice with at least one pixel inside its mask. */
export function glszmFeatures(image: GreyLevels): number[] {
  const counts = new Map<string, { level: number; size: number; count: number }>();
  const byLevel = new Map<number, number>(), bySize = new Map<number, number>();
  let total = 0, pixels = 0;
  zones(image, (level, size) => {
    const key = `${level} ${size}`, cell = counts.get(key);
    if (cell) cell.count++;
    else counts.set(key, { level, size, count: 1 });
    byLevel.set(level, (byLevel.get(level) ?? 0) + 1);
    bySize.set(size, (bySize.get(size) ?? 0) + 1);
    total++;
    pixels += size;
  });
  const average = (of: (level: number, size: number) => number) => {
    let sum = 0;
    for (const { level, size, count } of counts.values()) sum += of(level, size) * count;
    return sum / total;
  };
  const squares = (table: Map<number, number>) =>
    table.values().reduce((sum, count) => sum + count * count, 0);
  const meanLevel = average((level) => level), meanSize = average((_, size) => size);
  const of: Record<typeof GLSZM_NAMES[number], number> = {
    GrayLevelNonUniformity: squares(byLevel) / total,
    GrayLevelNonUniformityNormalized: squares(byLevel) / total ** 2,
    GrayLevelVariance: average((level) => (level - meanLevel) ** 2),
    HighGrayLevelZoneEmphasis: average((level) => level ** 2),
    LargeAreaEmphasis: average((_, size) => size ** 2),
    LargeAreaHighGrayLevelEmphasis: average((level, size) => (level * size) ** 2),
    LargeAreaLowGrayLevelEmphasis: average((level, size) => (size / level) ** 2),
    LowGrayLevelZoneEmphasis: average((level) => 1 / level ** 2),
    SizeZoneNonUniformity: squares(bySize) / total,
    SizeZoneNonUniformityNormalized: squares(bySize) / total ** 2,
    SmallAreaEmphasis: average((_, size) => 1 / size ** 2),
    SmallAreaHighGrayLevelEmphasis: average((level, size) => (level / size) ** 2),
    SmallAreaLowGrayLevelEmphasis: average((level, size) => 1 / (level * size) ** 2),
    ZoneEntropy: -counts.values().reduce(
      (sum, { count }) => sum + count / total * Math.log2(count / total + EPSILON),
      0,
    ),
    ZonePercentage: total / pixels,
    ZoneVariance: average((_, size) => (size - meanSize) ** 2),
  };
  return GLSZM_NAMES.map((name) => of[name]);
}
