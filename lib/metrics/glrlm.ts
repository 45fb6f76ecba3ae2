/**
 * Grey-level run-length features (Galloway 1975; IBSI reference manual, section 3.7) of a slice,
 * under PyRadiomics' names and choices: each of the four directions on its own, then their mean.
 */

import { EPSILON } from "./first_order.ts";
import { DIRECTIONS, type GreyLevels } from "./grey_levels.ts";

/** Names in the order of `glrlmFeatures`' values. */
export const GLRLM_NAMES = [
  "GrayLevelNonUniformity",
  "GrayLevelNonUniformityNormalized",
  "GrayLevelVariance",
  "HighGrayLevelRunEmphasis",
  "LongRunEmphasis",
  "LongRunHighGrayLevelEmphasis",
  "LongRunLowGrayLevelEmphasis",
  "LowGrayLevelRunEmphasis",
  "RunEntropy",
  "RunLengthNonUniformity",
  "RunLengthNonUniformityNormalized",
  "RunPercentage",
  "RunVariance",
  "ShortRunEmphasis",
  "ShortRunHighGrayLevelEmphasis",
  "ShortRunLowGrayLevelEmphasis",
] as const;

/** Mean over the four directions. */
export function glrlmFeatures(image: GreyLevels): number[] {
  const all = DIRECTIONS.map((step) => features(runs(image, step)));
  return GLRLM_NAMES.map((_, k) => all.reduce((sum, row) => sum + row[k], 0) / all.length);
}

interface Runs {
  /** For every grey level and length that occur together: level, length, number of runs. */
  cells: [level: number, length: number, count: number][];
  total: number;
  pixels: number;
}

/** Maximal runs of one grey level; the outside of the mask (level 0) ends a run. */
function runs(
  { levels, height, width }: GreyLevels,
  [down, right]: readonly [number, number],
): Runs {
  const counts = new Map<number, number>();
  const longest = Math.max(height, width) + 1;
  let total = 0, pixels = 0;
  const at = (y: number, x: number) =>
    y < 0 || y >= height || x < 0 || x >= width ? 0 : levels[y * width + x];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const level = at(y, x);
      if (level === 0 || at(y - down, x - right) === level) continue; // not where a run starts
      let length = 1;
      while (at(y + length * down, x + length * right) === level) length++;
      const key = level * longest + length;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      total++;
      pixels += length;
    }
  }
  const cells = [...counts].map((
    [key, count],
  ): Runs["cells"][number] => [Math.floor(key / longest), key % longest, count]);
  return { cells, total, pixels };
}

function features({ cells, total, pixels }: Runs): number[] {
  const byLevel = new Map<number, number>(), byLength = new Map<number, number>();
  for (const [level, length, count] of cells) {
    byLevel.set(level, (byLevel.get(level) ?? 0) + count);
    byLength.set(length, (byLength.get(length) ?? 0) + count);
  }
  const average = (of: (level: number, length: number) => number) =>
    cells.reduce((sum, [level, length, count]) => sum + of(level, length) * count, 0) / total;
  const squares = (counts: Map<number, number>) =>
    [...counts.values()].reduce((sum, count) => sum + count * count, 0);
  const meanLevel = average((level) => level), meanLength = average((_, length) => length);
  const of: Record<typeof GLRLM_NAMES[number], number> = {
    GrayLevelNonUniformity: squares(byLevel) / total,
    GrayLevelNonUniformityNormalized: squares(byLevel) / total ** 2,
    GrayLevelVariance: average((level) => (level - meanLevel) ** 2),
    HighGrayLevelRunEmphasis: average((level) => level ** 2),
    LongRunEmphasis: average((_, length) => length ** 2),
    LongRunHighGrayLevelEmphasis: average((level, length) => (level * length) ** 2),
    LongRunLowGrayLevelEmphasis: average((level, length) => (length / level) ** 2),
    LowGrayLevelRunEmphasis: average((level) => 1 / level ** 2),
    RunEntropy: -cells.reduce(
      (sum, [, , count]) => sum + count / total * Math.log2(count / total + EPSILON),
      0,
    ),
    RunLengthNonUniformity: squares(byLength) / total,
    RunLengthNonUniformityNormalized: squares(byLength) / total ** 2,
    RunPercentage: total / pixels,
    RunVariance: average((_, length) => (length - meanLength) ** 2),
    ShortRunEmphasis: average((_, length) => 1 / length ** 2),
    ShortRunHighGrayLevelEmphasis: average((level, length) => (level / length) ** 2),
    ShortRunLowGrayLevelEmphasis: average((level, length) => 1 / (level * length) ** 2),
  };
  return GLRLM_NAMES.map((name) => of[name]);
}
