/** One frame of a multi-frame file's pixels as a file of its own would have them. */

import { LIMITS } from "../../io/limits.ts";
import type { ParsedDicom } from "./header.ts";
import { TRANSFER_SYNTAXES } from "./transfer_syntax.ts";

const ITEM = 0xe000fffe, SEQUENCE_END = 0xe0ddfffe;

/**
 * @param parsed whose `frames` is more than one.
 * @returns for a frame's number, from 0, the same header with the pixels of that frame alone.
 * @throws Error with the reason: the pixels are not as many, or not to be told apart.
 */
export function frameReader(parsed: ParsedDicom): (frame: number) => ParsedDicom {
  const { header, bytes } = parsed, { frames, rows, columns, bitsAllocated, pixelData } = header;
  if (!pixelData) throw new Error("no pixel data");
  const syntax = TRANSFER_SYNTAXES[header.transferSyntax];
  if (syntax?.coding === "raw") {
    const length = rows * columns * bitsAllocated / 8, need = length * frames;
    const have = Math.min(pixelData.length, bytes.length - pixelData.offset);
    if (have < need) throw new Error(`truncated: ${have} of ${need} bytes of pixels`);
    return (frame) => {
      const offset = pixelData.offset + frame * length;
      return { header: { ...header, frames: 1, pixelData: { offset, length } }, bytes };
    };
  }
  if (pixelData.length >= 0) throw new Error("compressed pixels are not encapsulated");
  const pieces = fragmentsOf(bytes, pixelData.offset, frames);
  return (frame) => {
    const one = encapsulated(pieces[frame]);
    return {
      header: { ...header, frames: 1, pixelData: { offset: 0, length: -1 } },
      bytes: one,
    };
  };
}

/** Each frame's fragments: one a frame, or as the basic offset table says (PS3.5 A.4). */
function fragmentsOf(bytes: Uint8Array, from: number, frames: number): Uint8Array[][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const items: { start: number; data: Uint8Array }[] = [];
  let at = from;
  while (at + 8 <= bytes.length) {
    const tag = view.getUint32(at, true), length = view.getUint32(at + 4, true);
    if (tag === SEQUENCE_END) break;
    if (tag !== ITEM) throw new Error("a fragment of the pixel data does not start with an item");
    if (at + 8 + length > bytes.length) {
      throw new Error("truncated: a fragment goes beyond the end");
    }
    items.push({ start: at, data: bytes.subarray(at + 8, at + 8 + length) });
    if (items.length > LIMITS.dicom.fragments) throw new Error("too many fragments");
    at += 8 + length;
  }
  const [table, ...fragments] = items;
  if (!table) throw new Error("the encapsulated pixel data is empty");
  if (fragments.length === frames) return fragments.map(({ data }) => [data]);
  if (table.data.length !== 4 * frames || fragments.length < frames) {
    throw new Error(
      `${fragments.length} fragments for ${frames} frames, without a table of offsets`,
    );
  }
  const starts = new DataView(table.data.buffer, table.data.byteOffset, table.data.byteLength);
  const base = fragments[0].start;
  const out: Uint8Array[][] = Array.from({ length: frames }, () => []);
  let frame = -1;
  for (const { start, data } of fragments) {
    while (frame + 1 < frames && starts.getUint32(4 * (frame + 1), true) === start - base) frame++;
    if (frame < 0) throw new Error("the table of offsets names no fragment");
    out[frame].push(data);
  }
  if (out.some((pieces) => pieces.length === 0)) throw new Error("a frame has no fragment");
  return out;
}

function encapsulated(pieces: Uint8Array[]): Uint8Array {
  const total = pieces.reduce((sum, piece) => sum + 8 + piece.length, 16);
  const out = new Uint8Array(total), view = new DataView(out.buffer);
  let at = 0;
  const item = (tag: number, data: Uint8Array) => {
    view.setUint32(at, tag, true);
    view.setUint32(at + 4, data.length, true);
    out.set(data, at + 8);
    at += 8 + data.length;
  };
  item(ITEM, new Uint8Array());
  for (const piece of pieces) item(ITEM, piece);
  item(SEQUENCE_END, new Uint8Array());
  return out;
}
