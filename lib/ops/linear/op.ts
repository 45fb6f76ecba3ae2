/** y = x·weightᵀ + bias. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sameShape, show, sizeOf, type Tensor, type TensorType } from "../../graph/tensor.ts";
import { f32, requireFloat, requireRank, requireSame } from "../common/checks.ts";
import { requireLoop } from "../common/vectorized_access.ts";
import {
  linearDataGradientReference,
  linearParameterGradientsReference,
  linearReference,
} from "./reference.ts";
import { lowerLinear, lowerLinearDataGradient, lowerLinearParameterGradients } from "./lower.ts";
import { linearCases, linearDataGradientCases, linearParameterGradientsCases } from "./cases.ts";
import type { WithExtras } from "../common/extras.ts";

/**
 * x [M,K], weight [N,K], bias [N] → [M,N]: torch.nn.Linear.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, linear, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 2)), w = g.input("w", f32(1, 2));
 * g.output("y", linear(x, w));
 * interpret(g, OPS, { x: [1, 2], w: [3, 4] }).outputs.get("y"); // [11]
 * ```
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return x.graph.append(linearOp, bias ? [x, weight, bias] : [x, weight])[0];
}

function requireMatrices(a: TensorType, aName: string, b: TensorType, bName: string, axis: 0 | 1) {
  for (const [name, t] of [[aName, a], [bName, b]] as const) {
    requireFloat(name, t);
    requireRank(name, t, 2);
    // In a block of 16, 17 iterations are counted.
    for (const n of t.shape) {
      requireLoop(`17/16 of a length of ${show(name, t)}`, Math.ceil(n * 17 / 16));
    }
  }
  if (a.shape[axis] !== b.shape[axis]) {
    throw new Error(
      `${show(aName, a)} and ${show(bName, b)} must agree on axis ${axis}: ` +
        `${a.shape[axis]} against ${b.shape[axis]}`,
    );
  }
}

export const linearOp: OpDef = {
  name: "linear",
  infer([x, weight, bias]) {
    requireMatrices(x, "x", weight, "weight", 1);
    if (bias) {
      requireFloat("bias", bias);
      if (!sameShape(bias.shape, [weight.shape[0]])) {
        throw new Error(
          `${show("bias", bias)} must be [${weight.shape[0]}], the rows of ${
            show("weight", weight)
          }`,
        );
      }
    }
    return [f32(x.shape[0], weight.shape[0])];
  },
  vjp: ({ inputs: [x, weight] }, [dy], needs) => [
    needs[0] ? x.graph.append(linearDataGradientOp, [dy!, weight])[0] : undefined,
    ...needs[1] || needs[2] ? x.graph.append(linearParameterGradientsOp, [x, dy!]) : [],
  ],
  reference: linearReference,
  lower: lowerLinear,
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(outputs[0].shape) * inputs[0].shape[1],
    bytes: trafficOf(inputs, outputs),
  }),
  cases: linearCases,
};

/** dx [M,K] = dy [M,N] · weight [N,K], and with attrs.extras `["residual"]` + a third input [M,K]. */
export const linearDataGradientOp: OpDef<WithExtras> = {
  name: "linear_data_gradient",
  infer([dy, weight, ...added], { extras = [] }) {
    for (const [name, t] of [["dy", dy], ["weight", weight]] as const) requireRank(name, t, 2);
    if (dy.shape[1] !== weight.shape[0]) {
      throw new Error(
        `${show("dy", dy)} must have as many columns as ${show("weight", weight)} rows`,
      );
    }
    const dx = f32(dy.shape[0], weight.shape[1]);
    if (extras.join() !== added.map(() => "residual").join()) {
      throw new Error(`${2 + added.length} inputs must be dy, weight and ${extras.join(", ")}`);
    }
    for (const t of added) requireSame("residual", t, "dx", dx);
    return [dx];
  },
  vjp: "non-differentiable",
  reference: linearDataGradientReference,
  lower: lowerLinearDataGradient,
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape) * inputs[1].shape[1],
    bytes: trafficOf(inputs, outputs),
  }),
  cases: linearDataGradientCases,
};

/** dweight [N,K] = dyᵀ · x and dbias [N], the sums of dy's columns, for x [M,K] and dy [M,N]. */
export const linearParameterGradientsOp: OpDef = {
  name: "linear_parameter_gradients",
  infer([x, dy]) {
    requireMatrices(x, "x", dy, "dy", 0);
    return [f32(dy.shape[1], x.shape[1]), f32(dy.shape[1])];
  },
  vjp: "non-differentiable",
  reference: linearParameterGradientsReference,
  lower: lowerLinearParameterGradients,
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape) * inputs[1].shape[1],
    bytes: trafficOf(inputs, outputs),
  }),
  cases: linearParameterGradientsCases,
};
