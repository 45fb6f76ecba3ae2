/** How far readers agree, and how sure a share is. */

/** z of a 95 % interval. */
const Z = 1.959963984540054;

/** Wilson's score interval of a share, 95 %; [NaN, NaN] of nothing. */
export function wilson(successes: number, count: number): [low: number, high: number] {
  if (count === 0) return [NaN, NaN];
  const p = successes / count, z2 = Z * Z / count;
  const centre = p + z2 / 2, reach = Z * Math.sqrt(p * (1 - p) / count + z2 / (4 * count));
  return [(centre - reach) / (1 + z2), (centre + reach) / (1 + z2)].map((v) =>
    Math.min(1, Math.max(0, v))
  ) as [number, number];
}

/**
 * Fleiss' κ (1971): agreement beyond chance. Subjects may have different numbers of answers, so that
 * missing ones do no harm: those with fewer than two are left out, and with equal numbers it is
 * Fleiss' own.
 *
 * @param counts of each subject, how many readers gave each answer.
 * @returns κ; null where no subject has two answers, or all answers are the same one.
 */
export function fleissKappa(counts: readonly (readonly number[])[]): number | null {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const rated = counts.filter((row) => sum(row) >= 2);
  if (rated.length === 0) return null;
  const observed = sum(rated.map((row) => {
    const n = sum(row);
    return sum(row.map((v) => v * (v - 1))) / (n * (n - 1));
  })) / rated.length;
  const all = sum(rated.map(sum));
  const chance = sum(rated[0].map((_, k) => (sum(rated.map((row) => row[k])) / all) ** 2));
  return chance === 1 ? null : (observed - chance) / (1 - chance);
}
