/** Reads packed caches: any slice by its number, checked, without the rest of the file. */

import { crc32 } from "node:zlib";
import { InputError } from "../../errors.ts";
import { parseJson } from "../../io/json.ts";
import { LIMITS } from "../../io/limits.ts";
import { asInputError } from "../../io/read.ts";
import {
  FOOT_BYTES,
  HEAD_BYTES,
  MAGIC,
  maskBytes,
  type PackedIndex,
  recordBytes,
  unpackBits,
  VERSION,
} from "./format.ts";

/** Planes of [height, width] to read a slice into. */
export interface SlicePlanes {
  ct: Float32Array;
  lungMask: Float32Array;
  noduleMask: Float32Array;
}

export class PackedCache {
  readonly #record: Uint8Array<ArrayBuffer>;

  private constructor(
    readonly path: string,
    readonly index: PackedIndex,
    readonly file: Deno.FsFile,
  ) {
    this.#record = new Uint8Array(recordBytes(index.height * index.width));
  }

  /** @throws InputError naming `path`: missing, not a packed cache, cut short or damaged. */
  static open(path: string): PackedCache {
    let file: Deno.FsFile | undefined;
    try {
      file = Deno.openSync(path);
      return new PackedCache(path, readIndex(file, path), file);
    } catch (error) {
      file?.close();
      throw asInputError(error, path);
    }
  }

  get count(): number {
    return this.index.ids.length;
  }

  /**
   * Reads slice `i` into `planes`.
   * @throws InputError if the bytes on disk are not those that were written.
   */
  read(i: number, planes: SlicePlanes): void {
    const { index } = this, pixels = index.height * index.width, record = this.#record;
    if (!(i >= 0 && i < this.count)) throw new Error(`slice ${i} of ${this.count}`);
    readAt(this.file, HEAD_BYTES + i * record.length, record, this.path);
    if (crc32(record) !== index.checksums[i]) {
      throw new InputError(
        `Cannot read "${this.path}": slice ${
          index.ids[i]
        } is damaged; delete the file, it is made anew`,
      );
    }
    planes.ct.set(new Float32Array(record.buffer, 0, pixels));
    unpackBits(record.subarray(4 * pixels), planes.lungMask);
    const nodule = record.subarray(4 * pixels + maskBytes(pixels));
    for (let i = 0; i < pixels; i++) planes.noduleMask[i] = nodule[i] / 255;
  }

  close(): void {
    this.file.close();
  }
}

function readAt(file: Deno.FsFile, offset: number, into: Uint8Array, path: string): void {
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let at = 0; at < into.length;) {
    const got = file.readSync(into.subarray(at));
    if (got === null) throw new InputError(`Cannot read "${path}": it is cut short`);
    at += got;
  }
}

function readIndex(file: Deno.FsFile, path: string): PackedIndex {
  const fail = (why: string) => new InputError(`Cannot read "${path}": ${why}`);
  const size = file.statSync().size;
  if (size < HEAD_BYTES + FOOT_BYTES) throw fail("not a packed cache, or cut short");
  const head = new DataView(new ArrayBuffer(HEAD_BYTES));
  const foot = new DataView(new ArrayBuffer(FOOT_BYTES));
  readAt(file, 0, new Uint8Array(head.buffer), path);
  readAt(file, size - FOOT_BYTES, new Uint8Array(foot.buffer), path);
  const magic = (view: DataView, at: number) =>
    String.fromCharCode(...new Uint8Array(view.buffer, at, MAGIC.length));
  if (magic(head, 0) !== MAGIC) throw fail("not a packed cache");
  if (magic(foot, 16) !== MAGIC) throw fail("cut short");
  if (head.getUint32(8, true) !== VERSION) {
    throw fail(`version ${head.getUint32(8, true)}, this program reads ${VERSION}`);
  }
  const offset = Number(foot.getBigUint64(0, true)), length = foot.getUint32(8, true);
  if (length > LIMITS.packed.index || offset + length + FOOT_BYTES !== size) throw fail("damaged");
  const text = new Uint8Array(length);
  readAt(file, offset, text, path);
  if (crc32(text) !== foot.getUint32(12, true)) throw fail("its index is damaged");
  const index = parseJson(text, fail, { bytes: LIMITS.packed.index, ...LIMITS.packed });
  // Anyone can make a checksum.
  if (!isIndex(index)) throw fail("its index is not one");
  const bytes = recordBytes(index.height * index.width);
  if (
    bytes !== head.getUint32(12, true) || offset !== HEAD_BYTES + bytes * index.ids.length ||
    index.checksums.length !== index.ids.length
  ) throw fail("damaged");
  return index;
}

function isIndex(value: unknown): value is PackedIndex {
  const { key, height, width, ids, patients, labels, checksums } = (value ?? {}) as PackedIndex;
  const isSide = (size: unknown) =>
    Number.isInteger(size) && Number(size) >= 1 && Number(size) <= LIMITS.image.side;
  const texts = (list: unknown) => Array.isArray(list) && list.every((v) => typeof v === "string");
  const numbers = (list: unknown) => Array.isArray(list) && list.every(Number.isInteger);
  return typeof key === "string" && isSide(height) && isSide(width) && texts(ids) &&
    texts(patients) && numbers(labels) && numbers(checksums) && ids.length === patients.length &&
    ids.length === labels.length && labels.every((label) => label === 0 || label === 1);
}
