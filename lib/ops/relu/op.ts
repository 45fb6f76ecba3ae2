/** max(x, 0). Inference only: the networks that measure images are never trained here. */

import {
  type BufferRef,
  gridFor,
  input,
  type KernelCall,
  output,
} from "../../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { ELEMENTWISE, f32, kernel, only, requireFloat } from "../common/checks.ts";
import text from "../../../kernels/relu/forward.wgsl" with { type: "text" };

const FORWARD = kernel("relu/forward.wgsl", text);

/**
 * max(x, 0), elementwise; of any shape. Inference only.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, OPS, relu } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(2));
 * g.output("y", relu(x));
 * interpret(g, OPS, { x: [-1, 2] }).outputs.get("y"); // [0, 2]
 * ```
 */
export function relu(x: Tensor): Tensor {
  return x.graph.append(reluOp, [x])[0];
}

export const reluOp: OpDef = {
  name: "relu",
  infer([x]) {
    requireFloat("x", x);
    return [x];
  },
  vjp: "non-differentiable",
  reference: ([x]) => [x.map((v) => v < 0 ? 0 : v)],
  lower({ inputs: [x] }) {
    return only("vec4", () => ({
      calls: [reluCall(sizeOf(x.shape), { x: input(0), y: output() })],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: [
    { name: "odd", inputs: [f32(3, 6, 17)], attrs: {}, tolerance: 0 }, // a choice, no arithmetic
    { name: "one", inputs: [f32(1)], attrs: {}, tolerance: 0 },
  ],
};

/** Over `count` elements. */
export function reluCall(
  count: number,
  bindings: { readonly x: BufferRef; readonly y: BufferRef },
): KernelCall {
  const count4 = Math.ceil(count / 4);
  return {
    kernel: FORWARD,
    params: { count4 },
    bindings,
    workgroups: gridFor(count4, ELEMENTWISE),
  };
}
