/**
 * Learned perceptual distance (Zhang et al. 2018), "alex" version 0.1 of the `lpips` package: the
 * arithmetic after the network. The network is in `alexnet.ts`.
 */

/** What is subtracted from, and then divides, each channel of an image in [−1, 1]. */
export const LPIPS_SHIFT = [-0.030, -0.088, -0.188] as const;
export const LPIPS_SCALE = [0.458, 0.448, 0.450] as const;
/** Channels of the five taps, each after a ReLU. */
export const LPIPS_CHANNELS = [64, 192, 384, 256, 256] as const;

/** One tap of one image: [channels, pixels] in C order. */
export interface Tap {
  channels: number;
  data: Float32Array;
}

/**
 * Σ over taps of the mean over pixels of Σ_c w_c·(a_c/(|a| + 1e-10) − b_c/(|b| + 1e-10))².
 *
 * @param heads the 1×1 convolutions, [channels] each
 * @throws RangeError where the shapes of taps and heads differ.
 */
export function lpipsDistance(
  a: readonly Tap[],
  b: readonly Tap[],
  heads: readonly Float32Array[],
): number {
  if (a.length !== b.length || a.length !== heads.length) {
    throw new RangeError(`LPIPS: ${a.length} and ${b.length} taps, ${heads.length} heads`);
  }
  let total = 0;
  for (let layer = 0; layer < a.length; layer++) {
    const { channels, data: x } = a[layer], y = b[layer].data, head = heads[layer];
    if (x.length !== y.length || b[layer].channels !== channels || head.length !== channels) {
      throw new RangeError(
        `LPIPS tap ${layer}: ${channels} channels, ${x.length} values against ` +
          `${b[layer].channels}, ${y.length}; head of ${head.length}`,
      );
    }
    const pixels = x.length / channels;
    let sum = 0;
    for (let p = 0; p < pixels; p++) {
      let squaresX = 0, squaresY = 0;
      for (let c = 0, i = p; c < channels; c++, i += pixels) {
        squaresX += x[i] * x[i];
        squaresY += y[i] * y[i];
      }
      const normX = Math.sqrt(squaresX) + 1e-10, normY = Math.sqrt(squaresY) + 1e-10;
      for (let c = 0, i = p; c < channels; c++, i += pixels) {
        sum += head[c] * (x[i] / normX - y[i] / normY) ** 2;
      }
    }
    total += sum / pixels;
  }
  return total;
}
