/** Group normalisation with affine and optional SiLU: statistics, application, and their gradient. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { f32, storedType } from "../common/checks.ts";
import { groupNormDataGradientOp, groupNormSumsOp, groupNormTotalsOp } from "./backward.ts";
import {
  type GroupNormApplyAttrs,
  type GroupNormStatsAttrs,
  requireGroups,
  requireParts,
} from "./geometry.ts";
import { groupNormApplyReference, groupNormStatsReference } from "./reference.ts";
import { lowerGroupNormApply, lowerGroupNormStats } from "./lower.ts";
import { groupNormApplyCases, groupNormStatsCases } from "./cases.ts";

/** What {@link groupNorm} takes together, and what it does afterwards. */
export interface GroupNormOptions {
  /** Divides the number of channels. */
  readonly groups: number;
  /** Added to the variance. */
  readonly eps: number;
  /** Also apply x·sigmoid(x). */
  readonly silu?: boolean;
}

/**
 * y = (x − mean) / √(variance + eps) · weight + bias, mean and variance over the channels of a group
 * and all pixels, then SiLU if asked: torch.nn.GroupNorm. x [N,C,H,W]; weight, bias [C].
 *
 * @example
 * ```ts
 * import { f32, Graph, groupNorm, interpret, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 2, 1, 1));
 * const [w, b] = ["w", "b"].map((name) => g.input(name, f32(2)));
 * g.output("y", groupNorm(x, w, b, { groups: 1, eps: 0 }));
 * interpret(g, OPS, { x: [1, 3], w: [1, 1], b: [0, 0] }).outputs.get("y"); // [-1, 1]
 * ```
 */
export function groupNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { groups, eps, silu = false }: GroupNormOptions,
): Tensor {
  const stats = groupNormStats(x, { groups, eps });
  return x.graph.append(groupNormApplyOp, [x, stats, weight, bias], { groups, silu })[0];
}

/** [N,G,2]: mean and 1/√(variance + eps) of each group of x [N,C,H,W]. */
export function groupNormStats(x: Tensor, { groups, eps }: GroupNormOptions): Tensor {
  return x.graph.append(groupNormStatsOp, [x], { groups, eps })[0];
}

export const groupNormStatsOp: OpDef<GroupNormStatsAttrs> = {
  name: "group_norm_stats",
  infer([x], { groups }) {
    requireGroups(x, groups);
    return [f32(x.shape[0], groups, 2)];
  },
  half: () => [{ inputs: [0] }],
  // The gradient of group_norm_apply holds the way through the statistics.
  vjp: "non-differentiable",
  reference: groupNormStatsReference,
  lower: lowerGroupNormStats,
  cost: (inputs, outputs) => ({
    flops: 4 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: groupNormStatsCases,
};

export const groupNormApplyOp: OpDef<GroupNormApplyAttrs> = {
  name: "group_norm_apply",
  infer([x, stats, weight, bias], attrs) {
    requireParts(x, stats, weight, bias);
    return [{ shape: x.shape, dtype: storedType(attrs) }];
  },
  half: () => [{ inputs: [0] }, { outputs: [0], named: true }],
  /** `stats` must be those of x: dx includes the way through them. */
  vjp({ inputs: [x, stats, weight, bias], attrs: { silu } }, [dy], needs) {
    const { graph } = x;
    const all = [x, dy!, stats, weight, bias];
    const sums = graph.append(groupNormSumsOp, all, { silu })[0];
    const [groups, pixels] = [stats.shape[1], x.shape[2] * x.shape[3]];
    const [means, dweight, dbias] = graph.append(groupNormTotalsOp, [sums, weight], {
      groups,
      pixels,
    });
    const dx = needs[0]
      ? graph.append(groupNormDataGradientOp, [...all, means], { silu })[0]
      : undefined;
    return [dx, undefined, dweight, dbias];
  },
  reference: groupNormApplyReference,
  lower: lowerGroupNormApply,
  cost: (inputs, outputs) => ({
    flops: 8 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: groupNormApplyCases,
};
