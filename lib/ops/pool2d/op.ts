/** Pooling over windows. Inference only: the networks that measure images are never trained here. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { show, sizeOf, type Tensor, type TensorType } from "../../graph/tensor.ts";
import { f32, requireFloat, requireRank } from "../common/checks.ts";
import { requireFlat } from "../common/flat.ts";
import { averagePool2dCases, maxPool2dCases } from "./cases.ts";
import { type Pool2dAttrs, sizes } from "./geometry.ts";
import { lowerAveragePool2d, lowerMaxPool2d } from "./lower.ts";
import { averagePool2dReference, maxPool2dReference } from "./reference.ts";

/** The windows of a pool. */
export interface Pool2dOptions {
  /** A side, or [height, width]. */
  readonly window: number | readonly [number, number];
  /** Pixels from one window to the next; 1 by default. */
  readonly stride?: number;
  /** On all sides; what is added takes no part in the maximum or the mean. */
  readonly padding?: number;
  /** x holds flat planes of images of this height and width; so will the result. */
  readonly flat?: readonly [number, number];
  /** Elements from row to row of flat planes; the width by default. The result has no gaps. */
  readonly pitch?: number;
}

/**
 * Largest value of each window: x [N,C,H,W] → [N,C,Ho,Wo], rounded down as PyTorch does. Flat planes
 * [N,C,1,P] (see flat.ts) become flat planes.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, maxPool2d, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 1, 2, 2));
 * g.output("y", maxPool2d(x, { window: 2 }));
 * interpret(g, OPS, { x: [1, 2, 3, 4] }).outputs.get("y"); // [4]
 * ```
 */
export function maxPool2d(x: Tensor, options: Pool2dOptions): Tensor {
  return x.graph.append(maxPool2dOp, [x], attrsOf(options))[0];
}

/**
 * Mean of each window's pixels inside x (`count_include_pad=False`): [N,C,H,W] → [N,C,Ho,Wo].
 *
 * @example
 * ```ts
 * import { averagePool2d, f32, Graph, interpret, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 1, 2, 2));
 * g.output("y", averagePool2d(x, { window: 2 }));
 * interpret(g, OPS, { x: [1, 2, 3, 4] }).outputs.get("y"); // [2.5]
 * ```
 */
export function averagePool2d(x: Tensor, options: Pool2dOptions): Tensor {
  return x.graph.append(averagePool2dOp, [x], attrsOf(options))[0];
}

function attrsOf({ window, stride = 1, padding = 0, flat, pitch }: Pool2dOptions): Pool2dAttrs {
  const sides = typeof window === "number" ? [window, window] as const : window;
  const layout = flat ? { flat, pitch: pitch ?? flat[1] } : {};
  return { window: sides, stride, padding, ...layout };
}

function infer(x: TensorType, attrs: Pool2dAttrs): TensorType {
  const { window, stride, padding, flat } = attrs;
  requireFloat("x", x);
  requireRank("x", x, 4);
  if (![...window, stride].every((v) => Number.isInteger(v) && v > 0)) {
    throw new Error(`window [${window}] and stride ${stride} must be whole and positive`);
  }
  if (!Number.isInteger(padding) || padding < 0 || 2 * padding > Math.min(...window)) {
    throw new Error(`padding ${padding} must be whole and at most half the window [${window}]`);
  }
  const { w, pitch, height, width, outPlane } = sizes(x, attrs);
  if (flat) requireFlat(x, [flat[0], pitch]);
  if (pitch < w) throw new Error(`pitch ${pitch} must be at least the width ${w}`);
  if (height < 1 || width < 1) {
    throw new Error(`window [${window}] must fit in ${show("x", x)} with padding ${padding}`);
  }
  const [n, c] = x.shape;
  return flat ? f32(n, c, 1, outPlane) : f32(n, c, height, width);
}

const cost: OpDef<Pool2dAttrs>["cost"] = (inputs, outputs, { window }) => ({
  flops: sizeOf(outputs[0].shape) * window[0] * window[1],
  bytes: trafficOf(inputs, outputs),
});

export const maxPool2dOp: OpDef<Pool2dAttrs> = {
  name: "max_pool2d",
  infer: ([x], attrs) => [infer(x, attrs)],
  vjp: "non-differentiable",
  reference: maxPool2dReference,
  lower: lowerMaxPool2d,
  cost,
  cases: maxPool2dCases,
};

export const averagePool2dOp: OpDef<Pool2dAttrs> = {
  name: "average_pool2d",
  infer: ([x], attrs) => [infer(x, attrs)],
  vjp: "non-differentiable",
  reference: averagePool2dReference,
  lower: lowerAveragePool2d,
  cost,
  cases: averagePool2dCases,
};
