/** Classifier-free guidance, and rescaling what it gives. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { requireFloat } from "../common/checks.ts";
import { groupNormStats } from "../group_norm/op.ts";
import { guidanceReference, guidanceRescaleReference } from "./reference.ts";
import { lowerGuidance, lowerGuidanceRescale } from "./lower.ts";
import { guidanceCases, guidanceRescaleCases } from "./cases.ts";

/** u + strength·(c − u) of a doubled batch [2N,…], conditional half first; strength [1]. */
export function guidance(both: Tensor, strength: Tensor): Tensor {
  return both.graph.append(guidanceOp, [both, strength])[0];
}

/**
 * The guided output e [N,C,H,W] with its standard deviation moved towards that of the conditional
 * output, the first half of `both` [2N,C,H,W]: `rescale_noise_cfg` of diffusers. amount [1].
 */
export function guidanceRescale(e: Tensor, both: Tensor, amount: Tensor): Tensor {
  const stats = (x: Tensor) => groupNormStats(x, { groups: 1, eps: 0 });
  return e.graph.append(guidanceRescaleOp, [e, stats(both), stats(e), amount])[0];
}

export const guidanceOp: OpDef = {
  name: "guidance",
  infer([both, strength]) {
    requireFloat("both", both);
    if (both.shape[0] % 2) throw new Error(`both [${both.shape}] must have an even batch`);
    if (sizeOf(strength.shape) !== 1) throw new Error(`strength [${strength.shape}] must be [1]`);
    return [{ shape: [both.shape[0] / 2, ...both.shape.slice(1)], dtype: "f32" }];
  },
  vjp: "non-differentiable",
  reference: guidanceReference,
  lower: lowerGuidance,
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: guidanceCases,
};

export const guidanceRescaleOp: OpDef = {
  name: "guidance_rescale",
  infer([e, bothStats, eStats, amount]) {
    requireFloat("e", e);
    const n = e.shape[0];
    if (sizeOf(eStats.shape) !== 2 * n || sizeOf(bothStats.shape) < 2 * n) {
      throw new Error(
        `statistics [${eStats.shape}] and [${bothStats.shape}] must be [${n},1,2] and at least so`,
      );
    }
    if (sizeOf(amount.shape) !== 1) throw new Error(`amount [${amount.shape}] must be [1]`);
    return [e];
  },
  vjp: "non-differentiable",
  reference: guidanceRescaleReference,
  lower: lowerGuidanceRescale,
  cost: (inputs, outputs) => ({
    flops: 5 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: guidanceRescaleCases,
};
