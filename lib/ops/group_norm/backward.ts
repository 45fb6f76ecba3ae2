/** The gradient of group normalisation: sums per channel, totals of them, then the input's. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import {
  f32,
  requireRank,
  requireSame,
  requireStored,
  type Stored,
  storedType,
} from "../common/checks.ts";
import {
  type GroupNormTotalsAttrs,
  requireGroups,
  requireParts,
  type SiluAttrs,
} from "./geometry.ts";
import {
  groupNormDataGradientReference,
  groupNormSumsReference,
  groupNormTotalsReference,
} from "./backward_reference.ts";
import {
  lowerGroupNormDataGradient,
  lowerGroupNormSums,
  lowerGroupNormTotals,
} from "./backward_lower.ts";
import {
  groupNormDataGradientCases,
  groupNormSumsCases,
  groupNormTotalsCases,
} from "./backward_cases.ts";

export const groupNormSumsOp: OpDef<SiluAttrs> = {
  name: "group_norm_sums",
  infer([x, dy, stats, weight, bias]) {
    requireParts(x, stats, weight, bias);
    requireStored("dy", dy);
    requireSame("dy", dy, "x", x);
    return [f32(x.shape[0], x.shape[1], 2)];
  },
  half: () => [{ inputs: [0] }, { inputs: [1] }],
  vjp: "non-differentiable",
  reference: groupNormSumsReference,
  lower: lowerGroupNormSums,
  cost: (inputs, outputs) => ({
    flops: 14 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: groupNormSumsCases,
};

/**
 * From the sums [N,C,2] of `group_norm_sums`, weight [C] and attrs `groups` and `pixels` (of an image):
 * means [N,G,2], which the input's gradient needs, and the gradients of weight and bias [C].
 */
export const groupNormTotalsOp: OpDef<GroupNormTotalsAttrs> = {
  name: "group_norm_totals",
  infer([sums, weight], { groups, pixels }) {
    requireRank("sums", sums, 3);
    const [batch, channels] = sums.shape;
    requireGroups(f32(batch, channels, pixels, 1), groups);
    requireSame("sums", sums, "required", f32(batch, channels, 2));
    requireSame("weight", weight, "required", f32(channels));
    return [f32(batch, groups, 2), f32(channels), f32(channels)];
  },
  vjp: "non-differentiable",
  reference: groupNormTotalsReference,
  lower: lowerGroupNormTotals,
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: groupNormTotalsCases,
};

export const groupNormDataGradientOp: OpDef<SiluAttrs & Stored> = {
  name: "group_norm_data_gradient",
  infer([x, dy, stats, weight, bias, means], attrs) {
    requireParts(x, stats, weight, bias);
    requireStored("dy", dy);
    requireSame("dy", dy, "x", x);
    requireSame("means", means, "stats", stats);
    return [{ shape: x.shape, dtype: storedType(attrs) }];
  },
  half: () => [{ inputs: [0] }, { inputs: [1] }, { outputs: [0], named: true }],
  vjp: "non-differentiable",
  reference: groupNormDataGradientReference,
  lower: lowerGroupNormDataGradient,
  cost: (inputs, outputs) => ({
    flops: 16 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: groupNormDataGradientCases,
};
