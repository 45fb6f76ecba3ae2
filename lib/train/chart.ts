/** Line charts as SVG text: no library, no script. */

import { escapeHtml } from "../io/html.ts";

export interface ChartOptions {
  readonly title: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly xLabel: string;
  /** Logarithmic y axis; points at or below 0 are left out. */
  readonly log?: boolean;
}

const [WIDTH, HEIGHT] = [460, 240];
const MARGIN = { left: 56, right: 24, top: 30, bottom: 36 };
const MOST_POINTS = 1000;

/** Round numbers, about four apart, from at most `low` to at least `high`. */
export function ticks(low: number, high: number): number[] {
  const raw = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * power >= raw * (1 - 1e-9))! * power;
  const first = Math.floor(low / step + 1e-9), last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** The same for a logarithmic axis: 1, 2 and 5 times powers of ten, or powers alone. */
export function logTicks(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const factors = last - first > 3 ? [1] : [1, 2, 5];
  const all: number[] = [];
  for (let p = first; p <= last; p++) all.push(...factors.map((f) => Number(`${f}e${p}`)));
  const from = all.findLastIndex((v) => v <= low), to = all.findIndex((v) => v >= high);
  return all.slice(Math.max(from, 0), to < 0 ? all.length : to + 1);
}

/** A number at a tick. */
export const label = (v: number) => {
  const size = Math.abs(v);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return Number(v.toPrecision(3)).toExponential();
  return String(Number(v.toPrecision(4)));
};

/** The middle of every so many points, so that a long run's chart stays small. */
function thinned(points: ChartOptions["points"]): ChartOptions["points"] {
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % every === 0 || i === points.length - 1);
}

export function lineChart({ title, points, xLabel, log = false }: ChartOptions): string {
  const shown = thinned(
    points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y) && (!log || y > 0)),
  );
  const frame = (body: string) =>
    `<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${
      escapeHtml(title)
    }">` +
    `<text class="title" x="${MARGIN.left}" y="18">${escapeHtml(title)}</text>${body}</svg>`;
  if (shown.length === 0) {
    return frame(`<text x="${WIDTH / 2}" y="${HEIGHT / 2}" text-anchor="middle">none yet</text>`);
  }
  const map = log ? Math.log10 : (v: number) => v;
  const xs = shown.map(([x]) => x), ys = shown.map(([, y]) => y);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  let [low, high] = [Math.min(...ys), Math.max(...ys)];
  if (low === high) [low, high] = low > 0 ? [low * 0.9, high * 1.1] : [low - 1, high + 1];
  const yTicks = log ? logTicks(low, high) : ticks(low, high);
  const [y0, y1] = [yTicks[0], yTicks.at(-1)!];
  const right = WIDTH - MARGIN.right, bottom = HEIGHT - MARGIN.bottom;
  const at = (x: number) => MARGIN.left + (x - x0) / (x1 - x0 || 1) * (right - MARGIN.left);
  const up = (y: number) =>
    bottom - (map(y) - map(y0)) / (map(y1) - map(y0)) * (bottom - MARGIN.top);
  const parts: string[] = [];
  for (const y of yTicks) {
    const v = up(y).toFixed(1);
    parts.push(
      `<line class="grid" x1="${MARGIN.left}" x2="${right}" y1="${v}" y2="${v}"/>` +
        `<text x="${MARGIN.left - 6}" y="${v}" dy="4" text-anchor="end">${label(y)}</text>`,
    );
  }
  for (const x of x1 > x0 ? ticks(x0, x1).filter((x) => x >= x0 && x <= x1) : [x0]) {
    const h = at(x).toFixed(1);
    parts.push(`<text x="${h}" y="${bottom + 15}" text-anchor="middle">${label(x)}</text>`);
  }
  const middle = (MARGIN.left + right) / 2;
  parts.push(
    `<line class="axis" x1="${MARGIN.left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`,
    `<text x="${middle}" y="${HEIGHT - 5}" text-anchor="middle">${escapeHtml(xLabel)}</text>`,
  );
  const places = shown.map(([x, y]) => `${at(x).toFixed(1)},${up(y).toFixed(1)}`);
  parts.push(`<polyline class="line" points="${places.join(" ")}"/>`);
  const dots = shown.length <= 40 ? shown : shown.slice(-1);
  for (const [x, y] of dots) {
    parts.push(
      `<circle class="dot" cx="${at(x).toFixed(1)}" cy="${up(y).toFixed(1)}" r="2.5">` +
        `<title>${label(x)}: ${y.toPrecision(5)}</title></circle>`,
    );
  }
  return frame(parts.join(""));
}
