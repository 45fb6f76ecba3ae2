/** y = x·weightᵀ + bias. */

import { gridFor, input, output } from "../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../graph/op.ts";
import { sameShape, show, sizeOf, type Tensor, type TensorType } from "../graph/tensor.ts";
import {
  ELEMENTWISE,
  f32,
  kernel,
  only,
  requireFloat,
  requireRank,
  requireSame,
} from "./common.ts";
import { requireLoop, storageReading } from "./rows.ts";
import forwardText from "../../kernels/linear/forward.wgsl" with { type: "text" };
import dataText from "../../kernels/linear/backward_data.wgsl" with { type: "text" };
import weightText from "../../kernels/linear/backward_weight.wgsl" with { type: "text" };

const FORWARD = kernel("linear/forward.wgsl", forwardText);
const DATA = kernel("linear/backward_data.wgsl", dataText);
const WEIGHT = kernel("linear/backward_weight.wgsl", weightText);

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

// Sums of K products of both signs: chains of 16 and K/16 give under 5e-7 for K up to 512.
const TOLERANCE = 5e-7;
const SIZES = [
  ["odd", 3, 17, 6],
  ["batch 1", 1, 6, 17],
  ["vec4", 8, 32, 384],
  ["small blocks", 8, 20, 7],
  ["deep", 5, 512, 10],
  ["one column", 3, 1, 5],
] as const;

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
  reference([x, weight, bias], _, [{ shape: [, k] }], [{ shape: [m, n] }]) {
    const y = new Float64Array(m * n);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = bias ? bias[j] : 0;
        for (let l = 0; l < k; l++) sum += x[i * k + l] * weight[j * k + l];
        y[i * n + j] = sum;
      }
    }
    return [y];
  },
  lower({ inputs: [x, , bias], outputs: [y] }) {
    const [m, n] = y.shape;
    const { name, width, value, lanes } = storageReading(x.shape[1]);
    return only(name, () => ({
      calls: [{
        kernel: FORWARD,
        specialize: { ...value, ...lanes },
        params: { m, n, k: x.shape[1] / width, has_bias: bias ? 1 : 0 },
        // Something must be bound where there is no bias.
        bindings: { x: input(0), weight: input(1), bias: input(bias ? 2 : 1), y: output() },
        workgroups: gridFor(n * Math.ceil(m / 4), ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(outputs[0].shape) * inputs[0].shape[1],
    bytes: trafficOf(inputs, outputs),
  }),
  cases: SIZES.map(([name, m, k, n], i) => ({
    name,
    inputs: i % 2 ? [f32(m, k), f32(n, k)] : [f32(m, k), f32(n, k), f32(n)],
    attrs: {},
    tolerance: TOLERANCE,
  })),
};

/** dx [M,K] = dy [M,N] · weight [N,K], and with attrs.extras `["residual"]` + a third input [M,K]. */
export const linearDataGradientOp: OpDef = {
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
  reference([dy, weight, added], _, [, { shape: [n, k] }], [{ shape: [m] }]) {
    const dx = added ? added.slice() : new Float64Array(m * k);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        for (let l = 0; l < k; l++) dx[i * k + l] += dy[i * n + j] * weight[j * k + l];
      }
    }
    return [dx];
  },
  lower({ inputs: [dy, weight, added] }) {
    const [m, n] = dy.shape;
    const { name, width, value } = storageReading(weight.shape[1]);
    const k = weight.shape[1] / width;
    return only(name, () => ({
      calls: [{
        kernel: DATA,
        specialize: value,
        params: { m, n, k, has_added: added ? 1 : 0 },
        // Something must be bound where nothing is added.
        bindings: { dy: input(0), weight: input(1), added: input(added ? 2 : 1), dx: output() },
        workgroups: gridFor(k * Math.ceil(m / 4), ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape) * inputs[1].shape[1],
    bytes: trafficOf(inputs, outputs),
  }),
  cases: SIZES.map(([name, m, k, n], i) => ({
    name,
    inputs: [f32(m, n), f32(n, k), ...(i % 2 ? [] : [f32(m, k)])],
    attrs: i % 2 ? {} : { extras: ["residual"] },
    tolerance: TOLERANCE,
  })),
};

/** dweight [N,K] = dyᵀ · x and dbias [N], the sums of dy's columns, for x [M,K] and dy [M,N]. */
export const linearParameterGradientsOp: OpDef = {
  name: "linear_parameter_gradients",
  infer([x, dy]) {
    requireMatrices(x, "x", dy, "dy", 0);
    return [f32(dy.shape[1], x.shape[1]), f32(dy.shape[1])];
  },
  vjp: "non-differentiable",
  reference([x, dy], _, [{ shape: [m, k] }, { shape: [, n] }]) {
    const [dweight, dbias] = [new Float64Array(n * k), new Float64Array(n)];
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        dbias[j] += dy[i * n + j];
        for (let l = 0; l < k; l++) dweight[j * k + l] += dy[i * n + j] * x[i * k + l];
      }
    }
    return [dweight, dbias];
  },
  lower({ inputs: [x, dy] }) {
    const [m, n] = dy.shape;
    const { name, width, value } = storageReading(x.shape[1]);
    const k = x.shape[1] / width;
    return only(name, () => ({
      calls: [{
        kernel: WEIGHT,
        specialize: value,
        params: { m, n, k },
        bindings: { x: input(0), dy: input(1), dweight: output(0), dbias: output(1) },
        workgroups: gridFor(k * Math.ceil(n / 4), ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape) * inputs[1].shape[1],
    bytes: trafficOf(inputs, outputs),
  }),
  cases: SIZES.map(([name, m, k, n]) => ({
    name,
    inputs: [f32(m, k), f32(m, n)],
    attrs: {},
    tolerance: TOLERANCE,
  })),
};
