/** Shapes and helper calls that attention's forward and backward ops share. */

import {
  type BufferRef,
  gridFor,
  type KernelCall,
  type Lowering,
} from "../../graph/kernel_call.ts";
import type { DeviceProfile, Variant } from "../../graph/op.ts";
import { type DType, show, sizeOf, type TensorType } from "../../graph/tensor.ts";
import {
  ELEMENTWISE,
  kernel,
  requireAlike,
  requireStored,
  storedAs,
  subgroupLanes,
} from "../common/checks.ts";
import { FIRST_EIGHT } from "../common/subgroup_sharing.ts";
import {
  type Reading,
  requireLoop,
  stageable,
  storageOrStaged,
} from "../common/vectorized_access.ts";
import convertText from "../../../kernels/convert/forward_staged.wgsl" with { type: "text" };
import stagedLibrary from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import text from "../../../kernels/attention/resize_rows.wgsl" with { type: "text" };
import headText from "../../../kernels/lib/head_8.wgsl" with { type: "text" };
import headStaged from "../../../kernels/lib/head_8_staged.wgsl" with { type: "text" };
import headStored from "../../../kernels/lib/head_8_stored.wgsl" with { type: "text" };
import walkText from "../../../kernels/lib/walk_8.wgsl" with { type: "text" };
import walkLanesText from "../../../kernels/lib/walk_8_lanes.wgsl" with { type: "text" };

const CONVERT = kernel("convert/forward_staged.wgsl", convertText, stagedLibrary);

const RESIZE_ROWS = kernel("attention/resize_rows.wgsl", text);

/** Name, shape, heads and tolerance of the cases. */
export const SHAPES: readonly [string, number[], number, number][] = [
  ["odd", [3, 6, 17], 2, 1e-6],
  // Rows are padded to multiples of 8 tokens: by one, and by six.
  ["a token short", [1, 3, 23], 1, 1e-6],
  ["six tokens short", [1, 2, 10], 1, 1e-6],
  ["image, head dim 1", [1, 6, 3, 8], 6, 1e-6],
  ["image", [2, 16, 8, 10], 2, 1e-6],
  ["odd long", [1, 3, 517], 1, 2e-6],
  ["head dim 128", [1, 128, 24], 1, 2e-6],
  ["32 x 32", [2, 16, 32, 32], 2, 2e-6],
  ["heads of 8", [3, 32, 10, 12], 4, 1e-6],
  ["heads of 8, an odd number of fours", [2, 16, 4, 9], 2, 1e-6],
];

/** Of attention and its gradient; see {@link attention}. */
export interface AttentionAttrs {
  readonly heads: number;
  readonly scale: number;
}

/** What lowering needs to know of q: `all` heads of the whole batch. */
export interface AttentionShape {
  readonly all: number;
  readonly headDim: number;
  readonly tokens: number;
  readonly dtype: DType;
  readonly device: DeviceProfile;
}

export function attentionShape(q: TensorType, heads: number, device: DeviceProfile) {
  const { batch, headDim, tokens } = dimensions(q, heads);
  return { all: batch * heads, headDim, tokens, dtype: q.dtype, device };
}

export function dimensions(x: TensorType, heads: number) {
  const [batch, channels, ...rest] = x.shape;
  return { batch, channels, headDim: channels / heads, tokens: sizeOf(rest) };
}

export function requireAttention(tensors: Record<string, TensorType>, heads: number): void {
  const [[firstName, first], ...others] = Object.entries(tensors);
  requireStored(firstName, first);
  if (first.shape.length !== 3 && first.shape.length !== 4) {
    throw new Error(`${show(firstName, first)} must be [N,C,T] or [N,C,H,W]`);
  }
  for (const [name, t] of others) {
    requireAlike(name, t, firstName, first);
  }
  if (!(Number.isInteger(heads) && heads > 0 && first.shape[1] % heads === 0)) {
    throw new Error(
      `heads ${heads} must divide channels ${first.shape[1]} of ${show(firstName, first)}`,
    );
  }
}

/** How the unrolled kernels read what they walk over: each invocation for itself, or a subgroup. */
export type Walk = "alone" | "by lanes";

/** What the unrolled kernels join, by {@link Walk}. */
export const HEAD_8: Readonly<Record<Walk, readonly string[]>> = {
  alone: [stagedLibrary, headText, headStaged, walkText],
  "by lanes": [stagedLibrary, headText, headStaged, FIRST_EIGHT, walkLanesText],
};

/** … and on GPUs, where 16 invocations of a workgroup walk over a fourth each. */
export const HEAD_8_PARTS = [headText, headStored] as const;

/** What differs from call to call of the kernels that walk in parts. */
export const partsCall = ({ all, tokens, dtype }: AttentionShape, scale: number) => ({
  specialize: { StoredX: storedAs(dtype, 4).Stored, ...storedAs(dtype, 4) },
  params: { stride4: tokens / 4, scale },
  workgroups: attentionGrid(all, tokens, 16),
});

/** The general kernel with each reading and, for heads of 8 channels, the unrolled ones. */
export function attentionVariants(
  { headDim, tokens, device }: AttentionShape,
  q: TensorType,
  general: (reading: Reading["name"]) => Lowering,
  eight: (walk: Walk) => Lowering,
  parts: () => Lowering,
): Variant[] {
  const storage = { name: "general", exact: true, build: () => general("vec4") };
  const staged = { name: "general_staged", exact: true, build: () => general("staged") };
  const all = storageOrStaged<Variant>(device, [q], storage, staged);
  if (headDim !== 8 || tokens % 4) return all;
  const inParts = { name: "eight_parts", exact: true, build: parts };
  const textures = device.limits.maxStorageTexturesPerShaderStage;
  const alone = stageable(q) && textures >= 6
    ? [{ name: "eight", exact: true, build: () => eight("alone") }]
    : [];
  if (!device.software) return [inParts, ...all, ...alone];
  const byLanes = { name: "eight_lanes", exact: true, build: () => eight("by lanes") };
  const shared = alone.length && subgroupLanes(device) ? [byLanes] : [];
  return [...shared, ...alone, ...all, inParts];
}

/** An invocation of the general kernels walks over all tokens, and over its channels within. */
export function requireIterations(headDim: number, stride: number, device: DeviceProfile): void {
  if (!device.software) return;
  const iterations = (stride / 8) * (1 + 2 * headDim) + 2 * headDim;
  requireLoop(`steps over ${stride} tokens with ${headDim} channels a head`, iterations);
}

interface Rows {
  readonly length: number;
  readonly dtype: DType;
}

/** The call that pads rows with zeros, or cuts the padding off; also between f32 and f16. */
function copyRows(
  rows: number,
  from: Rows,
  to: Rows,
  device: DeviceProfile,
  bindings: { readonly x: BufferRef; readonly y: BufferRef },
): KernelCall {
  const count = rows * to.length;
  if (device.software && from.length === to.length && count % 4 === 0) {
    return {
      kernel: CONVERT,
      specialize: storedAs(to.dtype, "staged 4"),
      params: { count4: count / 4 },
      bindings,
      workgroups: gridFor(count / 4, ELEMENTWISE),
      note: `to ${to.dtype}`,
    };
  }
  return {
    kernel: RESIZE_ROWS,
    specialize: { StoredX: from.dtype, ...storedAs(to.dtype, 1) },
    params: { count, x_length: from.length, y_length: to.length },
    bindings,
    workgroups: gridFor(count, ELEMENTWISE),
    note: from.length < to.length ? "pad" : from.length > to.length ? "unpad" : `to ${to.dtype}`,
  };
}

/**
 * Copies of tensors into scratch memory and back, where the kernels, which read and sum in f32 rows
 * of `stride` tokens, cannot work on the tensors themselves.
 */
export function copiesOf({ all, headDim, tokens, dtype, device }: AttentionShape, stride: number) {
  const [outside, inside] = [{ length: tokens, dtype }, { length: stride, dtype: "f32" } as const];
  const numbers = { length: tokens, dtype: "f32" } as const;
  const rows = all * headDim;
  return {
    into: (x: BufferRef, y: BufferRef) => copyRows(rows, outside, inside, device, { x, y }),
    out: (x: BufferRef, y: BufferRef) => copyRows(rows, inside, outside, device, { x, y }),
    /** One number a token and head, f32 in the tensor too. */
    numbersInto: (x: BufferRef, y: BufferRef) => copyRows(all, numbers, inside, device, { x, y }),
    numbersOut: (x: BufferRef, y: BufferRef) => copyRows(all, inside, numbers, device, { x, y }),
  };
}

/** Four tokens an invocation along x, a head of an image along y. */
export function attentionGrid(
  heads: number,
  stride: number,
  workgroup: number,
): [number, number, number] {
  return [Math.ceil(stride / 4 / workgroup), heads, 1];
}
