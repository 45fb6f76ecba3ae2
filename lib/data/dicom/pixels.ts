/** From a parsed DICOM slice to raw values and to Hounsfield units. */

import { InputError } from "../../errors.ts";
import { decodeJpegLossless } from "./codecs/jpeg_lossless.ts";
import { decodeRle } from "./codecs/rle.ts";
import { decodeWasm } from "./codecs/wasm.ts";
import { joinFragments } from "./fragments.ts";
import type { DicomHeader, ParsedDicom } from "./header.ts";
import { TRANSFER_SYNTAXES, unreadable } from "./transfer_syntax.ts";

/** Air. Whatever PixelPaddingValue says, nothing below it is tissue; scanners pad with −2000 or less. */
export const HU_FLOOR = -1024;

/**
 * Stored values, rows × columns, before rescaling; sign-extended where PixelRepresentation is 1.
 * @throws InputError naming the file and the reason.
 */
export async function decodePixels(dicom: ParsedDicom): Promise<Int16Array | Uint16Array> {
  const { header } = dicom;
  try {
    const raw = await samplesOf(dicom);
    return storedBits(raw, header);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const syntax = TRANSFER_SYNTAXES[header.transferSyntax];
    const coded = syntax?.coding && syntax.coding !== "raw" ? ` (${syntax.name})` : "";
    throw new InputError(`Cannot read the pixels of "${header.file}"${coded}: ${reason}`);
  }
}

async function samplesOf({ header, bytes }: ParsedDicom): Promise<Uint16Array> {
  const { rows, columns, bitsAllocated, pixelData } = header;
  const why = unreadable(header.transferSyntax);
  if (why) throw new Error(why);
  if (!pixelData) throw new Error("no pixel data");
  const syntax = TRANSFER_SYNTAXES[header.transferSyntax];
  const pixels = rows * columns, width = bitsAllocated / 8;
  if (!(pixels > 0 && pixels <= 2 ** 24)) throw new Error(`${columns}×${rows} pixels`);
  if (width !== 1 && width !== 2) throw new Error(`BitsAllocated is ${bitsAllocated}`);
  if (syntax.coding === "raw") {
    if (pixelData.length < 0) throw new Error("undefined length in an uncompressed syntax");
    const need = pixels * width, have = bytes.length - pixelData.offset;
    if (pixelData.length < need || have < need) {
      throw new Error(`truncated: ${Math.min(pixelData.length, have)} of ${need} bytes of pixels`);
    }
    const data = bytes.subarray(pixelData.offset, pixelData.offset + need);
    return widen(data, width, syntax.bigEndian === true);
  }
  if (pixelData.length >= 0) throw new Error("compressed pixels are not encapsulated");
  const code = joinFragments(bytes, pixelData.offset);
  switch (syntax.coding) {
    case "rle":
      return widen(decodeRle(code, pixels, width), width, false);
    case "jpeg-lossless":
      return decodeJpegLossless(code, rows, columns);
    default: {
      const decoded = await decodeWasm(syntax.coding!, code, rows, columns);
      return widen(decoded.samples, decoded.bytesPerSample, false);
    }
  }
}

/** Samples of 1 or 2 bytes as 16-bit words of this machine. */
function widen(data: Uint8Array, width: number, bigEndian: boolean): Uint16Array {
  if (width === 1) return Uint16Array.from(data);
  const aligned = data.byteOffset % 2 === 0 ? data : data.slice();
  const words = new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
  if (!bigEndian) return words;
  return words.map((word) => word << 8 | word >> 8);
}

/** Keeps BitsStored bits up to HighBit: the others may hold an overlay (PS3.5 section 8.1.1). */
function storedBits(raw: Uint16Array, h: DicomHeader): Int16Array | Uint16Array {
  const drop = 15 - h.highBit, keep = 16 - h.bitsStored;
  // A sign bit in codestreams of fewer bits sits at BitsStored, as in uncompressed data.
  if (keep === 0) return h.signed ? new Int16Array(raw.buffer, raw.byteOffset, raw.length) : raw;
  if (keep < 0 || drop < 0) throw new Error(`BitsStored ${h.bitsStored}, HighBit ${h.highBit}`);
  const out = h.signed ? new Int16Array(raw.length) : new Uint16Array(raw.length);
  if (h.signed) {
    for (let i = 0; i < raw.length; i++) {
      out[i] = raw[i] << (16 + drop) >> (16 + keep);
    }
  } else for (let i = 0; i < raw.length; i++) out[i] = (raw[i] << drop & 0xffff) >>> keep;
  return out;
}

/** HU by stored bits, for the rescaling last used: a series has mostly one. */
let table = { key: "", hu: new Int16Array(0) };

function rescaleTable(h: DicomHeader): Int16Array {
  const { signed, slope, intercept, padding } = h;
  const [first, last] = padding ?? [1, 0];
  const key = `${signed} ${slope} ${intercept} ${first} ${last}`;
  if (table.key === key) return table.hu;
  const hu = new Int16Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const raw = signed ? bits << 16 >> 16 : bits;
    hu[bits] = raw >= first && raw <= last
      ? HU_FLOOR
      : Math.min(32767, Math.max(HU_FLOOR, Math.round(raw * slope + intercept)));
  }
  table = { key, hu };
  return hu;
}

/** HU that a body holds: a padding value in between counts only where the corners show it. */
const BODY: [number, number] = [-1000, 3071];

/**
 * The slice's Hounsfield units into `out` (rows × columns): stored · slope + intercept rounded, at
 * least −1024 and at most 32767; padding is air. By table: one load a pixel whatever the types and
 * numbers, three times as fast.
 * @throws InputError naming the file and the reason.
 */
export async function readHu(dicom: ParsedDicom, out: Int16Array): Promise<void> {
  const stored = await decodePixels(dicom), { header } = dicom;
  toHu(stored, { ...header, padding: paddingThatCounts(header, stored) }, out);
  padOverflow(dicom, out);
}

export function toHu(raw: Int16Array | Uint16Array, header: DicomHeader, out: Int16Array): void {
  const hu = rescaleTable(header);
  const bits = new Uint16Array(raw.buffer, raw.byteOffset, raw.length);
  for (let i = 0; i < bits.length; i++) out[i] = hu[bits[i]];
}

/** Some files name water, or another tissue's value, as padding without having any. */
function paddingThatCounts(h: DicomHeader, stored: Int16Array | Uint16Array) {
  if (!h.padding) return null;
  const [first, last] = h.padding, [a, b] = [first, last].map((v) => v * h.slope + h.intercept);
  if (Math.max(a, b) < BODY[0] || Math.min(a, b) > BODY[1]) return h.padding;
  const { rows, columns } = h, end = rows * columns;
  const corners = [0, columns - 1, end - columns, end - 1].map((i) => stored[i]);
  return corners.filter((v) => v >= first && v <= last).length >= 3 ? h.padding : null;
}

/** Padding in words of more bits than BitsStored, which are cut off the other pixels. */
function padOverflow({ header: h, bytes }: ParsedDicom, out: Int16Array) {
  const most = 2 ** h.bitsStored;
  const isRaw = TRANSFER_SYNTAXES[h.transferSyntax]?.coding === "raw";
  if (!h.padding || !isRaw || h.bitsAllocated !== 16 || h.bitsStored === 16) return;
  const [first, last] = h.padding;
  if (h.signed ? first >= -most / 2 && last < most / 2 : last < most) return;
  const bigEndian = TRANSFER_SYNTAXES[h.transferSyntax].bigEndian === true;
  const view = new DataView(bytes.buffer, bytes.byteOffset + h.pixelData!.offset);
  for (let i = 0; i < out.length; i++) {
    const word = h.signed ? view.getInt16(2 * i, !bigEndian) : view.getUint16(2 * i, !bigEndian);
    if (word >= first && word <= last) out[i] = HU_FLOOR;
  }
}
