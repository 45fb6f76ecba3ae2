/** safetensors files on disk. */

import { writeFileAtomic } from "./atomic.ts";
import { requireDense } from "./disk.ts";
import { LIMITS } from "./limits.ts";
import { asInputError, readFileBounded, requireFile } from "./read.ts";
import {
  parseSafetensors,
  parseSafetensorsHeader,
  type SafeTensor,
  type SafetensorsFile,
  safetensorsParts,
} from "./safetensors.ts";

/** Larger files are refused. */
export const MAX_BYTES = LIMITS.safetensors.file;

/**
 * Looks at the header alone: is the file as long as it says, and really on disk?
 * @throws InputError naming the file and the reason.
 */
export async function requireSafetensors(path: string): Promise<void> {
  try {
    await requireFile(path, MAX_BYTES);
    requireDense(path);
    using file = await Deno.open(path);
    const { size } = await file.stat();
    const head = new Uint8Array(Math.min(size, 8 + LIMITS.safetensors.header));
    let at = 0;
    for (let read; at < head.length && (read = await file.read(head.subarray(at))) !== null;) {
      at += read;
    }
    parseSafetensorsHeader(head.subarray(0, at), size, path);
  } catch (error) {
    throw asInputError(error, path);
  }
}

/** Reads a safetensors file. @throws InputError naming the file and the reason. */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  await requireSafetensors(path);
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
