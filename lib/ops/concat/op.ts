/** Joining and cutting along the batch or the channels. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { show, type Tensor, type TensorType } from "../../graph/tensor.ts";
import { type ConcatAttrs, type SliceAttrs, split } from "./shared.ts";
import { concatReference, sliceBackwardReference, sliceReference } from "./reference.ts";
import { lowerConcat, lowerSlice, lowerSliceBackward } from "./lower.ts";
import { concatCases, sliceBackwardCases, sliceCases } from "./cases.ts";

/**
 * Tensors of one dtype, of one shape but for `axis`, one after the other along it.
 *
 * @example
 * ```ts
 * import { concat, f32, Graph, interpret, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const a = g.input("a", f32(1, 2)), b = g.input("b", f32(1, 1));
 * g.output("y", concat([a, b], 1));
 * interpret(g, OPS, { a: [1, 2], b: [3] }).outputs.get("y"); // [1, 2, 3], of shape [1, 3]
 * ```
 */
export function concat(tensors: Tensor[], axis: 0 | 1): Tensor {
  return tensors[0].graph.append(concatOp, tensors, { axis })[0];
}

/**
 * Elements [start, start + length) of x along `axis`.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, OPS, slice } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 3));
 * g.output("y", slice(x, 1, 1, 2));
 * interpret(g, OPS, { x: [1, 2, 3] }).outputs.get("y"); // [2, 3]
 * ```
 */
export function slice(x: Tensor, axis: 0 | 1, start: number, length: number): Tensor {
  return x.graph.append(sliceOp, [x], { axis, start, length })[0];
}

const withLength = ({ shape, dtype }: TensorType, axis: number, length: number): TensorType => ({
  shape: shape.with(axis, length),
  dtype,
});

function requireAxis(x: TensorType, axis: number): void {
  if (!(axis === 0 || axis === 1) || axis >= x.shape.length) {
    throw new Error(`axis ${axis} must be 0 or 1 and an axis of ${show("x", x)}`);
  }
}

export const concatOp: OpDef<ConcatAttrs> = {
  name: "concat",
  infer(inputs, { axis }) {
    const [first] = inputs;
    requireAxis(first, axis);
    inputs.forEach((t, i) => {
      const fits = t.dtype === first.dtype && t.shape.length === first.shape.length &&
        t.shape.every((n, k) => k === axis || n === first.shape[k]);
      if (!fits) {
        throw new Error(
          `${show(`input ${i}`, t)} must equal ${show("input 0", first)} but for axis ${axis}`,
        );
      }
    });
    return [withLength(first, axis, inputs.reduce((sum, t) => sum + t.shape[axis], 0))];
  },
  half: (_, inputs) => [{ inputs: inputs.map((_, i) => i), outputs: [0] }],
  vjp({ inputs, attrs: { axis } }, [dy], needs) {
    let start = 0;
    return inputs.map((t, i) => {
      const length = t.shape[axis];
      start += length;
      return needs[i] ? slice(dy!, axis, start - length, length) : undefined;
    });
  },
  reference: concatReference,
  lower: lowerConcat,
  pieces(inputs, [y], { axis }) {
    const { rows, unit } = split(y, axis);
    const row = y.shape[axis] * unit;
    let before = 0;
    return inputs.flatMap((t, i) => {
      const size = t.shape[axis] * unit;
      const start = before;
      before += size;
      return Array.from({ length: rows }, (_, r) => ({
        input: i,
        offset: r * size,
        size,
        at: r * row + start,
      }));
    });
  },
  cost: (inputs, outputs) => ({ flops: 0, bytes: trafficOf(inputs, outputs) }),
  cases: concatCases,
};

export const sliceOp: OpDef<SliceAttrs> = {
  name: "slice",
  infer([x], { axis, start, length }) {
    requireAxis(x, axis);
    if (!(start >= 0 && length > 0 && start + length <= x.shape[axis])) {
      throw new Error(
        `start ${start} and length ${length} must lie within axis ${axis} of ${show("x", x)}`,
      );
    }
    return [withLength(x, axis, length)];
  },
  half: () => [{ inputs: [0], outputs: [0] }],
  vjp: ({ inputs: [x], attrs: { axis, start } }, [dy]) => [
    x.graph.append(sliceBackwardOp, [dy!], { axis, start, length: x.shape[axis] })[0],
  ],
  reference: sliceReference,
  lower: lowerSlice,
  pieces([x], [y], { axis, start }) {
    const { rows, unit } = split(y, axis);
    const [stride, size] = [x.shape[axis] * unit, y.shape[axis] * unit];
    return Array.from({ length: rows }, (_, r) => ({
      input: 0,
      offset: r * stride + start * unit,
      size,
      at: r * size,
    }));
  },
  cost: (_, outputs) => ({ flops: 0, bytes: 2 * trafficOf([], outputs) }),
  cases: sliceCases,
};

/** dy within zeros: the gradient of a slice. */
export const sliceBackwardOp: OpDef<SliceAttrs> = {
  name: "slice_backward",
  infer([dy], { axis, start, length }) {
    requireAxis(dy, axis);
    if (start + dy.shape[axis] > length) {
      throw new Error(`${show("dy", dy)} at ${start} must end by ${length} on axis ${axis}`);
    }
    return [withLength(dy, axis, length)];
  },
  half: () => [{ inputs: [0], outputs: [0] }],
  vjp: "non-differentiable",
  reference: sliceBackwardReference,
  lower: lowerSliceBackward,
  cost: (inputs, outputs) => ({ flops: 0, bytes: trafficOf(inputs, outputs) }),
  cases: sliceBackwardCases,
};
