/** What sampling adds to guidance: rescaling its result, and keeping part of an image. */

import { gridFor, input, output } from "../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { ELEMENTWISE, f32, kernel, only, requireFloat, requireSame } from "./common.ts";
import { groupNormStats } from "./group_norm.ts";
import rescaleText from "../../kernels/guidance_rescale/forward.wgsl" with { type: "text" };
import blendText from "../../kernels/blend/forward.wgsl" with { type: "text" };

const RESCALE = kernel("guidance_rescale/forward.wgsl", rescaleText);
const BLEND = kernel("blend/forward.wgsl", blendText);

/**
 * The guided output e [N,C,H,W] with its standard deviation moved towards that of the conditional
 * output, the first half of `both` [2N,C,H,W]: `rescale_noise_cfg` of diffusers. amount [1].
 */
export function guidanceRescale(e: Tensor, both: Tensor, amount: Tensor): Tensor {
  const stats = (x: Tensor) => groupNormStats(x, { groups: 1, eps: 0 });
  return e.graph.append(guidanceRescaleOp, [e, stats(both), stats(e), amount])[0];
}

/**
 * x inside the region, the known image at the noise level [2] outside. Shares the memory of x.
 * All [N,…]; level: √ᾱ and √(1 − ᾱ).
 */
export function blend(
  known: Tensor,
  region: Tensor,
  noise: Tensor,
  level: Tensor,
  x: Tensor,
): Tensor {
  return x.graph.append(blendOp, [known, region, noise, level, x])[0];
}

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
  reference([e, both, own, [amount]], _, [type]) {
    const per = e.length / type.shape[0];
    return [e.map((v, i) => {
      const at = 2 * Math.floor(i / per) + 1;
      return v * (amount * own[at] / both[at] + 1 - amount);
    })];
  },
  lower({ inputs: [e] }) {
    const count = sizeOf(e.shape);
    return only("elementwise", () => ({
      calls: [{
        kernel: RESCALE,
        params: { count, per_image: count / e.shape[0] },
        bindings: {
          e: input(0),
          both_stats: input(1),
          e_stats: input(2),
          amount: input(3),
          y: output(),
        },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 5 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // A quotient and three products; WGSL allows a division 2.5 ULP.
  cases: [{
    name: "odd",
    inputs: [
      f32(3, 1, 5, 17),
      { ...f32(6, 1, 2), fill: { kind: "uniform", low: 0.5, high: 2 } },
      { ...f32(3, 1, 2), fill: { kind: "uniform", low: 0.5, high: 2 } },
      { ...f32(1), fill: { kind: "constant", value: 0.7 } },
    ],
    attrs: {},
    tolerance: 5e-7,
  }],
};

export const blendOp: OpDef = {
  name: "blend",
  infer([known, region, noise, level, x]) {
    requireFloat("x", x);
    requireSame("known", known, "x", x);
    requireSame("region", region, "x", x);
    requireSame("noise", noise, "x", x);
    if (sizeOf(level.shape) !== 2) throw new Error(`level [${level.shape}] must be [2]`);
    return [x];
  },
  vjp: "non-differentiable",
  inPlace: { 0: 4 },
  reference: ([known, region, noise, level, x]) => [
    x.map((v, i) => region[i] > 0.5 ? v : level[0] * known[i] + level[1] * noise[i]),
  ],
  lower({ inputs: [x] }) {
    const count = sizeOf(x.shape);
    return only("elementwise", () => ({
      calls: [{
        kernel: BLEND,
        params: { count },
        bindings: {
          known: input(0),
          region: input(1),
          noise: input(2),
          level: input(3),
          x: output(),
        },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Two roundings.
  cases: [{
    name: "odd",
    inputs: [
      f32(3, 1, 5, 17),
      { ...f32(3, 1, 5, 17), fill: { kind: "values", values: [0, 1, 0.4, 0.6] } },
      f32(3, 1, 5, 17),
      { ...f32(2), fill: { kind: "values", values: [0.8, 0.6] } },
      f32(3, 1, 5, 17),
    ],
    attrs: {},
    tolerance: 2e-7,
  }],
};
