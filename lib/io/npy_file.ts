/** `.npy` files on disk. */

import { writeFileAtomic } from "./atomic.ts";
import { encodeNpy, MAX_BYTES, type NpyArray, type NpyData, parseNpy } from "./npy.ts";
import { readFileBounded } from "./read.ts";

/** Reads a `.npy` file. @throws InputError naming the file and the reason. */
export async function readNpy(path: string): Promise<NpyArray> {
  return parseNpy(await readFileBounded(path, MAX_BYTES), path);
}

/** Writes a `.npy` file, whole or not at all. */
export async function writeNpy(path: string, shape: readonly number[], data: NpyData) {
  await writeFileAtomic(path, encodeNpy(shape, data));
}
