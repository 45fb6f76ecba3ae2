/** Bytes of a volume whose header is text: a file, or what stands in its place. */

import { basename, dirname, join } from "node:path";
import { InputError } from "../errors.ts";
import { fileChunks, inflated } from "../io/chunks.ts";
import { LIMITS, volumeExcess } from "../io/limits.ts";
import { asInputError, requireFile } from "../io/read.ts";
import {
  type FileVolume,
  placeExcess,
  type VolumeOrder,
  voxelBytes,
  type VoxelHeader,
  VoxelSink,
} from "./voxels.ts";

export interface ByteSource {
  name: string;
  size: number;
  /** The first bytes, as many as a header may have. */
  head: Uint8Array;
  from(offset: number): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** Another file of the same folder. */
  beside(name: string): Promise<ByteSource>;
}

/** @throws InputError where the file cannot be read or is larger than a volume may be. */
export async function fileSource(path: string): Promise<ByteSource> {
  const most = LIMITS.volume.bytes + LIMITS.textHeader.bytes;
  try {
    await requireFile(path, most);
    const { size } = await Deno.stat(path);
    const head = new Uint8Array(Math.min(size, LIMITS.textHeader.bytes));
    using file = await Deno.open(path);
    let at = 0;
    while (at < head.length) {
      const read = await file.read(head.subarray(at));
      if (read === null) break;
      at += read;
    }
    return {
      name: path,
      size,
      head: head.subarray(0, at),
      from: (offset) => fileChunks(path, most, offset),
      beside: async (name) => await fileSource(join(dirname(path), name)),
    };
  } catch (error) {
    throw asInputError(error, path);
  }
}

/** @param other what every file beside it is. */
export function bytesSource(bytes: Uint8Array, name: string, other = bytes): ByteSource {
  return {
    name,
    size: bytes.length,
    head: bytes.subarray(0, LIMITS.textHeader.bytes),
    from: (offset) => [bytes.subarray(offset)],
    beside: (file) => Promise.resolve(bytesSource(other, file)),
  };
}

/** Lines of a text header, with the byte behind each. @throws Error naming what is beyond bounds. */
export function* headerLines(head: Uint8Array): Generator<{ line: string; end: number }> {
  const { lines } = LIMITS.textHeader;
  let start = 0;
  for (let count = 0; start < head.length; count++) {
    if (count === lines) throw new Error(`a header of more than ${lines} lines`);
    let end = head.indexOf(10, start);
    if (end < 0) end = head.length;
    const line = new TextDecoder("latin1").decode(head.subarray(start, end)).replace(/\r$/, "");
    yield { line, end: Math.min(end + 1, head.length) };
    start = end + 1;
  }
}

/** Numbers of a header's line. @throws Error where it is not `count` of them. */
export function numbersOf(key: string, text: string, count: number): number[] {
  const parts = text.trim().split(/\s+/).map((part) =>
    /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(part) ? Number(part) : NaN
  );
  if (parts.length !== count || !parts.every(Number.isFinite)) {
    throw new Error(`${key} must be ${count} numbers, found "${text}"`);
  }
  return parts;
}

/** Where a header says that its voxels are. */
export interface VoxelPlace {
  /** Null: behind the header. Only a name: the file lies in the header's folder. */
  file: string | null;
  /** Of the first byte; −1: voxels are the last bytes of the file. */
  offset: number;
  compressed: boolean;
}

/**
 * A volume by its header and the place of its voxels.
 * @throws InputError naming the file: it is shorter or longer than the header says, or damaged.
 */
export async function readVoxels(
  source: ByteSource,
  header: VoxelHeader,
  place: VoxelPlace,
  order: VolumeOrder,
): Promise<FileVolume> {
  const fail = (why: string) => new InputError(`Cannot read "${source.name}": ${why}`);
  const { size } = header, width = voxelBytes(header.type);
  const why = volumeExcess(size, width) ?? placeExcess(header);
  if (why) throw fail(why);
  if (place.file !== null && (place.file === "" || basename(place.file) !== place.file)) {
    throw fail(`its voxels are in "${place.file}": they must lie in the folder of the header`);
  }
  const data = place.file === null ? source : await source.beside(place.file);
  const need = size[0] * size[1] * size[2] * width;
  const offset = place.offset < 0 ? data.size - need : place.offset;
  const count = `${size.join(" × ")} voxels of ${width} bytes are ${need} bytes`;
  if (place.compressed && place.offset < 0) throw fail("compressed voxels of no known start");
  if (!place.compressed) {
    const found = data.size - offset;
    if (offset < 0 || found < need) throw fail(`truncated: ${count}, "${data.name}" has ${found}`);
    // A line's end may follow.
    if (found > need + 2) throw fail(`${count}, "${data.name}" has ${found}`);
  }
  const sink = new VoxelSink(header, order, fail);
  const chunks = data.from(offset);
  let at = 0;
  for await (const piece of place.compressed ? inflated(chunks, fail) : chunks) {
    sink.take(piece);
    at += piece.length;
    if (at > need + 2) throw fail(`${count}, "${data.name}" inflates to more`);
  }
  if (at < need) throw fail(`truncated: ${count}, "${data.name}" inflates to ${at}`);
  return sink.volume;
}
