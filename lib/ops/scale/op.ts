/** y = factor·x, elementwise. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { ELEMENTWISE, f32, kernel, only, requireStored, storedAs } from "../common/checks.ts";
import text from "../../../kernels/scale/forward.wgsl" with { type: "text" };

const SCALE = kernel("scale/forward.wgsl", text);

/**
 * factor·x, elementwise; of any shape.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, OPS, scale } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(2));
 * g.output("y", scale(x, 3));
 * interpret(g, OPS, { x: [-1, 2] }).outputs.get("y"); // [-3, 6]
 * ```
 */
export function scale(x: Tensor, factor: number): Tensor {
  return x.graph.append(scaleOp, [x], { factor })[0];
}

interface ScaleAttrs {
  readonly factor: number;
}

export const scaleOp: OpDef<ScaleAttrs> = {
  name: "scale",
  infer([x]) {
    requireStored("x", x);
    return [x];
  },
  half: () => [{ inputs: [0], outputs: [0] }],
  vjp: ({ attrs }, [dy]) => [scale(dy!, attrs.factor)],
  reference: ([x], { factor }) => [x.map((v) => factor * v)],
  lower({ inputs: [x], attrs: { factor } }) {
    const count4 = Math.ceil(sizeOf(x.shape) / 4);
    return only("vec4", () => ({
      calls: [{
        kernel: SCALE,
        specialize: storedAs(x.dtype, 4),
        params: { count4, factor },
        bindings: { x: input(0), y: output() },
        workgroups: gridFor(count4, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // The factor and the product are rounded once each.
  cases: [{ name: "odd", inputs: [f32(3, 6, 17)], attrs: { factor: -0.3 }, tolerance: 2e-7 }],
};
