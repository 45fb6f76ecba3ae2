/** How much a file really holds, whatever length it claims. */

import { InputError } from "../errors.ts";
import { LIMITS } from "./limits.ts";
import { asInputError } from "./read.ts";

/** Bytes on disk: less than the length for a sparse file. Where the system does not say, the length. */
export function bytesOnDisk(path: string): number {
  const { size, blocks } = Deno.statSync(path);
  return blocks ? Math.min(size, blocks * 512) : size;
}

/** No weights are so large and yet so empty. */
const DENSE = { from: 2 ** 28, share: 1 / 8 };

/**
 * Refuses a large file of which little is on disk, before all that it claims to hold is in memory.
 * For weights, which do not compress; masks do, on file systems that compress.
 * @throws InputError naming `path`.
 */
export function requireDense(path: string): void {
  let size: number, held: number;
  try {
    ({ size } = Deno.statSync(path));
    held = bytesOnDisk(path);
  } catch (error) {
    throw asInputError(error, path);
  }
  if (size < DENSE.from || held >= size * DENSE.share) return;
  throw new InputError(`Cannot read "${path}": of its ${size} bytes only ${held} are on disk`);
}

/**
 * Are so many voxels more than these files can hold as a CT? Real scans compress to a tenth at best;
 * a few kilobytes that claim gigabytes, by holes or by a codec, are refused before room is made.
 * @returns what is wrong, or null.
 */
export function contentExcess(voxels: number, files: readonly string[]): string | null {
  const { most, free, perByte } = LIMITS.ct;
  if (voxels > most) return `${voxels} voxels, at most ${most} are accepted`;
  if (voxels <= free) return null;
  const bytes = files.reduce((sum, file) => sum + bytesOnDisk(file), 0);
  if (voxels <= free + perByte * bytes) return null;
  return `${voxels} voxels in ${bytes} bytes on disk: no scan compresses so well`;
}
