/**
 * The packed cache: prepared slices in one file, each found by its number.
 *
 *     "LUNGPACK" · version u32 · record bytes u32
 *     record 0 · record 1 · …        CT float32 [height, width], the lungs' mask a bit a pixel,
 *                                    the nodules' a byte a pixel (of 255)
 *     index                          JSON: PackedIndex
 *     index offset u64 · index bytes u32 · CRC-32 of the index u32 · "LUNGPACK"
 *
 * Numbers are little endian. Each record has a CRC-32 in the index. The index stands last so that
 * the file can be written in one go.
 */

export const MAGIC = "LUNGPACK";
export const VERSION = 2;
export const HEAD_BYTES = 16;
export const FOOT_BYTES = 24;

export interface PackedIndex {
  /** Of the sources and settings that the content follows from. */
  key: string;
  height: number;
  width: number;
  ids: string[];
  patients: string[];
  labels: (0 | 1)[];
  /** CRC-32 of each record. */
  checksums: number[];
}

export function maskBytes(pixels: number): number {
  return (pixels + 7) >> 3;
}

export function recordBytes(pixels: number): number {
  return 4 * pixels + maskBytes(pixels) + pixels;
}

/** A mask of 0 and 1 as bits, the first pixel the lowest. */
export function packBits(mask: ArrayLike<number>, out: Uint8Array): void {
  out.fill(0);
  for (let i = 0; i < mask.length; i++) if (mask[i] > 0) out[i >> 3] |= 1 << (i & 7);
}

/** The reverse of {@link packBits}. */
export function unpackBits(bits: Uint8Array, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = bits[i >> 3] >> (i & 7) & 1;
}
