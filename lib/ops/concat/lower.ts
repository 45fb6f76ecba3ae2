/** concat: kernel calls, the variants to choose from. */

import { input, output } from "../../graph/kernel_call.ts";
import type { DeviceProfile, OpDef, Variant } from "../../graph/op.ts";
import type { DType, TensorType } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel } from "../common/checks.ts";
import { rowGrid, storageOrStaged } from "../common/vectorized_access.ts";
import { type ConcatAttrs, type SliceAttrs, split } from "./shared.ts";
import stagedLibrary from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import text from "../../../kernels/copy/rows.wgsl" with { type: "text" };
import joinText from "../../../kernels/copy/join.wgsl" with { type: "text" };
import stagedText from "../../../kernels/copy/rows_staged.wgsl" with { type: "text" };

const COPY = kernel("copy/rows.wgsl", text);

const JOIN = kernel("copy/join.wgsl", joinText);

const COPY_STAGED = kernel("copy/rows_staged.wgsl", stagedText, stagedLibrary);

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

export const lowerConcat: OpDef<ConcatAttrs>["lower"] = (
  { inputs, outputs: [y], attrs: { axis }, device },
) => {
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
};

export const lowerSlice: OpDef<SliceAttrs>["lower"] = (
  { inputs: [x], outputs: [y], attrs: { axis, start }, device },
) => {
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
};

export const lowerSliceBackward: OpDef<SliceAttrs>["lower"] = (
  { inputs: [dy], outputs: [dx], attrs: { axis, start }, device },
) => {
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
};
