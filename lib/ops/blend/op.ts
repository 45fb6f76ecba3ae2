/** Keeping part of an image while sampling (inpainting). */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { ELEMENTWISE, f32, kernel, only, requireFloat, requireSame } from "../common/checks.ts";
import blendText from "../../../kernels/blend/forward.wgsl" with { type: "text" };

const BLEND = kernel("blend/forward.wgsl", blendText);

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
