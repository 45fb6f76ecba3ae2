/** How kernels walk over rows of memory: as vec4 where rows are aligned, and in which workgroups. */

import type { DeviceProfile } from "../graph/op.ts";

/**
 * Reading unit of rows of the given lengths: vec4 where every row starts and ends at a multiple of
 * 4 elements, else single elements. `specialize` sets the lines that kernels mark for it.
 */
export function rowVectors(...lengths: number[]) {
  const wide = lengths.every((n) => n % 4 === 0);
  return {
    name: wide ? "vec4" : "scalar",
    width: wide ? 4 : 1,
    value: { Value: wide ? "vec4<f32>" : "f32" },
    lanes: { LANES: wide ? "vec4<f32>(1.0)" : "vec4<f32>(1.0, 0.0, 0.0, 0.0)" },
  };
}

/** Workgroup size of a reduction: on software each further lane is another pass over its code. */
export function reductionWorkgroup(device: DeviceProfile): number {
  return device.software ? 8 : Math.min(256, device.limits.maxComputeInvocationsPerWorkgroup);
}

/** Units of a row that a workgroup of `rowGrid` covers. */
const UNROLL = 8;

/**
 * Workgroups of kernels that cover `rows` rows of `length` units, 8 units an invocation, none
 * across two rows. The kernel rebuilds row and chunk from the folded index with `chunks`.
 */
export function rowGrid(rows: number, length: number, workgroup: number) {
  const chunks = Math.ceil(length / (UNROLL * workgroup));
  return { chunks, workgroups: foldGrid(rows * chunks) };
}

/** `count` workgroups folded over x and y: index = y · num_workgroups.x + x, to be checked. */
export function foldGrid(count: number): [number, number, number] {
  const x = Math.min(Math.max(count, 1), 32768);
  return [x, Math.max(1, Math.ceil(count / x)), 1];
}

/** Refuses what would pass the 65,535 loop iterations after which software Vulkan stops silently. */
export function requireLoop(what: string, iterations: number): void {
  if (iterations > 65535) {
    throw new Error(`${what} ${iterations} must be at most 65535, the longest loop on any device`);
  }
}
