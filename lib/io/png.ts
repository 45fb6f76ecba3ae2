/** PNG files, 8 or 16 bits, grayscale or RGB, over fast-png. */

import { decode, encode } from "fast-png";
import { InputError } from "../errors.ts";

export interface PngImage {
  width: number;
  height: number;
  channels: 1 | 3;
  /** Row by row, channels interleaved; Uint16Array makes a 16-bit file. */
  data: Uint8Array | Uint16Array;
  /** Written as tEXt chunks: Latin-1, keys of 1 to 79 characters. */
  text?: Record<string, string>;
}

const MAX_PIXELS = 2 ** 26;

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
 * @throws InputError naming `name` if it is none, damaged, of another kind, or above 2^26 pixels.
 */
export function decodePng(bytes: Uint8Array, name = "PNG"): PngImage {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  if (bytes.length < 33 || signature.some((byte, i) => bytes[i] !== byte)) {
    throw fail("not a PNG file");
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
  let image;
  try {
    image = decode(bytes, { checkCrc: true });
  } catch (error) {
    throw fail(`damaged (${(error as Error).message})`);
  }
  const channels = colour === 0 ? 1 : 3;
  const data = image.data instanceof Uint8ClampedArray ? new Uint8Array(image.data) : image.data;
  if (data.length !== width * height * channels) throw fail("damaged (pixels are missing)");
  return { width, height, channels, data, text: image.text };
}
