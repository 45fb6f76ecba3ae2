/** `.npy` files on disk. */

import { InputError } from "../errors.ts";
import { writeFileAtomic } from "./atomic.ts";
import { LIMITS } from "./limits.ts";
import {
  encodeNpy,
  HEAD_BYTES,
  type NpyArray,
  npyArray,
  type NpyData,
  type NpyHeader,
  parseNpyHeader,
} from "./npy.ts";
import { asInputError, requireFile } from "./read.ts";

/** Reads a `.npy` file. @throws InputError naming the file and the reason. */
export async function readNpy(path: string): Promise<NpyArray> {
  return await open(path, (file, header) => arrayAt(file, header, 0, path));
}

/**
 * Reads one slice: an array of two axes (others may be 1), or the middle one (index ⌊n/2⌋) of three. Of a volume in C
 * order only that slice is read.
 * @param axes how many the array may have.
 * @throws InputError naming the file and the reason.
 */
export async function readNpyPlane(path: string, axes: 2 | 3 = 3): Promise<NpyArray> {
  return await open(path, async (file, header) => {
    const { fortranOrder, itemBytes } = header, shape = squeezed(header.shape);
    if (shape.length < 2 || shape.length > axes || shape.includes(0)) {
      const what = axes === 3 ? "is neither a slice nor a volume" : "is no slice";
      throw new InputError(`Cannot use "${path}": shape [${shape}] ${what}`);
    }
    const plane = shape.slice(-2), pixels = plane[0] * plane[1], most = LIMITS.image.side ** 2;
    if (pixels > most) {
      throw new InputError(`Cannot use "${path}": a slice of [${plane}], at most ${most} pixels`);
    }
    const middle = shape.length === 3 ? Math.floor(shape[0] / 2) : 0;
    if (fortranOrder) {
      const { data, dtype } = await arrayAt(file, header, 0, path);
      return { shape: plane, dtype, data: data.slice(middle * pixels, (middle + 1) * pixels) };
    }
    const bytes = pixels * itemBytes;
    return await arrayAt(file, { ...header, shape: plane, bytes }, middle * bytes, path);
  });
}

/** Without axes of 1, down to two: channels or batches of one slice. */
function squeezed(shape: readonly number[]): number[] {
  const out = [...shape];
  for (let axis = out.length - 1; axis >= 0 && out.length > 2; axis--) {
    if (out[axis] === 1) out.splice(axis, 1);
  }
  return out;
}

async function open<T>(
  path: string,
  read: (file: Deno.FsFile, header: NpyHeader) => Promise<T>,
): Promise<T> {
  try {
    await requireFile(path, HEAD_BYTES + LIMITS.npy.bytes);
    using file = await Deno.open(path);
    const { size } = await file.stat();
    const head = new Uint8Array(Math.min(size, HEAD_BYTES));
    await fill(file, head, path);
    return await read(file, parseNpyHeader(head, size, path));
  } catch (error) {
    throw asInputError(error, path);
  }
}

/** The array whose data lie `from` bytes behind the start of the file's. */
async function arrayAt(
  file: Deno.FsFile,
  header: NpyHeader,
  from: number,
  path: string,
): Promise<NpyArray> {
  const buffer = new ArrayBuffer(header.bytes);
  await file.seek(header.start + from, Deno.SeekMode.Start);
  await fill(file, new Uint8Array(buffer), path);
  return npyArray(header, buffer);
}

async function fill(file: Deno.FsFile, into: Uint8Array, path: string): Promise<void> {
  for (let at = 0; at < into.length;) {
    const read = await file.read(into.subarray(at, at + 2 ** 24));
    if (read === null) throw new InputError(`Cannot read "${path}": truncated while it was read`);
    at += read;
  }
}

/** Writes a `.npy` file, whole or not at all. */
export async function writeNpy(path: string, shape: readonly number[], data: NpyData) {
  await writeFileAtomic(path, encodeNpy(shape, data));
}
