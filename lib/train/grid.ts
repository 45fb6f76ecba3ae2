/** The picture of an epoch: real slices beside generated ones, lung masks outlined. */

import type { PreparedSlice } from "../data/dataset.ts";
import { Canvas, CHARACTER, COLOURS, textWidth } from "../io/canvas.ts";

export interface GridRow {
  readonly title: string;
  /** Planes of [height, width] in [−1, 1]. */
  readonly images: readonly ArrayLike<number>[];
}

/** What a mask touches and one pixel around, so that the outline does not hide a small nodule. */
function around(mask: Float32Array, width: number): Uint8Array {
  const out = new Uint8Array(mask.length);
  mask.forEach((v, i) => {
    if (v <= 0) return;
    for (const dy of [-1, 0, 1]) {
      for (const dx of [-1, 0, 1]) {
        const x = i % width + dx, at = i + dy * width + dx;
        if (x >= 0 && x < width && at >= 0 && at < out.length) out[at] = 1;
      }
    }
  });
  return out;
}

/**
 * Rows of images, a column a lung mask; masks are outlined in green, and in the rows named in
 * `nodules` the nodules in yellow, a pixel around them.
 */
export function drawGrid(
  rows: readonly (GridRow & { conditions: readonly PreparedSlice[]; nodules?: boolean })[],
  height: number,
  width: number,
  caption: string,
): Canvas {
  const scale = Math.max(1, Math.round(160 / Math.max(height, width)));
  const [cellWidth, cellHeight] = [width * scale + 4, height * scale + 4];
  const columns = Math.max(...rows.map((r) => r.images.length));
  const titles = rows.map(({ title }) => title);
  const titleHeight = CHARACTER.height + 3;
  const canvas = new Canvas(
    Math.max(columns * cellWidth + 4, ...[caption, ...titles].map((t) => textWidth(t) + 8)),
    rows.length * (cellHeight + titleHeight) + titleHeight + 6,
    [24, 24, 28],
  );
  canvas.text(4, 4, caption, COLOURS.gray);
  let y = titleHeight + 4;
  for (const row of rows) {
    canvas.text(4, y, row.title);
    y += titleHeight;
    row.images.forEach((data, i) => {
      const x = 4 + i * cellWidth;
      const { lungMask, noduleMask } = row.conditions[i];
      canvas.image(x, y, { data, width, height }, scale);
      canvas.outline(x, y, { data: lungMask, width, height }, COLOURS.green, scale);
      if (row.nodules) {
        canvas.outline(
          x,
          y,
          { data: around(noduleMask, width), width, height },
          COLOURS.yellow,
          scale,
        );
      }
    });
    y += cellHeight;
  }
  return canvas;
}
