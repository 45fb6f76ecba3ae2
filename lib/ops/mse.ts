/** Mean squared error. */

import { gridFor, input, type Lowering, output, scratch } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { ELEMENTWISE, f32, kernel, only, requireFloat, requireSame } from "./common.ts";
import { reductionWorkgroup } from "./rows.ts";
import { scale } from "./scale.ts";
import partialText from "../../kernels/mse/partial.wgsl" with { type: "text" };
import totalText from "../../kernels/mse/total.wgsl" with { type: "text" };
import backwardText from "../../kernels/mse/backward.wgsl" with { type: "text" };

const PARTIAL = kernel("mse/partial.wgsl", partialText);
const TOTAL = kernel("mse/total.wgsl", totalText);
const BACKWARD = kernel("mse/backward.wgsl", backwardText);

/** [1]: the mean of (prediction − target)² over all elements. */
export function mse(prediction: Tensor, target: Tensor): Tensor {
  return prediction.graph.append(mseOp, [prediction, target])[0];
}

export const mseOp: OpDef = {
  name: "mse",
  infer([prediction, target]) {
    requireFloat("prediction", prediction);
    requireFloat("target", target);
    requireSame("target", target, "prediction", prediction);
    return [f32(1)];
  },
  vjp({ inputs: [prediction, target] }, [dloss], needs) {
    const grad = prediction.graph.append(mseBackwardOp, [prediction, target, dloss!])[0];
    return [grad, needs[1] ? scale(grad, -1) : undefined];
  },
  reference([prediction, target]) {
    const sum = prediction.reduce((a, v, i) => a + (v - target[i]) ** 2, 0);
    return [Float64Array.of(sum / prediction.length)];
  },
  lower({ inputs: [{ shape }], device }) {
    const length = sizeOf(shape);
    const workgroup = reductionWorkgroup(device);
    const count = Math.ceil(length / (4 * 32 * workgroup));
    return only("two passes", (): Lowering => ({
      scratch: [4 * count],
      calls: [{
        kernel: PARTIAL,
        constants: { WORKGROUP: workgroup },
        params: { length },
        bindings: { prediction: input(0), target_values: input(1), partials: scratch() },
        workgroups: [count, 1, 1],
        note: "partial sums",
      }, {
        kernel: TOTAL,
        params: { count, factor: 1 / length },
        bindings: { partials: scratch(), loss: output() },
        workgroups: [1, 1, 1],
        note: "total",
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Only positive terms: trees and chains of at most 8 + count/64 keep it to a few 2^-24.
  cases: [
    { name: "odd", inputs: [f32(3, 6, 17), f32(3, 6, 17)] },
    { name: "batch 1", inputs: [f32(1, 1, 5, 17), f32(1, 1, 5, 17)] },
    { name: "128 x 128", inputs: [f32(8, 1, 128, 128), f32(8, 1, 128, 128)] },
    // One element an iteration, 8 lanes would each take 66,000: past the limit of 65,535.
    { name: "long loop", inputs: [f32(528001), f32(528001)] },
  ].map((c): OpCase => ({
    ...c,
    attrs: {},
    tolerance: 4e-7,
    checkGradient: c.name !== "long loop",
  })),
};

export const mseBackwardOp: OpDef = {
  name: "mse_backward",
  infer([prediction, target, dloss]) {
    requireSame("target", target, "prediction", prediction);
    requireSame("dloss", dloss, "one number", f32(1));
    return [prediction];
  },
  vjp: "non-differentiable",
  reference: ([prediction, target, [dloss]]) => [
    prediction.map((v, i) => 2 * dloss * (v - target[i]) / prediction.length),
  ],
  lower({ inputs: [{ shape }] }) {
    const length = sizeOf(shape);
    const count4 = Math.ceil(length / 4);
    return only("vec4", () => ({
      calls: [{
        kernel: BACKWARD,
        params: { count4, factor: 2 / length },
        bindings: {
          prediction: input(0),
          target_values: input(1),
          dloss: input(2),
          dprediction: output(),
        },
        workgroups: gridFor(count4, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Four roundings of 2^-24.
  cases: [
    { name: "odd", inputs: [f32(3, 6, 17), f32(3, 6, 17), f32(1)], attrs: {}, tolerance: 3e-7 },
  ],
};
