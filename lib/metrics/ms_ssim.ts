/**
 * Multi-scale SSIM (Wang, Simoncelli, Bovik 2003) as torchmetrics computes it, `normalize="relu"`:
 * ∏ contrast_k^β_k over all scales but the last, times similarity^β of the last; each scale is the
 * one before averaged in 2×2 blocks.
 */

import { type SsimOptions, ssimParts } from "./ssim.ts";

export const MS_SSIM_BETAS: readonly number[] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/** Smallest side that torchmetrics accepts for a number of scales: 176 for the usual five. */
export function msSsimSmallestSide(scales: number): number {
  return 11 * Math.max(1, scales - 1) ** 2;
}

/**
 * The usual betas where the image is large enough, else the first few of them scaled to sum 1: a
 * 128² image takes four. The figure is comparable only between images of as many scales.
 */
export function msSsimBetas(height: number, width: number): number[] {
  let scales = MS_SSIM_BETAS.length;
  while (scales > 1 && Math.min(height, width) < msSsimSmallestSide(scales)) scales--;
  if (scales === MS_SSIM_BETAS.length) return [...MS_SSIM_BETAS];
  const betas = MS_SSIM_BETAS.slice(0, scales);
  const sum = betas.reduce((total, beta) => total + beta, 0);
  return betas.map((beta) => beta / sum);
}

/**
 * MS-SSIM of one pair of images of `height` × `width`, float64 inside. Negative terms count as 0.
 *
 * @throws RangeError where the image is too small for as many scales as `betas`.
 */
export function msSsim(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { height, width, dataRange, border, betas = MS_SSIM_BETAS }:
    & Omit<SsimOptions, "mask">
    & { betas?: readonly number[] },
): number {
  const smallest = msSsimSmallestSide(betas.length);
  if (Math.min(height, width) < smallest) {
    throw new RangeError(
      `Cannot compute MS-SSIM of a ${height}×${width} image: ${betas.length} scales need ` +
        `${smallest} pixels`,
    );
  }
  let product = 1;
  betas.forEach((beta, scale) => {
    const parts = ssimParts(a, b, { height, width, dataRange, border });
    const term = scale === betas.length - 1 ? parts.similarity : parts.contrast;
    product *= Math.max(0, term) ** beta;
    a = halve(a, height, width);
    b = halve(b, height, width);
    height = Math.floor(height / 2);
    width = Math.floor(width / 2);
  });
  return product;
}

function halve(image: ArrayLike<number>, height: number, width: number): Float64Array {
  const rows = Math.floor(height / 2), columns = Math.floor(width / 2);
  const out = new Float64Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const i = 2 * y * width + 2 * x;
      out[y * columns + x] = (image[i] + image[i + 1] + image[i + width] + image[i + width + 1]) /
        4;
    }
  }
  return out;
}
