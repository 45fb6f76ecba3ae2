/** Mean squared error. */

import {
  input,
  type KernelCall,
  type KernelSource,
  type Lowering,
  output,
  scratch,
} from "../graph/kernel_call.ts";
import { type DeviceProfile, type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { f32, kernel, only, requireFloat, requireSame } from "./common.ts";
import { REDUCE, type Sharing, storingOn, SUMMED } from "./lanes.ts";
import { reductionWorkgroup } from "./rows.ts";
import { scale } from "./scale.ts";
import partialText from "../../kernels/mse/partial.wgsl" with { type: "text" };
import totalText from "../../kernels/mse/total.wgsl" with { type: "text" };
import aloneText from "../../kernels/lib/loss_alone.wgsl" with { type: "text" };
import gradientText from "../../kernels/lib/loss_gradient.wgsl" with { type: "text" };

const partials = (keep: string): Record<Sharing, KernelSource> => {
  const of = (reduce: string) =>
    kernel("mse/partial.wgsl", `${partialText}\n${reduce}`, keep, SUMMED);
  return { alone: of(REDUCE.alone), 8: of(REDUCE[8]), 16: of(REDUCE[16]) };
};
const ALONE = partials(aloneText);
const WITH_GRADIENT = partials(gradientText);
const TOTAL = kernel("mse/total.wgsl", `${totalText}\n${REDUCE.alone}`, SUMMED);

/**
 * [1]: the mean of (prediction − target)² over all elements, as torch.nn.functional.mse_loss.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, mse, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const [a, b] = ["a", "b"].map((name) => g.input(name, f32(2)));
 * g.output("y", mse(a, b));
 * interpret(g, OPS, { a: [1, 2], b: [1, 4] }).outputs.get("y"); // [2]
 * ```
 */
export function mse(prediction: Tensor, target: Tensor): Tensor {
  return prediction.graph.append(mseOp, [prediction, target])[0];
}

const LOSSES = [
  { name: "odd", inputs: [f32(3, 6, 17), f32(3, 6, 17)] },
  { name: "batch 1", inputs: [f32(1, 1, 5, 17), f32(1, 1, 5, 17)] },
  { name: "whole vec4s", inputs: [f32(3, 5, 8), f32(3, 5, 8)] },
  { name: "128 x 128", inputs: [f32(8, 1, 128, 128), f32(8, 1, 128, 128)] },
  // One element an iteration, 8 lanes would each take 66,000: past the limit of 65,535.
  { name: "long loop", inputs: [f32(528001), f32(528001)] },
];

export const mseOp: OpDef = {
  name: "mse",
  infer([prediction, target]) {
    requireFloat("prediction", prediction);
    requireFloat("target", target);
    requireSame("target", target, "prediction", prediction);
    return [f32(1)];
  },
  vjp({ inputs: [prediction, target] }, [dloss], needs) {
    const grad = prediction.graph.append(mseWithGradientOp, [prediction, target, dloss!])[1];
    return [grad, needs[1] ? scale(grad, -1) : undefined];
  },
  reference([prediction, target]) {
    const sum = prediction.reduce((a, v, i) => a + (v - target[i]) ** 2, 0);
    return [Float64Array.of(sum / prediction.length)];
  },
  lower: ({ inputs, device }) =>
    only("two passes", () => twoPasses(sizeOf(inputs[0].shape), device, { kernels: ALONE })),
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Only positive terms: trees and chains of at most 8 + count/64 keep it to a few 2^-24.
  cases: LOSSES.map((c): OpCase => ({
    ...c,
    attrs: {},
    tolerance: 4e-7,
    checkGradient: c.name !== "long loop",
  })),
};

/** The loss, and dL/dprediction given dL/dloss [1]: both in one pass over prediction and target. */
export const mseWithGradientOp: OpDef = {
  name: "mse_with_gradient",
  infer([prediction, target, dloss]) {
    const [loss] = mseOp.infer([prediction, target], {});
    requireSame("dloss", dloss, "one number", f32(1));
    return [loss, { shape: prediction.shape, dtype: "f32" }];
  },
  vjp: "non-differentiable",
  reference([prediction, target, [dloss]], _, types, [loss]) {
    const gradient = prediction.map((v, i) => 2 * dloss * (v - target[i]) / prediction.length);
    return [...mseOp.reference([prediction, target], {}, types, [loss]), gradient];
  },
  lower: ({ inputs, device }) =>
    only("two passes", () =>
      twoPasses(sizeOf(inputs[0].shape), device, {
        kernels: WITH_GRADIENT,
        bindings: { dloss: input(2), dprediction: output(1) },
      })),
  cost: (inputs, outputs) => ({
    flops: 4 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Of the loss as above, of the gradient five roundings of 2^-24.
  cases: LOSSES.map((c): OpCase => ({
    ...c,
    inputs: [...c.inputs, f32(1)],
    attrs: {},
    tolerance: 4e-7,
  })),
};

/** Sums of chunks, by a kernel that may keep more, then their mean as output 0. */
function twoPasses(
  length: number,
  device: DeviceProfile,
  first: {
    readonly kernels: Record<Sharing, KernelSource>;
    readonly bindings?: KernelCall["bindings"];
  },
): Lowering {
  const workgroup = reductionWorkgroup(device);
  const count = Math.ceil(length / (4 * 32 * workgroup));
  return {
    scratch: [4 * count],
    calls: [{
      kernel: first.kernels[storingOn(device)],
      constants: { WORKGROUP: workgroup },
      params: { length },
      bindings: {
        prediction: input(0),
        target_values: input(1),
        partials: scratch(),
        ...first.bindings,
      },
      workgroups: [count, 1, 1],
      note: "partial sums",
    }, {
      kernel: TOTAL,
      params: { count, factor: 1 / length },
      bindings: { partials: scratch(), loss: output() },
      workgroups: [1, 1, 1],
      note: "total",
    }],
  };
}
