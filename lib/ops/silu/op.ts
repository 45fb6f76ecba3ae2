/** SiLU, x·sigmoid(x). */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { ELEMENTWISE, f32, kernel, only, requireFloat, requireSame } from "../common/checks.ts";
import forwardText from "../../../kernels/silu/forward.wgsl" with { type: "text" };
import backwardText from "../../../kernels/silu/backward.wgsl" with { type: "text" };

const FORWARD = kernel("silu/forward.wgsl", forwardText);

const BACKWARD = kernel("silu/backward.wgsl", backwardText);

/**
 * x·sigmoid(x), elementwise; of any shape.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, OPS, silu } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(3));
 * g.output("y", silu(x));
 * interpret(g, OPS, { x: [-1, 0, 1] }).outputs.get("y"); // [-0.269, 0, 0.731]
 * ```
 */
export function silu(x: Tensor): Tensor {
  return x.graph.append(siluOp, [x])[0];
}

const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));

const EDGES = [-200, -90, -20, -1e-6, 0, 1e-6, 20, 90, 200];

export const siluOp: OpDef = {
  name: "silu",
  infer([x]) {
    requireFloat("x", x);
    return [x];
  },
  vjp: ({ inputs: [x] }, [dy]) => [x.graph.append(siluBackwardOp, [x, dy!])[0]],
  reference: ([x]) => [x.map((v) => v * sigmoid(v))],
  lower({ inputs: [x] }) {
    const count4 = Math.ceil(sizeOf(x.shape) / 4);
    return only("vec4", () => ({
      calls: [{
        kernel: FORWARD,
        params: { count4 },
        bindings: { x: input(0), y: output() },
        workgroups: gridFor(count4, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 4 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // WGSL allows exp an error of 3 + 2|x| ULP.
  cases: [
    { name: "odd", inputs: [f32(3, 6, 17)], attrs: {}, tolerance: 1e-6 },
    {
      name: "edges",
      inputs: [{ ...f32(9), fill: { kind: "values", values: EDGES } }],
      attrs: {},
      tolerance: 1e-6,
    },
  ],
};

export const siluBackwardOp: OpDef = {
  name: "silu_backward",
  infer([x, dy]) {
    requireFloat("dy", dy);
    requireSame("dy", dy, "x", x);
    return [x];
  },
  vjp: "non-differentiable",
  reference: ([x, dy]) => [x.map((v, i) => {
    const s = sigmoid(v);
    return dy[i] * s * (1 + v * (1 - s));
  })],
  lower({ inputs: [x] }) {
    const count4 = Math.ceil(sizeOf(x.shape) / 4);
    return only("vec4", () => ({
      calls: [{
        kernel: BACKWARD,
        params: { count4 },
        bindings: { x: input(0), dy: input(1), dx: output() },
        workgroups: gridFor(count4, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 8 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: [
    { name: "odd", inputs: [f32(3, 6, 17), f32(3, 6, 17)], attrs: {}, tolerance: 1e-6 },
    {
      name: "edges",
      inputs: [{ ...f32(9), fill: { kind: "values", values: EDGES } }, f32(9)],
      attrs: {},
      tolerance: 1e-6,
    },
  ],
};
