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
    throw new InputError(`Cannot read the pixels of "${header.file}": ${reason}`);
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

function rescaleTable(signed: boolean, slope: number, intercept: number): Int16Array {
  const key = `${signed} ${slope} ${intercept}`;
  if (table.key === key) return table.hu;
  const hu = new Int16Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const raw = signed ? bits << 16 >> 16 : bits;
    hu[bits] = Math.min(32767, Math.max(HU_FLOOR, Math.round(raw * slope + intercept)));
  }
  table = { key, hu };
  return hu;
}

/**
 * Hounsfield units into `out` (same length): raw · slope + intercept rounded, at least −1024 and at
 * most 32767. By table: one load a pixel whatever the types and numbers, three times as fast.
 */
export function toHu(
  raw: Int16Array | Uint16Array,
  slope: number,
  intercept: number,
  out: Int16Array,
): void {
  const hu = rescaleTable(raw instanceof Int16Array, slope, intercept);
  const bits = new Uint16Array(raw.buffer, raw.byteOffset, raw.length);
  for (let i = 0; i < bits.length; i++) out[i] = hu[bits[i]];
}
