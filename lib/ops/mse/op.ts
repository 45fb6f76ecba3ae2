/** Mean squared error. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { f32, requireFloat, requireSame } from "../common/checks.ts";
import { scale } from "../scale/op.ts";
import { mseReference, mseWithGradientReference } from "./reference.ts";
import { lowerMse, lowerMseWithGradient } from "./lower.ts";
import { mseCases, mseWithGradientCases } from "./cases.ts";

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
  reference: mseReference,
  lower: lowerMse,
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: mseCases,
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
  reference: mseWithGradientReference,
  lower: lowerMseWithGradient,
  cost: (inputs, outputs) => ({
    flops: 4 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: mseWithGradientCases,
};
