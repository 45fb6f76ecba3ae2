/** Maximum mean discrepancy with a Gaussian kernel at the median distance (Gretton et al. 2012). */

import { mmdSquared } from "./kid.ts";
import type { Features } from "./linear_algebra.ts";
import { quantile } from "./statistics.ts";

export interface GaussianMmd {
  /** Unbiased MMD²; may be slightly below 0 where the sets are alike. */
  squared: number;
  /** The kernel's sigma: the median distance between any two rows of both sets together. */
  sigma: number;
}

/**
 * MMD² with k(x, y) = exp(−|x − y|²/(2·sigma²)).
 *
 * @throws RangeError for fewer than two rows a side or differing sizes.
 */
export function gaussianMmd(a: Features, b: Features, sigma?: number): GaussianMmd {
  if (a.size !== b.size) {
    throw new RangeError(`Cannot compare features of different size: ${a.size} and ${b.size}`);
  }
  if (a.count < 2 || b.count < 2) {
    throw new RangeError(`MMD needs at least 2 rows a side, got ${a.count} and ${b.count}`);
  }
  const aa = squaredDistances(a, a), ab = squaredDistances(a, b), bb = squaredDistances(b, b);
  sigma ??= medianDistance(aa, ab, bb, a.count, b.count);
  // All rows alike: any width gives MMD 0.
  const width = sigma > 0 ? 2 * sigma * sigma : 1;
  const kernel = (squares: Float64Array) => squares.map((value) => Math.exp(-value / width));
  return { squared: mmdSquared(kernel(aa), kernel(ab), kernel(bb), a.count, b.count), sigma };
}

/** [a.count, b.count] squared Euclidean distances. */
export function squaredDistances(a: Features, b: Features): Float64Array {
  const { size } = a, out = new Float64Array(a.count * b.count);
  for (let i = 0; i < a.count; i++) {
    for (let j = 0; j < b.count; j++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += (a.data[i * size + k] - b.data[j * size + k]) ** 2;
      out[i * b.count + j] = sum;
    }
  }
  return out;
}

function medianDistance(
  aa: Float64Array,
  ab: Float64Array,
  bb: Float64Array,
  n: number,
  m: number,
): number {
  const all: number[] = [];
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) all.push(aa[i * n + j]);
  for (let i = 0; i < m; i++) for (let j = i + 1; j < m; j++) all.push(bb[i * m + j]);
  for (const value of ab) all.push(value);
  return quantile(Float64Array.from(all, Math.sqrt).sort(), 0.5);
}
