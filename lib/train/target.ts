/** What the model learns to predict, and how much each timestep counts: tables by timestep. */

import type { PredictionType } from "../diffusion/scheduler_config.ts";

/**
 * [T,2]: the target is table[t,0]·x₀ + table[t,1]·noise. The noise, the clean image, or
 * v = √ᾱ·noise − √(1−ᾱ)·x₀ (Salimans & Ho 2022, arXiv:2202.00512, appendix D).
 */
export function targetTable(
  type: PredictionType,
  alphas: readonly number[],
): Float32Array<ArrayBuffer> {
  switch (type) {
    case "epsilon":
      return Float32Array.from(alphas.flatMap(() => [0, 1]));
    case "sample":
      return Float32Array.from(alphas.flatMap(() => [1, 0]));
    case "v_prediction":
      return Float32Array.from(alphas.flatMap((a) => [-Math.sqrt(1 - a), Math.sqrt(a)]));
  }
}

/**
 * Min-SNR weights of the loss, one a timestep, for SNR = ᾱ/(1 − ᾱ) (Hang et al. 2023,
 * arXiv:2303.09556, eq. 8): what a loss on x₀ weighs, min(SNR, γ), in terms of the prediction.
 */
export function minSnrWeights(
  type: PredictionType,
  alphas: readonly number[],
  gamma: number,
): number[] {
  return alphas.map((alpha) => {
    const snr = alpha / (1 - alpha);
    const capped = Math.min(snr, gamma);
    switch (type) {
      case "epsilon":
        return capped / snr;
      case "v_prediction":
        return capped / (snr + 1);
      case "sample":
        return capped;
    }
  });
}
