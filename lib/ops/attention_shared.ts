/** Shapes and helper calls that attention's forward and backward ops share. */

import { type BufferRef, gridFor, type KernelCall } from "../graph/kernel_call.ts";
import { sameShape, show, sizeOf, type TensorType } from "../graph/tensor.ts";
import { ELEMENTWISE, kernel, requireFloat } from "./common.ts";
import { requireLoop } from "./rows.ts";
import text from "../../kernels/attention/resize_rows.wgsl" with { type: "text" };

const RESIZE_ROWS = kernel("attention/resize_rows.wgsl", text);

/** Name, shape, heads and tolerance of the cases. */
export const SHAPES: readonly [string, number[], number, number][] = [
  ["odd", [3, 6, 17], 2, 1e-6],
  ["image, head dim 1", [1, 6, 3, 8], 6, 1e-6],
  ["image", [2, 16, 8, 10], 2, 1e-6],
  ["odd long", [1, 3, 517], 1, 2e-6],
  ["head dim 128", [1, 128, 24], 1, 2e-6],
  ["32 x 32", [1, 16, 32, 32], 2, 2e-6],
];

export function dimensions(x: TensorType, heads: number) {
  const [batch, channels, ...rest] = x.shape;
  return { batch, channels, headDim: channels / heads, tokens: sizeOf(rest) };
}

export function requireAttention(tensors: Record<string, TensorType>, heads: number): void {
  const [[firstName, first], ...others] = Object.entries(tensors);
  requireFloat(firstName, first);
  if (first.shape.length !== 3 && first.shape.length !== 4) {
    throw new Error(`${show(firstName, first)} must be [N,C,T] or [N,C,H,W]`);
  }
  for (const [name, t] of others) {
    requireFloat(name, t);
    if (!sameShape(t.shape, first.shape)) {
      throw new Error(`${show(name, t)} must have the shape of ${show(firstName, first)}`);
    }
  }
  if (!(Number.isInteger(heads) && heads > 0 && first.shape[1] % heads === 0)) {
    throw new Error(
      `heads ${heads} must divide channels ${first.shape[1]} of ${show(firstName, first)}`,
    );
  }
  // An invocation walks over all tokens, four at a time, and over its channels within.
  const { headDim, tokens } = dimensions(first, heads);
  requireLoop(
    `steps over ${tokens} tokens and ${headDim} channels of ${show(firstName, first)}`,
    Math.ceil(tokens / 4) * (1 + 2 * headDim),
  );
}

/** The call that pads rows with zeros, or cuts the padding off. */
export function resizeRows(
  rows: number,
  from: number,
  to: number,
  x: BufferRef,
  y: BufferRef,
): KernelCall {
  const count = rows * to;
  return {
    kernel: RESIZE_ROWS,
    params: { count, x_length: from, y_length: to },
    bindings: { x, y },
    workgroups: gridFor(count, ELEMENTWISE),
    note: from < to ? "pad" : "unpad",
  };
}

/** Four tokens an invocation along x, a head of an image along y. */
export function attentionGrid(heads: number, stride: number): [number, number, number] {
  return [Math.ceil(stride / 4 / ELEMENTWISE), heads, 1];
}
