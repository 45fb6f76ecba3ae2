/** Pictures saved in colour: masks, and images that are gray all the same. */

import { InputError } from "../errors.ts";
import type { PngImage } from "../io/png.ts";

/**
 * One value a pixel: of a gray picture its own; of a colour one 0 for black and 255 for the one
 * colour that is not black.
 * @throws InputError naming `name` where there are several colours: nobody knows which is meant.
 */
export function maskPixels({ data, channels }: PngImage, name: string): Uint8Array | Uint16Array {
  if (channels === 1) return data;
  const pixels = data.length / 3, out = new Uint8Array(pixels), colours = new Set<string>();
  let gray = true;
  for (let i = 0; i < data.length && gray; i += 3) {
    gray = data[i] === data[i + 1] && data[i] === data[i + 2];
  }
  for (let i = 0; i < pixels; i++) {
    const [r, g, b] = [data[3 * i], data[3 * i + 1], data[3 * i + 2]];
    if (r === 0 && g === 0 && b === 0) continue;
    out[i] = gray ? Math.min(255, r) : 255;
    if (gray) continue;
    colours.add(`(${r}, ${g}, ${b})`);
    if (colours.size > 1) {
      throw new InputError(
        `Cannot use "${name}": a mask is black and one colour, found ${[...colours].join(" and ")}`,
      );
    }
  }
  return out;
}

/** One value a pixel. @throws InputError naming `name` where it is a picture in colour. */
export function grayPixels({ data, channels }: PngImage, name: string): Uint8Array | Uint16Array {
  if (channels === 1) return data;
  for (let i = 0; i < data.length; i += 3) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) {
      throw new InputError(`Cannot use "${name}": a picture in colour, gray is needed`);
    }
  }
  return data.filter((_, i) => i % 3 === 0);
}
