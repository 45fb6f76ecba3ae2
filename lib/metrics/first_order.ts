/**
 * First-order radiomic features (IBSI reference manual, section 3.3 and 3.4), under PyRadiomics'
 * names and choices.
 */

import { quantile } from "./statistics.ts";

/** numpy's spacing of 1, which PyRadiomics adds inside every logarithm. */
export const EPSILON = 2 ** -52;

/** Names in the order of `firstOrder`'s values. Total energy (energy × voxel volume) is left out. */
export const FIRST_ORDER_NAMES = [
  "10Percentile",
  "90Percentile",
  "Energy",
  "Entropy",
  "InterquartileRange",
  "Kurtosis",
  "Maximum",
  "MeanAbsoluteDeviation",
  "Mean",
  "Median",
  "Minimum",
  "Range",
  "RobustMeanAbsoluteDeviation",
  "RootMeanSquared",
  "Skewness",
  "Uniformity",
  "Variance",
] as const;

/**
 * @param values the pixels inside the mask, in HU
 * @param levels the same pixels' grey levels (see `discretise` of frd.ts)
 */
export function firstOrder(values: Float64Array, levels: Int32Array): number[] {
  const count = values.length, sorted = values.slice().sort();
  const average = (of: (value: number) => number) => {
    let sum = 0;
    for (const value of values) sum += of(value);
    return sum / count;
  };
  const mean = average((value) => value);
  const [m2, m3, m4] = [2, 3, 4].map((power) => average((value) => (value - mean) ** power));
  const p10 = quantile(sorted, 0.1), p90 = quantile(sorted, 0.9);
  const middle = sorted.filter((value) => value >= p10 && value <= p90);
  const middleMean = middle.reduce((sum, value) => sum + value, 0) / middle.length;
  const robust = middle.reduce((sum, value) => sum + Math.abs(value - middleMean), 0) /
    middle.length;

  const histogram = new Map<number, number>();
  for (const level of levels) histogram.set(level, (histogram.get(level) ?? 0) + 1);
  let entropy = 0, uniformity = 0;
  for (const n of histogram.values()) {
    const p = n / count;
    entropy -= p * Math.log2(p + EPSILON);
    uniformity += p * p;
  }
  const energy = average((value) => value * value) * count;
  const flat = m2 === 0;
  const of: Record<typeof FIRST_ORDER_NAMES[number], number> = {
    "10Percentile": p10,
    "90Percentile": p90,
    Energy: energy,
    Entropy: entropy,
    InterquartileRange: quantile(sorted, 0.75) - quantile(sorted, 0.25),
    Kurtosis: flat ? 0 : m4 / m2 ** 2, // not the excess
    Maximum: sorted[count - 1],
    MeanAbsoluteDeviation: average((value) => Math.abs(value - mean)),
    Mean: mean,
    Median: quantile(sorted, 0.5),
    Minimum: sorted[0],
    Range: sorted[count - 1] - sorted[0],
    RobustMeanAbsoluteDeviation: robust,
    RootMeanSquared: Math.sqrt(energy / count),
    Skewness: flat ? 0 : m3 / m2 ** 1.5,
    Uniformity: uniformity,
    Variance: m2,
  };
  return FIRST_ORDER_NAMES.map((name) => of[name]);
}
