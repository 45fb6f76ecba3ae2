/** A strip of the reverse process: from noise to image, and what the model took it for on the way. */

import { Canvas, CHARACTER, COLOURS, textWidth } from "../io/canvas.ts";
import type { ReverseStep } from "./scheduler.ts";

const COLUMNS = 8, MAX_ROWS = 4;

/** Left of an image's rows: the noisy image, and the clean one that the model predicts from it. */
const ROWS = ["x_t", "x_0"];

/** Collects the moments that a sampler shows (`watch` of its request) and draws them. */
export class Strip {
  /** After how many steps to look. */
  readonly at: ReadonlySet<number>;
  readonly #moments: { title: string; x: Float32Array; x0?: Float32Array }[] = [];

  constructor(
    readonly steps: readonly ReverseStep[],
    readonly height: number,
    readonly width: number,
  ) {
    const n = steps.length;
    this.at = new Set(
      Array.from({ length: COLUMNS }, (_, k) => Math.round(n * k / (COLUMNS - 1))),
    );
  }

  show(done: number, x: Float32Array, x0: Float32Array): void {
    const t = this.steps[done]?.t;
    const title = t === undefined ? "done" : `t = ${t}`;
    this.#moments.push({ title, x: x.slice(), x0: done ? x0.slice() : undefined });
  }

  /** Two rows an image: x, and the clean image predicted from it. */
  draw(): Canvas {
    const { height, width } = this;
    const pixels = height * width;
    const images = Math.min(MAX_ROWS, this.#moments[0].x.length / pixels);
    const scale = Math.max(1, Math.round(128 / Math.max(height, width)));
    const [cellWidth, cellHeight] = [width * scale + 4, height * scale + 4];
    const head = CHARACTER.height + 6, margin = textWidth("x_t") + 10;
    const canvas = new Canvas(
      margin + COLUMNS * cellWidth,
      head + 2 * images * cellHeight,
      [24, 24, 28],
    );
    for (let row = 0; row < 2 * images; row++) {
      const middle = head + row * cellHeight + (height * scale - CHARACTER.height) / 2;
      canvas.text(4, Math.round(middle), ROWS[row % 2], COLOURS.gray);
    }
    this.#moments.forEach(({ title, x, x0 }, column) => {
      const left = margin + column * cellWidth;
      canvas.text(left, 4, title, COLOURS.gray);
      for (let i = 0; i < images; i++) {
        [x, x0].forEach((plane, k) => {
          if (!plane) return;
          const data = plane.subarray(i * pixels, (i + 1) * pixels);
          canvas.image(left, head + (2 * i + k) * cellHeight, { data, width, height }, scale);
        });
      }
    });
    return canvas;
  }
}
