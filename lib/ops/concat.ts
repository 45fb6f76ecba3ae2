/** Joining and cutting along the batch or the channels. */

import { input, output } from "../graph/kernel_call.ts";
import {
  type DeviceProfile,
  type OpCase,
  type OpDef,
  trafficOf,
  type Variant,
} from "../graph/op.ts";
import { type DType, show, sizeOf, type Tensor, type TensorType } from "../graph/tensor.ts";
import { ELEMENTWISE, f32, i32, kernel } from "./common.ts";
import { rowGrid, storageOrStaged } from "./rows.ts";
import stagedLibrary from "../../kernels/lib/staged.wgsl" with { type: "text" };
import text from "../../kernels/copy/rows.wgsl" with { type: "text" };
import joinText from "../../kernels/copy/join.wgsl" with { type: "text" };
import stagedText from "../../kernels/copy/rows_staged.wgsl" with { type: "text" };

const COPY = kernel("copy/rows.wgsl", text);
const JOIN = kernel("copy/join.wgsl", joinText);
const COPY_STAGED = kernel("copy/rows_staged.wgsl", stagedText, stagedLibrary);

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

/** x as rows over the axes before `axis`: their number, and the elements of one step along `axis`. */
function split({ shape }: TensorType, axis: number) {
  return { rows: sizeOf(shape.slice(0, axis)), unit: sizeOf(shape.slice(axis + 1)) };
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

interface CopyParams {
  count: number;
  x_stride: number;
  x_start: number;
  x_count: number;
  y_stride: number;
  y_offset: number;
}

/** Elements that are copied at once, and as what: nothing is computed, so f16 goes by words too. */
const UNITS: readonly [number, string][] = [[4, "vec4<u32>"], [1, "u32"]];
const HALF_UNITS: readonly [number, string][] = [
  [8, "vec4<u32>"],
  [4, "vec2<u32>"],
  [2, "u32"],
  [1, "f16"],
];

/** The largest unit that all lengths are multiples of. */
const unitOf = (dtype: DType, lengths: readonly number[]) =>
  (dtype === "f16" ? HALF_UNITS : UNITS).find(([elements]) =>
    lengths.every((n) => n % elements === 0)
  )!;

/** Two to four inputs in one dispatch; `lengths` are those of their rows. */
function joins(rows: number, lengths: readonly number[], { dtype }: TensorType): Variant[] {
  if (lengths.length < 2 || lengths.length > 4) return [];
  const [width, Value] = unitOf(dtype, lengths);
  const units = lengths.map((n) => n / width);
  const end = (parts: number) => units.slice(0, parts).reduce((a, b) => a + b, 0);
  const length = end(4);
  const x = (i: number) => input(i < lengths.length ? i : 0);
  const build = () => ({
    calls: [{
      kernel: JOIN,
      specialize: { Value },
      params: { end0: end(1), end1: end(2), end2: end(3), length },
      bindings: { x0: x(0), x1: x(1), x2: x(2), x3: x(3), y: output() },
      workgroups: [Math.ceil(length / (8 * ELEMENTWISE)), rows, 1] as [number, number, number],
    }],
  });
  return [{ name: "joined", exact: true, build }];
}

/** The copies of some inputs, `rows` rows each; lengths in elements. */
function copies(
  rows: number,
  all: readonly CopyParams[],
  tensors: readonly TensorType[],
  device: DeviceProfile,
): Variant[] {
  const { dtype } = tensors[0];
  const [width, Value] = unitOf(dtype, all.flatMap((p) => Object.values(p)));
  const wide = Value === "vec4<u32>";
  const params = (p: CopyParams) =>
    Object.fromEntries(Object.entries(p).map(([name, n]) => [name, n / width]));
  const plain: Variant = {
    name: wide ? "vec4" : "scalar",
    exact: true,
    build: () => ({
      calls: all.map((p, i) => ({
        kernel: COPY,
        specialize: { Value },
        params: params(p),
        bindings: { x: input(i), y: output() },
        workgroups: [Math.ceil(p.count / width / (8 * ELEMENTWISE)), rows, 1],
      })),
    }),
  };
  if (!wide) return [plain];
  const staged: Variant = {
    name: "staged",
    exact: true,
    build: () => ({
      calls: all.map((p, i) => {
        const { constants, params: { chunks, steps } } = rowGrid(device, rows, p.count / width);
        return {
          kernel: COPY_STAGED,
          constants,
          params: { ...params(p), steps },
          bindings: { x: { ...input(i), bits: true }, y: output() },
          workgroups: [chunks, rows, 1],
        };
      }),
    }),
  };
  return storageOrStaged(device, tensors, plain, staged);
}

export const concatOp: OpDef = {
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
  reference(inputs, { axis }, types, [type]) {
    const { rows, unit } = split(type, axis);
    const y = new Float64Array(sizeOf(type.shape));
    let at = 0;
    for (let r = 0; r < rows; r++) {
      inputs.forEach((x, i) => {
        const count = types[i].shape[axis] * unit;
        y.set(x.subarray(r * count, (r + 1) * count), at);
        at += count;
      });
    }
    return [y];
  },
  lower({ inputs, outputs: [y], attrs: { axis }, device }) {
    const { rows, unit } = split(y, axis);
    let offset = 0;
    const all = inputs.map((t): CopyParams => {
      const count = t.shape[axis] * unit;
      offset += count;
      return {
        count,
        x_stride: count,
        x_start: 0,
        x_count: count,
        y_stride: y.shape[axis] * unit,
        y_offset: offset - count,
      };
    });
    const apart = copies(rows, all, inputs, device);
    const together = joins(rows, all.map((p) => p.count), y);
    return device.software ? [...apart, ...together] : [...together, ...apart];
  },
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
  // Copies are exact.
  cases: [
    { name: "odd", inputs: [f32(3, 6, 17), f32(3, 1, 17)], attrs: { axis: 1 }, tolerance: 0 },
    {
      name: "three, vec4",
      inputs: [f32(2, 3, 4, 4), f32(2, 5, 4, 4), f32(2, 1, 4, 4)],
      attrs: { axis: 1 },
      tolerance: 0,
    },
    { name: "batch", inputs: [f32(1, 6, 17), f32(3, 6, 17)], attrs: { axis: 0 }, tolerance: 0 },
    { name: "one", inputs: [f32(2, 3)], attrs: { axis: 1 }, tolerance: 0 },
    {
      // More than a workgroup takes of a row.
      name: "four, long rows",
      inputs: [f32(2, 3, 7, 11), f32(2, 2, 7, 11), f32(2, 1, 7, 11), f32(2, 4, 7, 11)],
      attrs: { axis: 1 },
      tolerance: 0,
    },
    {
      name: "five",
      inputs: [f32(2, 3), f32(2, 1), f32(2, 2), f32(2, 3), f32(2, 1)],
      attrs: { axis: 1 },
      tolerance: 0,
    },
    {
      name: "integers",
      inputs: [i32(3), i32(2)],
      attrs: { axis: 0 },
      tolerance: 0,
      checkGradient: false,
    },
    {
      name: "long rows",
      inputs: [f32(1, 2, 2052), f32(1, 1, 2052)],
      attrs: { axis: 1 },
      tolerance: 0,
    },
  ],
};

export const sliceOp: OpDef = {
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
  reference([x], { axis, start }, [from], [to]) {
    const { rows, unit } = split(to, axis);
    const [stride, count] = [from.shape[axis] * unit, to.shape[axis] * unit];
    const y = new Float64Array(rows * count);
    for (let r = 0; r < rows; r++) {
      const at = r * stride + start * unit;
      y.set(x.subarray(at, at + count), r * count);
    }
    return [y];
  },
  lower({ inputs: [x], outputs: [y], attrs: { axis, start }, device }) {
    const { rows, unit } = split(y, axis);
    const [stride, count] = [x.shape[axis] * unit, y.shape[axis] * unit];
    const params: CopyParams = {
      count,
      x_stride: stride,
      x_start: -start * unit,
      x_count: stride,
      y_stride: count,
      y_offset: 0,
    };
    return copies(rows, [params], [x], device);
  },
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
  cases: [
    ["odd", [3, 6, 17], 1, 2, 3],
    ["vec4", [2, 5, 4, 4], 1, 1, 2],
    ["batch", [3, 6, 17], 0, 1, 2],
    ["end", [1, 6, 4], 1, 5, 1],
  ].map(([name, shape, axis, start, length]) => ({
    name,
    inputs: [f32(...shape as number[])],
    attrs: { axis, start, length },
    tolerance: 0,
  } as OpCase)),
};

/** dy within zeros: the gradient of a slice. */
export const sliceBackwardOp: OpDef = {
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
  reference([dy], { axis, start }, [from], [to]) {
    const { rows, unit } = split(to, axis);
    const [count, stride] = [from.shape[axis] * unit, to.shape[axis] * unit];
    const dx = new Float64Array(rows * stride);
    for (let r = 0; r < rows; r++) {
      dx.set(dy.subarray(r * count, (r + 1) * count), r * stride + start * unit);
    }
    return [dx];
  },
  lower({ inputs: [dy], outputs: [dx], attrs: { axis, start }, device }) {
    const { rows, unit } = split(dx, axis);
    const [count, stride] = [dy.shape[axis] * unit, dx.shape[axis] * unit];
    const params: CopyParams = {
      count: stride,
      x_stride: count,
      x_start: start * unit,
      x_count: count,
      y_stride: stride,
      y_offset: 0,
    };
    return copies(rows, [params], [dy], device);
  },
  cost: (inputs, outputs) => ({ flops: 0, bytes: trafficOf(inputs, outputs) }),
  cases: [
    ["odd", [3, 2, 17], 1, 2, 6],
    ["vec4", [2, 3, 4, 4], 1, 1, 5],
    ["batch", [1, 6, 17], 0, 1, 3],
  ].map(([name, shape, axis, start, length]) => ({
    name,
    inputs: [f32(...shape as number[])],
    attrs: { axis, start, length },
    tolerance: 0,
  } as OpCase)),
};
