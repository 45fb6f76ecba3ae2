/** Peak signal-to-noise ratio. */

import { mse } from "./mse.ts";

/**
 * 20·log10(dataRange) − 10·log10(MSE), in dB (torchmetrics `peak_signal_noise_ratio`).
 * Identical images give Infinity: write it to JSON through `jsonNumber` of `lib/metrics/statistics.ts`.
 *
 * With `mask` only the pixels inside count.
 *
 * @throws RangeError where lengths differ or `dataRange` is not positive.
 */
export function psnr(
  generated: ArrayLike<number>,
  target: ArrayLike<number>,
  dataRange: number,
  mask?: ArrayLike<number>,
): number {
  if (!(dataRange > 0)) throw new RangeError(`dataRange must be positive, got ${dataRange}`);
  return 20 * Math.log10(dataRange) - 10 * Math.log10(mse(generated, target, mask));
}
