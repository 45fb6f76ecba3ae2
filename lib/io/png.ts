/** PNG files, 8 or 16 bits, grayscale or RGB, over fast-png. */

import { crc32, inflateSync } from "node:zlib";
import { decode, encode } from "fast-png";
import { InputError } from "../errors.ts";
import { LIMITS } from "./limits.ts";

export interface PngImage {
  width: number;
  height: number;
  channels: 1 | 3;
  /** Row by row, channels interleaved; Uint16Array makes a 16-bit file. */
  data: Uint8Array | Uint16Array;
  /** Written as tEXt chunks: Latin-1, keys of 1 to 79 characters. */
  text?: Record<string, string>;
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const MAX_PIXELS = LIMITS.image.side ** 2;

/** @throws Error if `data` does not have width·height·channels values. */
export function encodePng(image: PngImage): Uint8Array {
  const { width, height, channels, data } = image;
  if (data.length !== width * height * channels) {
    throw new Error(
      `Cannot encode PNG: ${data.length} values, ${width}×${height}×${channels} takes ` +
        `${width * height * channels}`,
    );
  }
  return encode({
    width,
    height,
    channels,
    data,
    depth: data instanceof Uint16Array ? 16 : 8,
    text: image.text,
  });
}

/**
 * Decodes a grayscale or RGB PNG of 8 or 16 bits.
 * @throws InputError naming `name` if it is none, damaged, of another kind, or beyond
 *   {@link LIMITS}.image.
 */
export function decodePng(bytes: Uint8Array, name = "PNG"): PngImage {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  if (bytes.length < 33 || SIGNATURE.some((byte, i) => bytes[i] !== byte)) {
    throw fail("not a PNG file");
  }
  if (bytes.length > LIMITS.image.file) {
    throw fail(`${bytes.length} bytes, at most ${LIMITS.image.file}`);
  }
  // The header is checked before anything is inflated.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = view.getUint32(16), height = view.getUint32(20);
  if (width === 0 || height === 0 || width * height > MAX_PIXELS) {
    throw fail(`${width}×${height} pixels, at most ${MAX_PIXELS} in all`);
  }
  const depth = bytes[24], colour = bytes[25];
  if ((depth !== 8 && depth !== 16) || (colour !== 0 && colour !== 2)) {
    throw fail(`depth ${depth} and colour type ${colour}; 8 or 16 bits, grayscale or RGB needed`);
  }
  const channels = colour === 0 ? 1 : 3, decoded = width * height * channels * depth / 8;
  if (decoded > LIMITS.image.bytes) {
    throw fail(`${decoded} bytes of pixels, at most ${LIMITS.image.bytes}`);
  }
  let image;
  try {
    const { header, pixels, texts } = chunksOf(bytes, view);
    // A byte more a row for its filter; interlaced images have up to seven times the rows.
    inflateSync(pixels, { maxOutputLength: decoded + 8 * height + 2 ** 16 });
    image = decode(pngOf([header, ...texts, ["IDAT", pixels], ["IEND", new Uint8Array(0)]]));
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    throw fail(
      code === "ERR_BUFFER_TOO_LARGE"
        ? `its data inflate to more than ${width}×${height} pixels take`
        : `damaged (${message})`,
    );
  }
  const data = image.data instanceof Uint8ClampedArray ? new Uint8Array(image.data) : image.data;
  if (data.length !== width * height * channels) throw fail("damaged (pixels are missing)");
  return { width, height, channels, data, text: image.text };
}

type Chunk = readonly [type: string, data: Uint8Array];

/**
 * What is read of a PNG: its header, its pixels as one piece, its tEXt. Profiles, palettes and the
 * rest, which may be huge or inflate without an end, are passed over.
 * @throws Error where a chunk is cut off or its checksum is wrong.
 */
function chunksOf(bytes: Uint8Array, view: DataView) {
  const pieces: Uint8Array[] = [], texts: Chunk[] = [];
  let textBytes = 0, ended = false, header: Chunk | undefined;
  for (let at = SIGNATURE.length, chunks = 1; !ended; chunks++) {
    if (chunks > LIMITS.image.chunks) throw new Error(`more than ${LIMITS.image.chunks} chunks`);
    if (at + 12 > bytes.length) throw new Error("truncated");
    const length = view.getUint32(at),
      type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 8 + length;
    if (end + 4 > bytes.length) throw new Error("truncated");
    const data = bytes.subarray(at + 8, end);
    if (READ.has(type) && crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
      throw new Error(`wrong checksum of ${type}`);
    }
    if (type === "IHDR" && at === SIGNATURE.length && length === 13) header = [type, data];
    else if (type === "IHDR" || !header) throw new Error("its header is not its first chunk");
    else if (type === "IDAT" && length > 0) pieces.push(data);
    else if (type === "tEXt") {
      textBytes += length;
      if (textBytes > LIMITS.image.textBytes || texts.length === MAX_TEXTS) {
        throw new Error(`more text than ${MAX_TEXTS} entries or ${LIMITS.image.textBytes} bytes`);
      }
      texts.push([type, data]);
    } else if (type === "IEND") ended = true;
    at = end + 4;
  }
  const pixels = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let to = 0;
  for (const piece of pieces) {
    pixels.set(piece, to);
    to += piece.length;
  }
  return { header: header!, pixels, texts };
}
const READ = new Set(["IHDR", "IDAT", "tEXt", "IEND"]);
const MAX_TEXTS = 64;

function pngOf(chunks: readonly Chunk[]): Uint8Array {
  const length = chunks.reduce((sum, [, data]) => sum + 12 + data.length, SIGNATURE.length);
  const out = new Uint8Array(length), view = new DataView(out.buffer);
  out.set(SIGNATURE);
  let at = SIGNATURE.length;
  for (const [type, data] of chunks) {
    view.setUint32(at, data.length);
    out.set([...type].map((c) => c.charCodeAt(0)), at + 4);
    out.set(data, at + 8);
    // Left zero: checksums are checked before, and not asked for again.
    at += 12 + data.length;
  }
  return out;
}
