/** Kernel Inception Distance (Bińkowski et al. 2018), as torch-fidelity and torchmetrics compute it. */

import type { PhiloxStream } from "../random/philox.ts";
import { takeRows } from "./fid.ts";
import { type Features, productTransposed } from "./linear_algebra.ts";
import { choose, deviation, mean } from "./statistics.ts";

/**
 * Unbiased squared maximum mean discrepancy from kernel matrices a·a [n, n], a·b [n, m], b·b [m, m]
 * (Gretton et al. 2012, equation 3). May be slightly below 0.
 */
export function mmdSquared(
  aa: Float64Array,
  ab: Float64Array,
  bb: Float64Array,
  n: number,
  m: number,
): number {
  const offDiagonal = (kernel: Float64Array, size: number) => {
    let sum = 0;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) if (i !== j) sum += kernel[i * size + j];
    }
    return sum / (size * (size - 1));
  };
  let cross = 0;
  for (const value of ab) cross += value;
  return offDiagonal(aa, n) + offDiagonal(bb, m) - 2 * cross / (n * m);
}

/** MMD² with the kernel (x·y/size + 1)³. */
export function polynomialMmd(a: Features, b: Features): number {
  const kernel = (x: Features, y: Features) =>
    productTransposed(x.data, y.data, x.count, y.count, x.size)
      .map((value) => (value / x.size + 1) ** 3);
  return mmdSquared(kernel(a, a), kernel(a, b), kernel(b, b), a.count, b.count);
}

export interface Kid {
  mean: number;
  /** Over the subsets (ddof 0); 0 where one subset is all there is. */
  deviation: number;
  subsets: number;
  subsetSize: number;
}

/**
 * Mean and deviation of MMD² over random subsets: 100 of 1000 images. Where a side has no more
 * images than that the subset is the smaller side's number; the mean is unbiased whatever the size.
 * Where both sides are exactly one subset, one is taken, since all would be the same.
 *
 * @throws RangeError for fewer than two images or differing sizes.
 */
export function kid(
  a: Features,
  b: Features,
  random: PhiloxStream,
  { subsets = 100, subsetSize = 1000 }: { subsets?: number; subsetSize?: number } = {},
): Kid {
  if (a.size !== b.size) {
    throw new RangeError(`Cannot compare features of different size: ${a.size} and ${b.size}`);
  }
  const size = Math.min(subsetSize, a.count, b.count);
  if (size < 2) {
    throw new RangeError(`KID needs at least 2 images a side, got ${a.count} and ${b.count}`);
  }
  if (size === a.count && size === b.count) subsets = 1;
  const values = Array.from({ length: subsets }, () =>
    polynomialMmd(
      takeRows(a, choose(random, a.count, size)),
      takeRows(b, choose(random, b.count, size)),
    ));
  return { mean: mean(values), deviation: deviation(values), subsets, subsetSize: size };
}
