/** safetensors files on disk. */

import { writeFileAtomic } from "./atomic.ts";
import { readFileBounded } from "./read.ts";
import {
  parseSafetensors,
  type SafeTensor,
  type SafetensorsFile,
  safetensorsParts,
} from "./safetensors.ts";

/** Larger files are refused. */
export const MAX_BYTES = 2 ** 33;

/** Reads a safetensors file. @throws InputError naming the file and the reason. */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  return parseSafetensors(await readFileBounded(path, MAX_BYTES), path);
}

/** Writes a safetensors file, whole or not at all. */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, SafeTensor]>,
  metadata: Record<string, string> = {},
): Promise<void> {
  await writeFileAtomic(path, safetensorsParts(tensors, metadata));
}
