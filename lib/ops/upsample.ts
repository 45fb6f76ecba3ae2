/** Nearest-neighbour upsampling by 2. */

import { gridFor, input, output } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { show, sizeOf, type Tensor } from "../graph/tensor.ts";
import { ELEMENTWISE, f32, requireRank, requireStored, storedType } from "./common.ts";
import { readingKernels, readings, variantsOf } from "./rows.ts";
import forwardText from "../../kernels/upsample_nearest_2x/forward.wgsl" with { type: "text" };
import forwardScalarText from "../../kernels/upsample_nearest_2x/forward_scalar.wgsl" with {
  type: "text",
};
import backwardText from "../../kernels/upsample_nearest_2x/backward.wgsl" with { type: "text" };
import backwardScalarText from "../../kernels/upsample_nearest_2x/backward_scalar.wgsl" with {
  type: "text",
};

const FORWARD = {
  ...readingKernels("upsample_nearest_2x/forward.wgsl", forwardText, "x"),
  scalar: readingKernels("upsample_nearest_2x/forward_scalar.wgsl", forwardScalarText, "x").scalar,
};
const BACKWARD = {
  ...readingKernels("upsample_nearest_2x/backward.wgsl", backwardText, "dy"),
  scalar:
    readingKernels("upsample_nearest_2x/backward_scalar.wgsl", backwardScalarText, "dy").scalar,
};

/**
 * Each pixel of x [N,C,H,W] as 2×2 pixels: [N,C,2H,2W].
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, OPS, upsampleNearest2x } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 1, 1, 2));
 * g.output("y", upsampleNearest2x(x));
 * interpret(g, OPS, { x: [1, 2] }).outputs.get("y"); // [1, 1, 2, 2, 1, 1, 2, 2]
 * ```
 */
export function upsampleNearest2x(x: Tensor): Tensor {
  return x.graph.append(upsampleNearest2xOp, [x])[0];
}

const SHAPES = [["odd", [3, 6, 5, 17]], ["batch 1", [1, 2, 3, 2]], ["vec4", [
  2,
  3,
  6,
  12,
]]] as const;

export const upsampleNearest2xOp: OpDef = {
  name: "upsample_nearest_2x",
  infer([x], attrs) {
    requireStored("x", x);
    requireRank("x", x, 4);
    const [n, c, h, w] = x.shape;
    return [{ shape: [n, c, 2 * h, 2 * w], dtype: storedType(attrs) }];
  },
  half: () => [{ inputs: [0] }, { outputs: [0], named: true }],
  vjp: ({ inputs: [x] }, [dy]) => [x.graph.append(upsampleNearest2xBackwardOp, [dy!])[0]],
  reference([x], _, [{ shape: [, , , width] }], [{ shape: out }]) {
    return [
      new Float64Array(sizeOf(out)).map((_, i) => {
        const column = i % (2 * width), row = Math.floor(i / (2 * width));
        return x[(row >> 1) * width + (column >> 1)];
      }),
    ];
  },
  lower({ inputs: [x], outputs: [y], device }) {
    const ways = readings(device, x, x.shape[3], { stored: y.dtype });
    return variantsOf(ways, ({ name, width, stored, ...r }) => {
      const count = sizeOf(x.shape) / width;
      return {
        calls: [{
          kernel: FORWARD[name],
          specialize: { ...r.x, ...stored },
          params: { count, [width === 4 ? "width4" : "width"]: x.shape[3] / width },
          bindings: { x: input(0), y: output() },
          workgroups: gridFor(count, ELEMENTWISE),
        }],
      };
    });
  },
  cost: (inputs, outputs) => ({ flops: 0, bytes: trafficOf(inputs, outputs) }),
  cases: SHAPES.map(([name, shape]): OpCase => ({
    name,
    inputs: [f32(...shape)],
    attrs: {},
    tolerance: 0, // copies
  })),
};

export const upsampleNearest2xBackwardOp: OpDef = {
  name: "upsample_nearest_2x_backward",
  infer([dy]) {
    requireStored("dy", dy);
    requireRank("dy", dy, 4);
    const [n, c, h, w] = dy.shape;
    if (h % 2 || w % 2) throw new Error(`${show("dy", dy)} must have even height and width`);
    return [{ shape: [n, c, h / 2, w / 2], dtype: dy.dtype }];
  },
  half: () => [{ inputs: [0], outputs: [0] }],
  vjp: "non-differentiable",
  reference([dy], _, [{ shape: [, , , wide] }], [{ shape: out }]) {
    const width = wide / 2;
    return [
      new Float64Array(sizeOf(out)).map((_, i) => {
        const at = 2 * Math.floor(i / width) * wide + 2 * (i % width);
        return dy[at] + dy[at + 1] + dy[at + wide] + dy[at + wide + 1];
      }),
    ];
  },
  lower({ inputs: [dy], outputs: [dx], device }) {
    const ways = readings(device, dy, dx.shape[3], { stored: dx.dtype });
    return variantsOf(ways, ({ name, width, stored, ...r }) => {
      const count = sizeOf(dx.shape) / width;
      return {
        calls: [{
          kernel: BACKWARD[name],
          specialize: { ...r.dy, ...stored },
          params: { count, [width === 4 ? "width4" : "width"]: dx.shape[3] / width },
          bindings: { dy: input(0), dx: output() },
          workgroups: gridFor(count, ELEMENTWISE),
        }],
      };
    });
  },
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: SHAPES.map(([name, [n, c, h, w]]): OpCase => ({
    name,
    inputs: [f32(n, c, 2 * h, 2 * w)],
    attrs: {},
    tolerance: 2e-7, // three roundings of 2^-24, two of them along any path
  })),
};
