/** Nearest-neighbour upsampling by 2. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { show, sizeOf, type Tensor } from "../../graph/tensor.ts";
import { requireRank, requireStored, type Stored, storedType } from "../common/checks.ts";
import { upsampleNearest2xBackwardReference, upsampleNearest2xReference } from "./reference.ts";
import { lowerUpsampleNearest2x, lowerUpsampleNearest2xBackward } from "./lower.ts";
import { upsampleNearest2xBackwardCases, upsampleNearest2xCases } from "./cases.ts";

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

export const upsampleNearest2xOp: OpDef<Stored> = {
  name: "upsample_nearest_2x",
  infer([x], attrs) {
    requireStored("x", x);
    requireRank("x", x, 4);
    const [n, c, h, w] = x.shape;
    return [{ shape: [n, c, 2 * h, 2 * w], dtype: storedType(attrs) }];
  },
  half: () => [{ inputs: [0] }, { outputs: [0], named: true }],
  vjp: ({ inputs: [x] }, [dy]) => [x.graph.append(upsampleNearest2xBackwardOp, [dy!])[0]],
  reference: upsampleNearest2xReference,
  lower: lowerUpsampleNearest2x,
  cost: (inputs, outputs) => ({ flops: 0, bytes: trafficOf(inputs, outputs) }),
  cases: upsampleNearest2xCases,
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
  reference: upsampleNearest2xBackwardReference,
  lower: lowerUpsampleNearest2xBackward,
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: upsampleNearest2xBackwardCases,
};
