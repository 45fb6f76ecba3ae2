/**
 * Structural similarity (Wang et al. 2004) with the choices of torchmetrics: Gaussian window of
 * sigma 1.5 and 11 taps, reflected borders, biased moments, variances not below 0,
 * C1 = (0.01·R)², C2 = (0.03·R)².
 */

const SIGMA = 1.5;
/** Half the window: torchmetrics takes int(3.5·sigma + 0.5) pixels to each side. */
export const SSIM_PADDING = 5;
const TAPS = gaussian();

/**
 * Which pixels of the similarity map are averaged: all of them, those near the border computed with
 * reflected pixels ("padded", torchmetrics ≥ 1.4.2), or all but 5 all round ("cropped", up to 1.4.1,
 * which the original project pins).
 */
export type SsimBorder = "padded" | "cropped";

export interface SsimOptions {
  height: number;
  width: number;
  /** Largest value minus smallest that an image may take: 2 for images in [−1, 1]. */
  dataRange: number;
  /** Default "padded". */
  border?: SsimBorder;
  /** Average only where this mask (height × width) is above 0.5. */
  mask?: ArrayLike<number>;
}

/** Mean similarity and mean contrast term over the pixels chosen, with the map itself. */
export interface SsimParts {
  similarity: number;
  /**
   * The contrast-structure term, averaged without the border (torchmetrics crops it always); NaN
   * where the border is all there is.
   */
  contrast: number;
  /** [height · width], every pixel, border included. */
  map: Float64Array;
}

/**
 * SSIM of one image pair, float64 inside.
 *
 * @throws RangeError where an image is not larger than the padding of 5 pixels (or, cropped, than
 *   the crop), where lengths do not fit, or where the mask chooses no pixel.
 */
export function ssim(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: SsimOptions,
): number {
  return ssimParts(a, b, options).similarity;
}

/** As `ssim`, with the contrast term that MS-SSIM needs and the full map. */
export function ssimParts(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { height, width, dataRange, border = "padded", mask }: SsimOptions,
): SsimParts {
  const size = height * width;
  if (a.length !== size || b.length !== size || (mask && mask.length !== size)) {
    throw new RangeError(
      `Cannot compute SSIM: a ${height}×${width} image has ${size} pixels, got ${a.length} and ` +
        `${b.length}${mask ? `, mask ${mask.length}` : ""}`,
    );
  }
  // Mirroring 5 pixels takes 6; cropping 5 on both sides leaves something of 11.
  const smallest = border === "padded" ? SSIM_PADDING + 1 : 2 * SSIM_PADDING + 1;
  if (Math.min(height, width) < smallest) {
    throw new RangeError(
      `Cannot compute SSIM of a ${height}×${width} image: its window needs ${smallest} pixels a side`,
    );
  }
  if (!(dataRange > 0)) throw new RangeError(`dataRange must be positive, got ${dataRange}`);
  const c1 = (0.01 * dataRange) ** 2, c2 = (0.03 * dataRange) ** 2;

  const product = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Float64Array.from({ length: size }, (_, i) => x[i] * y[i]);
  const meanA = blur(a, height, width), meanB = blur(b, height, width);
  const meanAA = blur(product(a, a), height, width);
  const meanBB = blur(product(b, b), height, width);
  const meanAB = blur(product(a, b), height, width);

  const map = new Float64Array(size);
  let sum = 0, count = 0, contrastSum = 0, contrastCount = 0;
  for (let y = 0; y < height; y++) {
    const rowInside = y >= SSIM_PADDING && y < height - SSIM_PADDING;
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const inside = rowInside && x >= SSIM_PADDING && x < width - SSIM_PADDING;
      const muA2 = meanA[i] ** 2, muB2 = meanB[i] ** 2, muAB = meanA[i] * meanB[i];
      const varianceA = Math.max(0, meanAA[i] - muA2), varianceB = Math.max(0, meanBB[i] - muB2);
      const contrast = (2 * (meanAB[i] - muAB) + c2) / (varianceA + varianceB + c2);
      map[i] = (2 * muAB + c1) / (muA2 + muB2 + c1) * contrast;
      if (inside) {
        contrastSum += contrast;
        contrastCount++;
      }
      if ((border === "padded" || inside) && (!mask || mask[i] > 0.5)) {
        sum += map[i];
        count++;
      }
    }
  }
  if (count === 0) throw new RangeError("Cannot average SSIM over an empty mask");
  return { similarity: sum / count, contrast: contrastSum / contrastCount, map };
}

function gaussian(): Float64Array {
  const taps = Float64Array.from(
    { length: 2 * SSIM_PADDING + 1 },
    (_, i) => Math.exp(-(((i - SSIM_PADDING) / SIGMA) ** 2) / 2),
  );
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return taps.map((tap) => tap / sum);
}

/** Separable Gaussian blur; outside pixels are mirrored without repeating the edge ("reflect"). */
function blur(image: ArrayLike<number>, height: number, width: number): Float64Array {
  const rows = new Float64Array(height * width), out = new Float64Array(height * width);
  const reflect = (i: number, size: number) => i < 0 ? -i : i >= size ? 2 * size - 2 - i : i;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let tap = 0; tap < TAPS.length; tap++) {
        sum += TAPS[tap] * image[y * width + reflect(x + tap - SSIM_PADDING, width)];
      }
      rows[y * width + x] = sum;
    }
  }
  for (let tap = 0; tap < TAPS.length; tap++) {
    for (let y = 0; y < height; y++) {
      const from = reflect(y + tap - SSIM_PADDING, height) * width;
      for (let x = 0; x < width; x++) out[y * width + x] += TAPS[tap] * rows[from + x];
    }
  }
  return out;
}
