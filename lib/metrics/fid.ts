/**
 * Fréchet distance between two sets of features (Heusel et al. 2017), exact for few images, and its
 * extrapolation to infinitely many (Chong and Forsyth 2020).
 */

import type { PhiloxStream } from "../random/philox.ts";
import {
  centre,
  type Features,
  productTransposed,
  singularValues,
  triangularFactor,
} from "./linear_algebra.ts";
import { choose, line } from "./statistics.ts";

/** Below this many images on either side FID is mostly its own bias: reports say so. */
export const FID_FEW = 2048;

/**
 * |μa − μb|² + Tr Σa + Tr Σb − 2 Tr √(Σa·Σb), covariances over N − 1, float64.
 *
 * The last trace is the sum of the singular values of Xa·Xbᵀ/√((na − 1)(nb − 1)) with X the centred
 * rows: √ of the nonzero eigenvalues of Σa·Σb without forming either. It is exact where N is below
 * the number of features and the usual eigensolver is not (torchmetrics: 1e-4 off at N = 32). With
 * more rows than features the rows are first reduced to their triangular factor, which leaves the
 * singular values as they are.
 *
 * @throws RangeError for fewer than two rows, for sizes that differ and for values not finite.
 */
export function frechetDistance(a: Features, b: Features): number {
  if (a.size !== b.size) {
    throw new RangeError(`Cannot compare features of different size: ${a.size} and ${b.size}`);
  }
  if (a.count < 2 || b.count < 2) {
    throw new RangeError(
      `Fréchet distance needs at least 2 images on each side, got ${a.count} and ${b.count}`,
    );
  }
  const { size } = a;
  const [left, right] = [centre(a), centre(b)];
  let shift = 0, variances = 0;
  for (let j = 0; j < size; j++) shift += (left.mean[j] - right.mean[j]) ** 2;
  for (const [{ rows }, count] of [[left, a.count], [right, b.count]] as const) {
    let sum = 0;
    for (const value of rows) sum += value * value;
    variances += sum / (count - 1);
  }
  if (!Number.isFinite(shift + variances)) {
    throw new RangeError("Cannot compute a Fréchet distance: a feature is not finite");
  }
  const reduce = (rows: Float64Array, count: number): [Float64Array, number] =>
    count > size ? [triangularFactor(rows, count, size), size] : [rows, count];
  const [x, n] = reduce(left.rows, a.count), [y, m] = reduce(right.rows, b.count);
  const values = singularValues(productTransposed(x, y, n, m, size), n, m);
  let trace = 0;
  for (const value of values) trace += value;
  return shift + variances - 2 * trace / Math.sqrt((a.count - 1) * (b.count - 1));
}

/** The rows `chosen` of a set. */
export function takeRows({ size, data }: Features, chosen: ArrayLike<number>): Features {
  const out = new Float64Array(chosen.length * size);
  for (let i = 0; i < chosen.length; i++) {
    out.set(data.subarray(chosen[i] * size, (chosen[i] + 1) * size), i * size);
  }
  return { count: chosen.length, size, data: out };
}

export interface FidInfinity {
  /** The intercept: what FID would tend to with ever more images. */
  value: number;
  /** The images used on each side and the FID of each point. */
  points: { count: number; fid: number }[];
}

/**
 * FID∞: FID is linear in 1/N to first order, so it is computed on random subsets of several sizes
 * and the line is read off at 1/N = 0. Unlike the paper, which holds many real images fixed, both
 * sides are drawn at the same size, because here the real side is small as well.
 *
 * Null where either side has fewer than 20 images: a line through less says nothing.
 */
export function fidInfinity(
  a: Features,
  b: Features,
  random: PhiloxStream,
  { sizes = 6, repeats = 3 }: { sizes?: number; repeats?: number } = {},
): FidInfinity | null {
  const most = Math.min(a.count, b.count);
  if (most < 20) return null;
  const least = Math.ceil(most / 4);
  const points: FidInfinity["points"] = [];
  for (let i = 0; i < sizes; i++) {
    // Even steps of 1/N, so that each end of the line weighs alike.
    const count = Math.round(1 / (1 / least + (1 / most - 1 / least) * i / (sizes - 1)));
    for (let repeat = 0; repeat < repeats; repeat++) {
      const left = takeRows(a, choose(random, a.count, count));
      const right = takeRows(b, choose(random, b.count, count));
      points.push({ count, fid: frechetDistance(left, right) });
    }
  }
  const fit = line(points.map(({ count }) => 1 / count), points.map(({ fid }) => fid));
  return { value: fit.intercept, points };
}
