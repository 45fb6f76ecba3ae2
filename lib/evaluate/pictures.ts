/** Pictures of an evaluation: slices side by side, closest pairs, curves as SVG. */

import { Canvas, CHARACTER, type Colour, COLOURS } from "../io/canvas.ts";
import type { ClosePair } from "./copying.ts";
import type { Curve, EvalSlice } from "./evaluation.ts";
import type { Result } from "./report.ts";
import { show } from "./report.ts";

/** Canvas pixels between pictures. */
const GAP = 4;

/** Enlarges small slices, so that a picture is about this wide. */
function scaleFor(width: number): number {
  return Math.max(1, Math.round(160 / width));
}

/**
 * A row a slice: real, generated, their difference (grey where alike), and the lungs: asked for in
 * green, seen in the generated slice in yellow.
 */
export function sliceRows({ input, evaluation }: Result, chosen: readonly number[]): Canvas {
  const { height, width, paired } = input;
  const scale = scaleFor(width), cell = width * scale + GAP, line = height * scale + GAP;
  const titles = paired ? ["real", "generated", "difference", "lungs"] : ["generated", "lungs"];
  const top = CHARACTER.height + GAP;
  const caption = 2 * CHARACTER.height;
  const canvas = new Canvas(titles.length * cell, top + chosen.length * (line + caption));
  titles.forEach((title, column) => canvas.text(column * cell, 0, title));
  chosen.forEach((i, row) => {
    const y = top + row * (line + caption);
    const slice = input.generated[i], scores = evaluation.slices[i];
    const plane = (data: ArrayLike<number>) => ({ data, width, height });
    const draw = (column: number, data: ArrayLike<number>) =>
      canvas.image(column * cell, y, plane(data), scale);
    const last = titles.length - 1;
    if (paired) {
      const real = input.real[i];
      draw(0, real.ct);
      draw(1, slice.ct);
      draw(2, slice.ct.map((value, k) => (value - real.ct[k]) / 2));
      if (real.noduleMask) canvas.outline(0, y, plane(real.noduleMask), COLOURS.red, scale);
    } else draw(0, slice.ct);
    draw(last, slice.ct);
    canvas.outline(last * cell, y, plane(slice.lungMask), COLOURS.green, scale);
    canvas.outline(last * cell, y, plane(scores.seen), COLOURS.yellow, scale);
    const about = [
      slice.label ? "nodule asked" : "no nodule asked",
      scores.nodule === null ? "" : `verdict ${show(scores.nodule)}`,
      scores.psnr === null ? "" : `PSNR ${show(scores.psnr)}`,
      scores.ssim === null ? "" : `SSIM ${show(scores.ssim)}`,
      `Dice ${show(scores.dice)}`,
    ].filter(Boolean).join("  ").replaceAll("−", "-").replaceAll("∞", "inf");
    canvas.text(0, y + line, `${slice.id}`.slice(0, Math.floor(canvas.width / CHARACTER.width)));
    canvas.text(0, y + line + CHARACTER.height, about, COLOURS.gray);
  });
  return canvas;
}

/** Generated slices beside the training slices nearest to them, closest first. */
export function closestPairs(
  generated: readonly EvalSlice[],
  train: readonly EvalSlice[],
  pairs: readonly ClosePair[],
  { height, width }: { height: number; width: number },
): Canvas {
  const scale = scaleFor(width), cell = width * scale + GAP;
  const line = height * scale + GAP + CHARACTER.height;
  const perRow = 3;
  const rows = Math.ceil(pairs.length / perRow);
  const canvas = new Canvas(perRow * (2 * cell + 4 * GAP), rows * line);
  pairs.forEach((pair, k) => {
    const x = k % perRow * (2 * cell + 4 * GAP), y = Math.floor(k / perRow) * line;
    canvas.image(x, y, { data: generated[pair.generated].ct, width, height }, scale);
    canvas.image(x + cell, y, { data: train[pair.train].ct, width, height }, scale);
    const text = `generated | training, ${show(pair.distance)}` +
      (pair.ratio === null ? "" : `, ratio ${show(pair.ratio)}`);
    canvas.text(x, y + height * scale + 1, text, COLOURS.gray);
  });
  return canvas;
}

const css = ([red, green, blue]: Colour) => `rgb(${red},${green},${blue})`;
export const CURVE_COLOURS = ["#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2"];

/** Lines over a common axis, as SVG. */
export function lineChart(
  curves: readonly Curve[],
  { x, xLabel, yLabel, log = false }: {
    /** Value at the first and the last point. */
    x: [number, number];
    xLabel: string;
    yLabel: string;
    log?: boolean;
  },
): string {
  const W = 640, H = 300, left = 70, bottom = 44, top = 12, right = 12;
  const transform = (value: number) => log ? Math.log10(Math.max(value, 1e-12)) : value;
  const all = curves.flatMap(({ values }) => Array.from(values, transform)).filter(Number.isFinite);
  let low = Math.min(...all), high = Math.max(...all);
  if (!(high > low)) [low, high] = [low - 1, low + 1];
  const px = (i: number, count: number) =>
    left + (W - left - right) * (count > 1 ? i / (count - 1) : 0.5);
  const py = (value: number) => H - bottom - (H - top - bottom) * (value - low) / (high - low);
  const parts: string[] = [];
  for (let tick = 0; tick <= 4; tick++) {
    const value = low + (high - low) * tick / 4, y = py(value).toFixed(1);
    const text = show(log ? 10 ** value : value);
    parts.push(
      `<line x1="${left}" x2="${W - right}" y1="${y}" y2="${y}" stroke="#8884"/>` +
        `<text x="${
          left - 6
        }" y="${y}" text-anchor="end" dominant-baseline="middle">${text}</text>`,
    );
    const at = x[0] + (x[1] - x[0]) * tick / 4;
    parts.push(
      `<text x="${px(tick, 5)}" y="${H - bottom + 16}" text-anchor="middle">${show(at)}</text>`,
    );
  }
  curves.forEach(({ name, values }, k) => {
    const colour = CURVE_COLOURS[k % CURVE_COLOURS.length];
    const points = Array.from(
      values,
      (value, i) => `${px(i, values.length).toFixed(1)},${py(transform(value)).toFixed(1)}`,
    );
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.join(" ")}"/>` +
        `<text x="${W - right - 4}" y="${top + 14 + 16 * k}" text-anchor="end" fill="${colour}">` +
        `${escape(name)}</text>`,
    );
  });
  parts.push(
    `<text x="${(left + W) / 2}" y="${H - 8}" text-anchor="middle">${escape(xLabel)}</text>`,
    `<text transform="translate(14 ${H / 2}) rotate(-90)" text-anchor="middle">${
      escape(yLabel)
    }</text>`,
  );
  return `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${escape(yLabel)}">${
    parts.join("")
  }</svg>`;
}

/** Text inside HTML: ids come from the user's file names. */
export function escape(text: string): string {
  const entities: Record<string, string> = { "&": "amp", "<": "lt", ">": "gt", '"': "quot" };
  return text.replace(/[&<>"]/g, (character) => `&${entities[character]};`);
}

/** The colours of the mask outlines, for the page's legend. */
export const LEGEND = { asked: css(COLOURS.green), seen: css(COLOURS.yellow) };
