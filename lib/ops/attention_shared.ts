/** Shapes and helper calls that attention's forward and backward ops share. */

import { type BufferRef, gridFor, type KernelCall, type Lowering } from "../graph/kernel_call.ts";
import type { DeviceProfile, Variant } from "../graph/op.ts";
import { sameShape, show, sizeOf, type TensorType } from "../graph/tensor.ts";
import { ELEMENTWISE, kernel, requireFloat } from "./common.ts";
import { type Reading, requireLoop, stageable, storageOrStaged } from "./rows.ts";
import text from "../../kernels/attention/resize_rows.wgsl" with { type: "text" };

const RESIZE_ROWS = kernel("attention/resize_rows.wgsl", text);

/** Workgroup of the panel kernels: of 8 lanes, one vector of software Vulkan, so cores share well. */
export const PANEL_WORKGROUP = 8;

/** Name, shape, heads and tolerance of the cases. */
export const SHAPES: readonly [string, number[], number, number][] = [
  ["odd", [3, 6, 17], 2, 1e-6],
  ["image, head dim 1", [1, 6, 3, 8], 6, 1e-6],
  ["image", [2, 16, 8, 10], 2, 1e-6],
  ["odd long", [1, 3, 517], 1, 2e-6],
  ["head dim 128", [1, 128, 24], 1, 2e-6],
  ["32 x 32", [2, 16, 32, 32], 2, 2e-6],
  ["panels of several heads", [3, 32, 10, 12], 4, 1e-6],
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
}

/**
 * How many heads of 8 channels a dispatch can hold in uniform buffers: as many as fit, evenly
 * dividing `all` heads, each range at an aligned offset. 0 where that cannot be.
 */
export function panelHeads(
  all: number,
  headDim: number,
  tokens: number,
  { limits }: DeviceProfile,
): number {
  if (headDim !== 8 || tokens % 4) return 0;
  const bytes = Math.min(65536, limits.maxUniformBufferBindingSize);
  for (let count = Math.min(all, Math.floor(bytes / (32 * tokens))); count > 0; count--) {
    const aligned = 4 * count * tokens % limits.minUniformBufferOffsetAlignment === 0;
    if (all % count === 0 && (aligned || count === all)) return count;
  }
  return 0;
}

/** Bytes of `heads` heads of `row` elements each, from head `first` on. */
export const headRange = (first: number, heads: number, row: number) => ({
  offset: 4 * first * row,
  size: 4 * heads * row,
});

/** [0, count, 2·count, …) below `all`. */
export const firstHeads = (all: number, count: number): number[] =>
  Array.from({ length: all / count }, (_, i) => i * count);

/**
 * The general kernel with each reading, and the panel kernel where there is one. Software Vulkan is
 * fast with panels; a real GPU would starve on one dispatch a few heads.
 */
export function attentionVariants(
  device: DeviceProfile,
  q: TensorType,
  general: (reading: Reading["name"]) => Lowering,
  panel: (() => Lowering) | undefined,
): Variant[] {
  const storage = { name: "general", exact: true, build: () => general("vec4") };
  const staged = { name: "general_staged", exact: true, build: () => general("staged") };
  const all = storageOrStaged<Variant>(device, [q], storage, staged);
  if (!panel || !stageable(q)) return all;
  const panels = { name: "panel", exact: true, build: panel };
  return device.software ? [panels, ...all] : [...all, panels];
}

/** An invocation of the general kernels walks over all tokens, and over its channels within. */
export function requireIterations(headDim: number, stride: number, device: DeviceProfile): void {
  if (!device.software) return;
  const iterations = (stride / 8) * (1 + 2 * headDim) + 2 * headDim;
  requireLoop(`steps over ${stride} tokens with ${headDim} channels a head`, iterations);
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
export function attentionGrid(
  heads: number,
  stride: number,
  workgroup: number,
): [number, number, number] {
  return [Math.ceil(stride / 4 / workgroup), heads, 1];
}
