/** Is it copying? The nearest training slice of each generated one, and how near is too near. */

import type { Features } from "./linear_algebra.ts";
import { quantile } from "./statistics.ts";

export interface Neighbour {
  /** Row of the training set. */
  index: number;
  /** Root mean square difference over the features. */
  distance: number;
}

/**
 * The nearest row of `reference` for each row of `queries`. `exclude(query, row)` leaves rows out:
 * a slice itself, or slices of the same patient.
 *
 * @returns null for a query whose every row is left out
 */
export function nearest(
  queries: Features,
  reference: Features,
  exclude: (query: number, row: number) => boolean = () => false,
): (Neighbour | null)[] {
  if (queries.count === 0) return [];
  if (queries.size !== reference.size) {
    throw new RangeError(`Cannot compare rows of ${queries.size} and ${reference.size} values`);
  }
  const { size } = queries;
  return Array.from({ length: queries.count }, (_, i) => {
    let best = Infinity, index = -1;
    for (let j = 0; j < reference.count; j++) {
      if (exclude(i, j)) continue;
      let sum = 0;
      for (let k = 0; k < size && sum < best; k++) {
        sum += (queries.data[i * size + k] - reference.data[j * size + k]) ** 2;
      }
      if (sum < best) [best, index] = [sum, j];
    }
    return index < 0 ? null : { index, distance: Math.sqrt(best / size) };
  });
}

export interface Memorisation {
  /** Fraction of generated slices below `threshold`. */
  rate: number;
  /**
   * The 5th percentile of the same measure of real slices that cannot be copies: of slices that copy
   * nothing one in twenty falls below it.
   */
  threshold: number;
  /** Medians of generated and of real slices. */
  median: { generated: number; real: number };
  /** Real slices the threshold rests on. */
  calibration: number;
}

/**
 * Compares how near generated slices come to single training slices with how near real slices do
 * that cannot be copies. Both are given as a measure that is small for copies.
 *
 * Null where fewer than 10 real values are at hand.
 */
export function memorisation(
  generated: readonly number[],
  real: readonly number[],
): Memorisation | null {
  if (real.length < 10 || generated.length === 0) return null;
  const sorted = Float64Array.from(real).sort();
  const threshold = quantile(sorted, 0.05);
  const copies = generated.filter((value) => value < threshold).length;
  return {
    rate: copies / generated.length,
    threshold,
    median: {
      generated: quantile(Float64Array.from(generated).sort(), 0.5),
      real: quantile(sorted, 0.5),
    },
    calibration: real.length,
  };
}
