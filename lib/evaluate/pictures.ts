/** Pictures of an evaluation: slices side by side, closest pairs, curves as SVG. */

import { Canvas, CHARACTER, type Colour, COLOURS, textWidth } from "../io/canvas.ts";
import { escapeHtml } from "../io/html.ts";
import { label, logTicks, ticks } from "../train/chart.ts";
import type { ClosePair } from "./copying.ts";
import type { Curve } from "./evaluation.ts";
import type { EvalSlice } from "./slices.ts";
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
  const { height, width, partners } = input;
  const scale = scaleFor(width), cell = width * scale + GAP, line = height * scale + GAP;
  const titles = partners ? ["real", "generated", "difference", "lungs"] : ["generated", "lungs"];
  const top = CHARACTER.height + GAP;
  const caption = 2 * CHARACTER.height;
  const abouts = chosen.map((i) => aboutSlice(input.generated[i], evaluation.slices[i]));
  const widest = Math.max(0, ...abouts.map((about) => textWidth(about)));
  const canvas = new Canvas(
    Math.max(titles.length * cell, widest),
    top + chosen.length * (line + caption),
  );
  titles.forEach((title, column) => canvas.text(column * cell, 0, title));
  chosen.forEach((i, row) => {
    const y = top + row * (line + caption);
    const slice = input.generated[i], scores = evaluation.slices[i];
    const plane = (data: ArrayLike<number>) => ({ data, width, height });
    const draw = (column: number, data: ArrayLike<number>) =>
      canvas.image(column * cell, y, plane(data), scale);
    const last = titles.length - 1;
    if (partners) {
      const real = partners[i];
      draw(0, real.ct);
      draw(1, slice.ct);
      draw(2, slice.ct.map((value, k) => (value - real.ct[k]) / 2));
      if (real.noduleMask) canvas.outline(0, y, plane(real.noduleMask), COLOURS.red, scale);
    } else draw(0, slice.ct);
    draw(last, slice.ct);
    canvas.outline(last * cell, y, plane(slice.lungMask), COLOURS.green, scale);
    canvas.outline(last * cell, y, plane(scores.seen), COLOURS.yellow, scale);
    canvas.text(0, y + line, `${slice.id}`.slice(0, Math.floor(canvas.width / CHARACTER.width)));
    canvas.text(0, y + line + CHARACTER.height, abouts[row], COLOURS.gray);
  });
  return canvas;
}

function aboutSlice(slice: EvalSlice, scores: Result["evaluation"]["slices"][number]): string {
  return [
    slice.label ? "nodule asked" : "no nodule asked",
    scores.nodule === null ? "" : `verdict ${show(scores.nodule)}`,
    scores.psnr === null ? "" : `PSNR ${show(scores.psnr)}`,
    scores.ssim === null ? "" : `SSIM ${show(scores.ssim)}`,
    `Dice ${show(scores.dice)}`,
  ].filter(Boolean).join("  ").replaceAll("−", "-").replaceAll("∞", "inf");
}

/**
 * Generated slices beside the training slices nearest to them, closest first, what is compared
 * outlined: the inside of the mask.
 */
export function closestPairs(
  generated: readonly EvalSlice[],
  train: readonly EvalSlice[],
  pairs: readonly ClosePair[],
  { height, width }: { height: number; width: number },
): Canvas {
  const scale = scaleFor(width), cell = width * scale + GAP, wide = 2 * cell + 4 * GAP;
  const line = height * scale + GAP + 3 * CHARACTER.height;
  const perRow = 3;
  const canvas = new Canvas(perRow * wide, Math.ceil(pairs.length / perRow) * line);
  pairs.forEach((pair, k) => {
    const x = k % perRow * wide, y = Math.floor(k / perRow) * line;
    const sides = [generated[pair.generated], train[pair.train]];
    sides.forEach(({ ct, lungMask }, side) => {
      canvas.image(x + side * cell, y, { data: ct, width, height }, scale);
      const mask = { data: lungMask, width, height };
      canvas.outline(x + side * cell, y, mask, COLOURS.green, scale);
    });
    const ratio = pair.ratio === null ? "" : `, ratio ${show(pair.ratio)}`;
    const texts = [
      `made: ${sides[0].id}`,
      `real: ${sides[1].id}`,
      `distance ${show(pair.distance)}${ratio}`,
    ];
    texts.forEach((text, i) => {
      const fitting = text.slice(0, Math.floor((wide - 2 * GAP) / CHARACTER.width));
      canvas.text(x, y + height * scale + 2 + i * CHARACTER.height, fitting, COLOURS.gray);
    });
  });
  return canvas;
}

const css = ([red, green, blue]: Colour) => `rgb(${red},${green},${blue})`;
export const CURVE_COLOURS = ["#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2"];

const MARGIN = { left: 84, right: 28, top: 30, bottom: 46 };
const [WIDTH, HEIGHT] = [640, 300];

export interface Axes {
  /** Where each value of the curves stands. */
  at: readonly number[];
  xLabel: string;
  yLabel: string;
  /** Logarithmic y axis. */
  log?: boolean;
}

/** Lines over a common axis, as SVG; points that a logarithmic axis has no place for are left out. */
export function lineChart(curves: readonly Curve[], { at, xLabel, yLabel, log }: Axes): string {
  const fits = (value: number) => Number.isFinite(value) && (!log || value > 0);
  const all = curves.flatMap(({ values }) => Array.from(values)).filter(fits);
  let low = Math.min(...all), high = Math.max(...all);
  if (!(high > low)) [low, high] = log ? [low / 2, high * 2] : [low - 1, low + 1];
  const yTicks = log ? logTicks(low, high) : ticks(low, high);
  const right = WIDTH - MARGIN.right, bottom = HEIGHT - MARGIN.bottom;
  const [x0, x1] = [Math.min(...at), Math.max(...at)];
  const px = (x: number) =>
    (MARGIN.left + (right - MARGIN.left) * (x1 > x0 ? (x - x0) / (x1 - x0) : 0.5)).toFixed(1);
  const [y0, y1] = [yTicks[0], yTicks.at(-1)!].map((y) => log ? Math.log10(y) : y);
  const py = (y: number) =>
    (bottom - (bottom - MARGIN.top) * ((log ? Math.log10(y) : y) - y0) / (y1 - y0)).toFixed(1);
  const xTicks = x1 > x0 ? ticks(x0, x1).filter((x) => x >= x0 && x <= x1) : [x0];
  const parts = [
    ...yTicks.map((y) =>
      `<line x1="${MARGIN.left}" x2="${right}" y1="${py(y)}" y2="${py(y)}" stroke="#8884"/>` +
      `<text x="${MARGIN.left - 6}" y="${py(y)}" dy="4" text-anchor="end">${label(y)}</text>`
    ),
    ...xTicks.map((x) =>
      `<text x="${px(x)}" y="${bottom + 16}" text-anchor="middle">${label(x)}</text>`
    ),
  ];
  curves.forEach(({ values }, k) => {
    const colour = CURVE_COLOURS[k % CURVE_COLOURS.length];
    const points = Array.from(values).flatMap((y, i) => fits(y) ? [[px(at[i]), py(y)]] : []);
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.join(" ")}"/>`,
      ...(points.length <= 12
        ? points.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="3" fill="${colour}"/>`)
        : []),
    );
  });
  // The legend, a line above the curves.
  const names = curves.map(({ name }, k) =>
    `<tspan dx="${k && 16}" fill="${CURVE_COLOURS[k % CURVE_COLOURS.length]}">${
      escapeHtml(name)
    }</tspan>`
  );
  parts.push(`<text x="${right}" y="16" text-anchor="end">${names.join("")}</text>`);
  parts.push(
    `<text x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${
      escapeHtml(xLabel)
    }</text>`,
    `<text transform="translate(14 ${HEIGHT / 2}) rotate(-90)" text-anchor="middle">${
      escapeHtml(yLabel)
    }</text>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(yLabel)}">${
    parts.join("")
  }</svg>`;
}

/** The colours of the mask outlines, for the page's legend. */
export const LEGEND = { asked: css(COLOURS.green), seen: css(COLOURS.yellow) };
