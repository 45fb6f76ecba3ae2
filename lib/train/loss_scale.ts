/** Host side of the `loss_scale` op: its options, its state, and what AdamW's β are to it. */

import type { LossScaleOptions } from "../ops/loss_scale/shared.ts";

/** The defaults of `torch.amp.GradScaler`. */
export const GRAD_SCALER = {
  initScale: 65536,
  growthFactor: 2,
  backoffFactor: 0.5,
  growthInterval: 2000,
} as const satisfies LossScaleOptions & { initScale: number };

/** The op's state by name. */
export interface LossScale {
  readonly scale: number;
  readonly growthTracker: number;
  /** Optimizer steps that were skipped for an overflow, and that were taken. */
  readonly skipped: number;
  readonly taken: number;
}

export const INITIAL_LOSS_SCALE: LossScale = {
  scale: GRAD_SCALER.initScale,
  growthTracker: 0,
  skipped: 0,
  taken: 0,
};

export const fromLossScale = (state: LossScale): Float32Array<ArrayBuffer> =>
  new Float32Array([state.scale, state.growthTracker, state.skipped, state.taken]);

export function toLossScale(state: ArrayLike<number>): LossScale {
  const [scale, growthTracker, skipped, taken] = Array.from(state);
  return { scale, growthTracker, skipped, taken };
}

/** Whether a checkpoint's entry is one. */
export function isLossScale(value: unknown): value is LossScale {
  const state = fromLossScale(Object(value));
  return state.every(Number.isFinite) && state[0] > 0;
}

/** Input `log_betas` of the op. */
export const logBetas = (beta1: number, beta2: number): Float32Array<ArrayBuffer> =>
  new Float32Array([Math.log(beta1), Math.log(beta2)]);
