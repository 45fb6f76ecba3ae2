/** Encapsulated pixel data (PS3.5 annex A.4): a basic offset table, then fragments of one frame. */

import { LIMITS } from "../../io/limits.ts";

const ITEM = 0xe000fffe; // (FFFE,E000) read as a little-endian 32-bit word
const SEQUENCE_END = 0xe0ddfffe;

/**
 * The codestream of a single frame: all fragments after the basic offset table (which may be empty)
 * joined. Several fragments of one frame may be cut anywhere (A.4), so the table is not needed.
 * @param offset of the first item in `bytes`.
 * @throws Error with the reason.
 */
export function joinFragments(bytes: Uint8Array, offset: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pieces: Uint8Array[] = [];
  let at = offset, total = 0, isTable = true;
  while (at + 8 <= bytes.length) {
    const tag = view.getUint32(at, true), length = view.getUint32(at + 4, true);
    at += 8;
    if (tag === SEQUENCE_END) break;
    if (tag !== ITEM) throw new Error("a fragment of the pixel data does not start with an item");
    if (at + length > bytes.length) {
      throw new Error(`truncated: a fragment of ${length} bytes, ${bytes.length - at} left`);
    }
    if (!isTable && length > 0) {
      if (pieces.length === LIMITS.dicom.fragments) {
        throw new Error(`more than ${LIMITS.dicom.fragments} fragments`);
      }
      pieces.push(bytes.subarray(at, at + length));
      total += length;
    }
    isTable = false;
    at += length;
  }
  if (pieces.length === 0) throw new Error("the encapsulated pixel data is empty");
  if (pieces.length === 1) return pieces[0];
  const joined = new Uint8Array(total);
  let to = 0;
  for (const piece of pieces) {
    joined.set(piece, to);
    to += piece.length;
  }
  return joined;
}
