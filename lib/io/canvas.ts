/** Pictures for people: an RGB canvas with gray images, mask outlines and captions. */

import { encodePng } from "./png.ts";
import { GLYPHS } from "./font.ts";

export type Colour = readonly [red: number, green: number, blue: number];

export const COLOURS = {
  white: [255, 255, 255],
  black: [0, 0, 0],
  gray: [150, 150, 150],
  green: [60, 220, 90],
  red: [255, 70, 60],
  yellow: [255, 210, 60],
  blue: [90, 160, 255],
} as const satisfies Record<string, Colour>;

/** Width and height of a character with its margin, at scale 1. */
export const CHARACTER = { width: 6, height: 9 } as const;

/** A plane of [height, width], row by row. */
export interface Plane {
  data: ArrayLike<number>;
  width: number;
  height: number;
}

/** 8-bit RGB; whatever reaches over an edge is cut off. */
export class Canvas {
  readonly data: Uint8Array;

  constructor(readonly width: number, readonly height: number, background: Colour = COLOURS.black) {
    this.data = new Uint8Array(width * height * 3);
    this.fill(0, 0, width, height, background);
  }

  pixel(x: number, y: number, colour: Colour): void {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    this.data.set(colour, (y * this.width + x) * 3);
  }

  fill(x: number, y: number, width: number, height: number, colour: Colour): void {
    for (let j = y; j < y + height; j++) {
      for (let i = x; i < x + width; i++) this.pixel(i, j, colour);
    }
  }

  /**
   * Draws a gray image with values in [-1, 1] (clipped; NaN is magenta, not to pass for black),
   * each of its pixels `scale` × `scale` of the canvas's.
   */
  image(x: number, y: number, { data, width, height }: Plane, scale = 1): void {
    for (let j = 0; j < height; j++) {
      for (let i = 0; i < width; i++) {
        const value = data[j * width + i];
        const gray = Math.round(Math.min(1, Math.max(-1, value)) * 127.5 + 127.5);
        const colour: Colour = Number.isNaN(value) ? [255, 0, 255] : [gray, gray, gray];
        this.fill(x + i * scale, y + j * scale, scale, scale, colour);
      }
    }
  }

  /** Draws the border of a mask (> 0.5): canvas pixels inside it that touch one outside. */
  outline(x: number, y: number, mask: Plane, colour: Colour, scale = 1): void {
    const { data, width, height } = mask;
    const inside = (i: number, j: number) =>
      i >= 0 && j >= 0 && i < width * scale && j < height * scale &&
      data[Math.floor(j / scale) * width + Math.floor(i / scale)] > 0.5;
    for (let j = 0; j < height * scale; j++) {
      for (let i = 0; i < width * scale; i++) {
        if (!inside(i, j)) continue;
        const border = !inside(i - 1, j) || !inside(i + 1, j) || !inside(i, j - 1) ||
          !inside(i, j + 1);
        if (border) this.pixel(x + i, y + j, colour);
      }
    }
  }

  /** Writes a line of text, its top left corner at (x, y); what has no glyph shows as "?". */
  text(x: number, y: number, text: string, colour: Colour = COLOURS.white, scale = 1): void {
    for (const [index, character] of [...text].entries()) {
      const rows = GLYPHS.get(character) ?? GLYPHS.get("?")!;
      for (let j = 0; j < 7; j++) {
        for (let i = 0; i < 5; i++) {
          if ((rows[j] >> (4 - i)) & 1) {
            const left = x + (index * CHARACTER.width + i) * scale;
            this.fill(left, y + j * scale, scale, scale, colour);
          }
        }
      }
    }
  }

  /** @param text written into the file as tEXt chunks. */
  toPng(text?: Record<string, string>): Uint8Array {
    return encodePng({
      width: this.width,
      height: this.height,
      channels: 3,
      data: this.data,
      text,
    });
  }
}

/** Pixels that a line of text takes from left to right. */
export function textWidth(text: string, scale = 1): number {
  return [...text].length * CHARACTER.width * scale;
}
