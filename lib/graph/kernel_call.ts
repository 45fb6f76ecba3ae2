/**
 * The only language in which ops speak to the GPU layer: which WGSL text to run, with which
 * constants, parameters and buffers, over how many workgroups.
 */

/** A WGSL file as it stands in `kernels/`, with the library files it declares joined in front. */
export interface KernelSource {
  /** `kernels/conv2d/forward.wgsl` */
  readonly file: string;
  readonly text: string;
  /** The same kernel where x lies in two buffers. */
  readonly ofTwo?: KernelOfTwo;
}

/**
 * A kernel whose x is two tensors, one after the other in each image, that have not been joined
 * (kernels/lib/read_x_vec4_of_two.wgsl): bound as `x` and `x_rest`.
 */
export interface KernelOfTwo {
  readonly source: KernelSource;
  /** Elements read at once: what its constants FIRST and REST count in. */
  readonly width: 1 | 4;
}

/**
 * A tensor of the node, or scratch memory that lives while the node runs. Bound to a variable of
 * type `texture_storage_2d<rgba32float, read>` it is copied into a texture first (see
 * kernels/lib/staged.wgsl).
 */
export interface BufferRef {
  readonly kind: "input" | "output" | "scratch";
  readonly index: number;
  /** Byte range within the tensor; all of it when absent. `offset` must meet the device's alignment. */
  readonly offset?: number;
  readonly size?: number;
  /** As a texture: the bits as those of f32, whatever the tensor's type. For copies alone. */
  readonly bits?: boolean;
}

export interface KernelCall {
  readonly kernel: KernelSource;
  /** Values of `override` declarations. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Values of lines marked `// @specialize` (const lengths, storage type aliases). */
  readonly specialize?: Readonly<Record<string, number | string>>;
  /** Fields of the WGSL struct `Params`, by name; every field must be given and no other. */
  readonly params?: Readonly<Record<string, number>>;
  /** By the name of the WGSL variable; every storage or uniform variable but `params`. */
  readonly bindings: Readonly<Record<string, BufferRef>>;
  readonly workgroups: readonly [number, number, number];
  /** Told apart from its siblings in audits: "pack weights", "panel 3". */
  readonly note?: string;
}

export interface Lowering {
  readonly calls: readonly KernelCall[];
  /** Bytes of each scratch buffer. */
  readonly scratch?: readonly number[];
}

export const input = (index: number, range?: { offset: number; size: number }): BufferRef => ({
  kind: "input",
  index,
  ...range,
});
export const output = (index = 0, range?: { offset: number; size: number }): BufferRef => ({
  kind: "output",
  index,
  ...range,
});
export const scratch = (index = 0, range?: { offset: number; size: number }): BufferRef => ({
  kind: "scratch",
  index,
  ...range,
});

/**
 * Workgroups for `count` invocations in a row, folded into two dimensions where one would pass the
 * limit of 65,535. Kernels rebuild the index as
 * `(workgroup_id.y * num_workgroups.x + workgroup_id.x) * WORKGROUP + local_id.x` and check it.
 */
export function gridFor(count: number, workgroup: number): [number, number, number] {
  const groups = Math.max(1, Math.ceil(count / workgroup));
  const x = Math.min(groups, 32768);
  return [x, Math.ceil(groups / x), 1];
}
