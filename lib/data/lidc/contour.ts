/** From LIDC outlines to pixels: an outline is the outer border, the nodule lies strictly inside. */

import type { Roi } from "./xml.ts";

/** A rectangle of pixels that holds a mask: `bits[(y - y0) * width + (x - x0)]` is 0 or 1. */
export interface PixelPatch {
  x0: number;
  y0: number;
  width: number;
  height: number;
  bits: Uint8Array;
}

interface Region {
  patch: PixelPatch;
  /** 1 on the border itself. */
  border: Uint8Array;
}

/**
 * The pixels of one reader's nodule on one slice: the union of what lies strictly inside the TRUE
 * outlines, less the FALSE outlines with their border. Null where nothing is inside.
 */
export function noduleOnSlice(rois: readonly Roi[]): PixelPatch | null {
  const outer = rois.filter((roi) => roi.inclusion && roi.points.length >= 2);
  if (outer.length === 0) return null;
  const regions = outer.map((roi) => fill(roi.points));
  const patch = emptyPatch(regions.map((region) => region.patch));
  for (const { patch: inside } of regions) paint(patch, inside, inside.bits, 1);
  for (const roi of rois) {
    if (roi.inclusion || roi.points.length < 2) continue;
    const hole = fill(roi.points);
    paint(patch, hole.patch, hole.patch.bits, 0);
    paint(patch, hole.patch, hole.border, 0);
  }
  return patch.bits.includes(1) ? patch : null;
}

/** A cleared patch over all of `parts`. */
export function emptyPatch(parts: readonly PixelPatch[]): PixelPatch {
  const x0 = Math.min(...parts.map((p) => p.x0)), y0 = Math.min(...parts.map((p) => p.y0));
  const width = Math.max(...parts.map((p) => p.x0 + p.width)) - x0;
  const height = Math.max(...parts.map((p) => p.y0 + p.height)) - y0;
  return { x0, y0, width, height, bits: new Uint8Array(width * height) };
}

function paint(onto: PixelPatch, from: PixelPatch, bits: Uint8Array, value: number) {
  for (let y = 0; y < from.height; y++) {
    const row = from.y0 + y - onto.y0;
    if (row < 0 || row >= onto.height) continue;
    for (let x = 0; x < from.width; x++) {
      const column = from.x0 + x - onto.x0;
      if (bits[y * from.width + x] && column >= 0 && column < onto.width) {
        onto.bits[row * onto.width + column] = value;
      }
    }
  }
}

/**
 * Draws the closed outline and floods from outside. A border drawn 8-connected stops a 4-connected
 * flood, so what is left is inside, however the outline runs; even-odd filling would have to guess
 * at the corners, which lie on pixel centres.
 */
function fill(points: Int32Array): Region {
  let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
  for (let i = 0; i < points.length; i += 2) {
    x0 = Math.min(x0, points[i]);
    x1 = Math.max(x1, points[i]);
    y0 = Math.min(y0, points[i + 1]);
    y1 = Math.max(y1, points[i + 1]);
  }
  x0--, y0--; // a free frame around the outline, where the flood starts
  const width = x1 - x0 + 2, height = y1 - y0 + 2;
  const border = new Uint8Array(width * height);
  for (let i = 0, n = points.length; i < n; i += 2) {
    const next = (i + 2) % n;
    const [ax, ay, bx, by] = [points[i], points[i + 1], points[next], points[next + 1]];
    drawLine(border, width, ax - x0, ay - y0, bx - x0, by - y0);
  }
  const bits = border.map((on) => on ? 0 : 1);
  const stack = [0];
  bits[0] = 0;
  while (stack.length > 0) {
    const at = stack.pop()!, x = at % width;
    for (
      const next of [
        x > 0 ? at - 1 : -1,
        x < width - 1 ? at + 1 : -1,
        at - width,
        at + width,
      ]
    ) {
      if (next < 0 || next >= bits.length || !bits[next]) continue;
      bits[next] = 0;
      stack.push(next);
    }
  }
  return { patch: { x0, y0, width, height, bits }, border };
}

/** Bresenham's line, both ends included. */
function drawLine(
  bits: Uint8Array,
  width: number,
  x: number,
  y: number,
  toX: number,
  toY: number,
) {
  const dx = Math.abs(toX - x), dy = -Math.abs(toY - y);
  const stepX = x < toX ? 1 : -1, stepY = y < toY ? 1 : -1;
  let error = dx + dy;
  for (;;) {
    bits[y * width + x] = 1;
    if (x === toX && y === toY) return;
    const twice = 2 * error;
    if (twice >= dy) {
      error += dy;
      x += stepX;
    }
    if (twice <= dx) {
      error += dx;
      y += stepY;
    }
  }
}
