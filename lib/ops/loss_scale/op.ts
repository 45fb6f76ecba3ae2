/** Dynamic loss scaling for f16 gradients, decided on the device: nothing waits for it. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { f32 } from "../common/checks.ts";
import { requireGradient } from "../gradient_clip/op.ts";
import { ADAMW_HYPER } from "../optimizer/shared.ts";
import { LOSS_SCALE_STATE, type LossScaleAttrs, type LossScaleOptions } from "./shared.ts";
import { lossScaleReference } from "./reference.ts";
import { lowerLossScale } from "./lower.ts";
import { lossScaleCases } from "./cases.ts";

/**
 * AdamW's hyper-parameters for a gradient that is the true one times the loss scale: divided by it,
 * clipped, bias corrections for the steps that were taken; and none applied if the gradient holds
 * infinity or NaN. Then the scale changes, in place in `state`.
 *
 * @param filled as in `gradientClip`.
 * @param logBetas [2]: ln β1, ln β2.
 * @returns [hyper', the norm before clipping [1], the new state].
 */
export function lossScale(
  g: Tensor,
  filled: Tensor,
  hyper: Tensor,
  logBetas: Tensor,
  state: Tensor,
  { maxNorm = 3e38, ...options }: LossScaleOptions,
): [adjusted: Tensor, norm: Tensor, state: Tensor] {
  const inputs = [g, filled, hyper, logBetas, state];
  const [adjusted, norm, next] = g.graph.append(lossScaleOp, inputs, { ...options, maxNorm });
  return [adjusted, norm, next];
}

export const lossScaleOp: OpDef<LossScaleAttrs> = {
  name: "loss_scale",
  infer([g, filled, hyper, logBetas, state]) {
    requireGradient(g, filled, hyper);
    if (sizeOf(logBetas.shape) !== 2) throw new Error(`log_betas [${logBetas.shape}] must be [2]`);
    if (sizeOf(state.shape) !== LOSS_SCALE_STATE) {
      throw new Error(`state [${state.shape}] must be [${LOSS_SCALE_STATE}]`);
    }
    return [f32(ADAMW_HYPER), f32(1), state];
  },
  vjp: "non-differentiable",
  inPlace: { 2: 4 },
  reference: lossScaleReference,
  lower: lowerLossScale,
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: lossScaleCases,
};
