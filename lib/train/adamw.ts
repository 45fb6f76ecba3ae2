/** Host side of AdamW: what the `adamw` op's hyper-parameters are at a step. */

import { ADAMW_HYPER } from "../ops/optimizer/shared.ts";

export interface AdamWOptions {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  /** Decoupled: p ← p − lr·weightDecay·p. */
  readonly weightDecay: number;
}

export const ADAMW_DEFAULTS: AdamWOptions = {
  lr: 1e-3,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0.01,
};

/**
 * torch.optim.AdamW's numbers at optimizer step `step` (1 for the first), computed in float64.
 *
 * @param apply false: only the EMA is updated (a micro-batch within an accumulation).
 * @param emaDecay EMA ← emaDecay·EMA + (1 − emaDecay)·p.
 */
export function adamwHyper(
  { lr, betas: [beta1, beta2], eps, weightDecay }: AdamWOptions,
  step: number,
  emaDecay: number,
  apply: boolean,
): Float32Array<ArrayBuffer> {
  const hyper = new Float32Array(ADAMW_HYPER);
  const t = Math.max(step, 1);
  hyper.set([
    lr,
    1 - beta1,
    beta2,
    1 - beta2,
    eps,
    1 - lr * weightDecay,
    lr / (1 - beta1 ** t),
    Math.sqrt(1 - beta2 ** t),
    0,
    1 - emaDecay,
    apply ? 1 : 0,
    1,
  ]);
  return hyper;
}
