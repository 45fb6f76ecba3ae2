/**
 * Zip archives whose entries are stored, not compressed, as `torch.save` writes them: nothing to
 * unpack, so nothing to blow up. Reference: PKWARE APPNOTE 6.3.
 */

import { InputError } from "../errors.ts";

const MAX_NAME = 512;
const DECODER = new TextDecoder();

const END = 0x06054b50, CENTRAL = 0x02014b50, LOCAL = 0x04034b50;

/**
 * Every entry's bytes, as views of `bytes`.
 *
 * @throws InputError naming `name` where the archive is truncated, compressed, encrypted, split,
 *   larger than zip without its 64-bit extension allows, or where entries repeat or overlap.
 */
export function listStoredZip(bytes: Uint8Array, name: string): Map<string, Uint8Array> {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // The end record is 22 bytes and a comment of at most 65,535.
  let end = bytes.length - 22;
  const lowest = Math.max(0, end - 65_535);
  while (end >= lowest && view.getUint32(end, true) !== END) end--;
  if (end < lowest) throw fail("a zip archive without its end: truncated?");
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (at === 0xffffffff || count === 0xffff) throw fail("a 64-bit zip archive, which is not read");
  const entries = new Map<string, Uint8Array>();
  let total = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== CENTRAL) {
      throw fail(`the zip archive's list of files is damaged at entry ${i}`);
    }
    const flags = view.getUint16(at + 8, true), method = view.getUint16(at + 10, true);
    const packed = view.getUint32(at + 20, true), size = view.getUint32(at + 24, true);
    const nameLength = view.getUint16(at + 28, true);
    const local = view.getUint32(at + 42, true);
    if (at + 46 + nameLength > end) throw fail(`the zip archive's entry ${i} is cut off`);
    if (nameLength > MAX_NAME) throw fail(`a name of ${nameLength} bytes is inside`);
    const path = DECODER.decode(bytes.subarray(at + 46, at + 46 + nameLength));
    if (flags & 1) throw fail(`"${path}" inside is encrypted`);
    if (method !== 0 || packed !== size) {
      throw fail(`"${path}" inside is compressed; torch.save stores without compression`);
    }
    if (local + 30 > bytes.length || view.getUint32(local, true) !== LOCAL) {
      throw fail(`"${path}" inside is not where the archive says`);
    }
    const data = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    if (data + size > end) throw fail(`"${path}" inside is cut off`);
    if (entries.has(path)) throw fail(`"${path}" is inside twice`);
    // Entries that share bytes would hold more than the file does.
    total += size;
    if (total > bytes.length) throw fail("the zip archive's entries overlap");
    entries.set(path, bytes.subarray(data, data + size));
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return entries;
}
