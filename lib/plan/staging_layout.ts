/** How a tensor lies in a staging texture; `staging.ts` says why there are any. */

import { bytesPer, type DType } from "../graph/tensor.ts";

/** Types that textures hold as `rgba32float` and `rgba16float`; read from either they are f32. */
export type StagedType = "f32" | "f16";

/** Texels (4 floats each) in a row of a staging texture; `kernels/lib/staged.wgsl` says the same. */
export const STAGING_WIDTH = 2048;
/** WebGPU guarantees textures of 8,192 rows; one less is odd. */
export const STAGING_ROWS = 8191;

/**
 * Texels from row to row. Four more, a cache line: the planes of an image lie a power of two apart,
 * and without the gap the same place of all channels would contend for the same lines of the caches.
 */
export const STAGING_PITCH = STAGING_WIDTH + 4;

export const STAGED_FORMATS = { f32: "rgba32float", f16: "rgba16float" } as const;

/** Bytes of the tensor in a row of a staging texture. */
export const stagingRowBytes = (dtype: StagedType): number => 4 * STAGING_WIDTH * bytesPer(dtype);

/** Bytes of a row with its gap. */
export const stagingPitchBytes = (dtype: StagedType): number => 4 * STAGING_PITCH * bytesPer(dtype);

export function isStagedType(dtype: DType): dtype is StagedType {
  return dtype === "f32" || dtype === "f16";
}
