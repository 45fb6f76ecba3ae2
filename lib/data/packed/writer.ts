/** Writes packed caches, and decides when one must be written anew. */

import { createHash } from "node:crypto";
import { relative } from "node:path";
import { crc32 } from "node:zlib";
import { asWriteError, InputError } from "../../errors.ts";
import { makeFolderOf, temporaryFor } from "../../io/atomic.ts";
import { type PrepareOptions, prepareSlice, type SliceRecord } from "../dataset.ts";
import { walk } from "../../io/walk.ts";
import type { Size } from "../resize.ts";
import { type HuWindow, LUNG_WINDOW } from "../window.ts";
import {
  FOOT_BYTES,
  HEAD_BYTES,
  MAGIC,
  maskBytes,
  packBits,
  type PackedIndex,
  recordBytes,
  VERSION,
} from "./format.ts";
import { PackedCache } from "./reader.ts";

export interface PackOptions {
  /** The cache's file: only its owner may read it, for it holds slices of patients by name. */
  path: string;
  records: readonly SliceRecord[];
  size: Size;
  window?: HuWindow;
  prepare?: PrepareOptions;
  /** Changes when a source does: {@link folderState} of the data's folder, or any such text. */
  state: string;
  onDone?: (done: number) => void;
}

/**
 * Opens the cache at `path`, after writing it if it is missing, damaged, or was made of other
 * sources or with other settings.
 * @throws InputError of the first record that cannot be used; then no cache is left behind.
 */
export async function openPacked(options: PackOptions): Promise<PackedCache> {
  const key = packedKey(options);
  try {
    const cache = PackedCache.open(options.path);
    if (cache.index.key === key) return cache;
    cache.close();
  } catch (error) {
    if (!(error instanceof InputError)) throw error; // missing or damaged: made anew
  }
  await writePacked(options, key);
  return PackedCache.open(options.path);
}

/** Of everything that the cache's content follows from. */
export function packedKey(options: PackOptions): string {
  const { records, size, window = LUNG_WINDOW, prepare = {}, state } = options;
  const hash = createHash("sha256");
  hash.update(JSON.stringify([
    VERSION,
    size.height,
    size.width,
    window.level,
    window.width,
    prepare.antialias === true,
    prepare.condition ?? "class",
    state,
  ]));
  for (const { id, label } of records) hash.update(`\n${id}\0${label}`);
  return hash.digest("hex");
}

/**
 * Names, sizes and times of the data files below `folder`, hashed: nothing is read, so it is quick,
 * and any change of a file shows.
 */
export function folderState(folder: string): string {
  const hash = createHash("sha256");
  for (const path of walk(folder)) {
    if (!/\.(npy|png|txt|csv)$/i.test(path)) continue;
    const { size, mtime } = Deno.statSync(path);
    hash.update(`${relative(folder, path)}\0${size}\0${mtime?.getTime()}\n`);
  }
  return hash.digest("hex");
}

async function writePacked(options: PackOptions, key: string): Promise<void> {
  const { path, records, size, window = LUNG_WINDOW, prepare = {} } = options;
  const pixels = size.height * size.width, bytes = recordBytes(pixels);
  const record = new Uint8Array(bytes), ct = new Float32Array(record.buffer, 0, pixels);
  const lung = record.subarray(4 * pixels, 4 * pixels + maskBytes(pixels));
  const nodule = record.subarray(4 * pixels + maskBytes(pixels));
  const index: PackedIndex = {
    key,
    height: size.height,
    width: size.width,
    ids: records.map((r) => r.id),
    patients: records.map((r) => r.patient),
    labels: records.map((r) => r.label),
    checksums: [],
  };
  await makeFolderOf(path);
  const temporary = temporaryFor(path);
  try {
    const file = Deno.openSync(temporary, { write: true, createNew: true, mode: 0o600 });
    try {
      const head = new DataView(new ArrayBuffer(HEAD_BYTES));
      putMagic(head, 0);
      head.setUint32(8, VERSION, true);
      head.setUint32(12, bytes, true);
      writeAll(file, new Uint8Array(head.buffer));
      for (const [i, source] of records.entries()) {
        const slice = await prepareSlice(source, size, window, prepare);
        ct.set(slice.ct);
        packBits(slice.lungMask, lung);
        for (let i = 0; i < pixels; i++) nodule[i] = Math.round(slice.noduleMask[i] * 255);
        index.checksums.push(crc32(record));
        writeAll(file, record);
        options.onDone?.(i + 1);
      }
      const text = new TextEncoder().encode(JSON.stringify(index));
      writeAll(file, text);
      const foot = new DataView(new ArrayBuffer(FOOT_BYTES));
      foot.setBigUint64(0, BigInt(HEAD_BYTES + bytes * records.length), true);
      foot.setUint32(8, text.length, true);
      foot.setUint32(12, crc32(text), true);
      putMagic(foot, 16);
      writeAll(file, new Uint8Array(foot.buffer));
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw asWriteError(error, `Cannot pack the slices in ${path}`);
  }
}

function putMagic(view: DataView, at: number) {
  for (let i = 0; i < MAGIC.length; i++) view.setUint8(at + i, MAGIC.charCodeAt(i));
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array) {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
