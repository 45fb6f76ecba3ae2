/** bench.html: the report to look at, one file without anything outside it. */

import { contentSecurityPolicy, escapeHtml } from "../io/html.ts";
import type { KernelRow } from "./kernels.ts";
import type { BenchReport } from "./report.ts";
import { benchTables, coresOf, short, type Table } from "./tables.ts";

/** Kinds of kernels, each with a colour that also the colour-blind can tell apart (Okabe, Ito). */
const KINDS: readonly { name: string; test: RegExp; colour: string }[] = [
  { name: "convolution, forward", test: /^conv2d(?!.*_backward)/, colour: "#0072b2" },
  { name: "convolution, input gradient", test: /^conv2d.*_backward_data/, colour: "#56b4e9" },
  { name: "convolution, weight gradient", test: /^conv2d.*_backward_weight/, colour: "#009e73" },
  { name: "group norm", test: /^group_norm/, colour: "#e69f00" },
  { name: "attention", test: /^attention/, colour: "#cc79a7" },
  { name: "linear", test: /^linear/, colour: "#d55e00" },
  { name: "other", test: /./, colour: "#777777" },
];

const kindOf = (op: string) => KINDS.find((k) => k.test.test(op))!;

export function benchPage(report: BenchReport): string {
  const { kernels, model, peers } = report;
  const drawings = [
    ...(kernels
      ? [section("Roofline", roofline(report)), section("Time by op", opBars(report))]
      : []),
    ...(model ? [section("Images a second", modelBars(report))] : []),
    ...(peers ? [section("Beside others", peerBars(report))] : []),
  ];
  const facts = [
    report.adapter,
    coresOf(report),
    ...Object.entries(report.versions).map(([k, v]) => `${k} ${v}`),
    report.tuned ? "variants as tuned" : "variants as shipped",
    report.date,
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
${contentSecurityPolicy()}
<meta name="viewport" content="width=device-width">
<title>Benchmark: ${escapeHtml(report.adapter)}</title>
<style>
  body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1080px; padding: 0 1rem; color: #222; }
  h2 { margin: 2rem 0 .5rem; font-size: 1.15rem; }
  table { border-collapse: collapse; font-size: 13px; }
  th, td { padding: 2px 10px 2px 0; text-align: left; border-bottom: 1px solid #ddd; vertical-align: top; }
  td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
  .scroll { overflow-x: auto; }
  svg { max-width: 100%; height: auto; }
  svg text { font: 12px system-ui, sans-serif; fill: #333; }
  .key span { display: inline-block; margin-right: 1.2em; }
  .key i { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 5px; }
  code { background: #f3f3f3; padding: 1px 4px; }
</style>
<h1>Benchmark</h1>
<p>${facts.map(escapeHtml).join(" · ")}</p>
<p><code>${escapeHtml(report.command)}</code></p>
${drawings.join("\n")}
${benchTables(report).map(htmlTable).join("\n")}
</html>
`;
}

const section = (title: string, body: string) => `<h2>${escapeHtml(title)}</h2>\n${body}`;

function htmlTable({ title, head, rows, note }: Table): string {
  const cell = (text: string) =>
    `<td${/^[-±+\d.,%e]+$/.test(text) ? ' class="number"' : ""}>${escapeHtml(text)}</td>`;
  return `<h2>${escapeHtml(title)}</h2>${note ? `\n<p>${escapeHtml(note)}</p>` : ""}
<div class="scroll"><table>
<tr>${head.map((h) => `<th>${escapeHtml(h)}</th>`).join("")}</tr>
${rows.map((r) => `<tr>${r.map(cell).join("")}</tr>`).join("\n")}
</table></div>`;
}

const WIDTH = 1000, HEIGHT = 460, LEFT = 60, RIGHT = 20, TOP = 20, BOTTOM = 45;

/** Kernels by arithmetic intensity and speed, below what memory and arithmetic allow. */
function roofline({ kernels, peaks }: BenchReport): string {
  const rows = kernels!.rows.filter((r) => r.flops > 0 && r.bytes > 0);
  const intensity = (r: KernelRow) => r.flops / r.bytes;
  const xs = [...rows.map(intensity), peaks.gflops / peaks.gigabytes];
  const ys = [...rows.map((r) => r.gflops), peaks.gflops];
  const x = logScale(xs, LEFT, WIDTH - RIGHT);
  const y = logScale(ys, HEIGHT - BOTTOM, TOP);
  const ridge = peaks.gflops / peaks.gigabytes;
  // The slope starts where it enters the drawing.
  const start = Math.max(x.low, y.low / peaks.gigabytes);
  const roof = [[start, start * peaks.gigabytes], [ridge, peaks.gflops], [x.high, peaks.gflops]]
    .map(([a, b]) => `${x.at(a).toFixed(1)},${y.at(b).toFixed(1)}`).join(" ");
  const grid = [
    ...x.ticks.map((t) =>
      `<path d="M${x.at(t)},${TOP}V${HEIGHT - BOTTOM}" stroke="#e5e5e5"/>` +
      `<text x="${x.at(t)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${t}</text>`
    ),
    ...y.ticks.map((t) =>
      `<path d="M${LEFT},${y.at(t)}H${WIDTH - RIGHT}" stroke="#e5e5e5"/>` +
      `<text x="${LEFT - 6}" y="${y.at(t) + 4}" text-anchor="end">${t}</text>`
    ),
  ];
  const points = rows.toSorted((a, b) => b.share - a.share).map((r) => {
    const radius = Math.max(3, 34 * Math.sqrt(r.share));
    const text = `${r.op} ${r.shapes} ×${r.count} (${r.variant}): ${short(r.gflops)} GFLOP/s, ` +
      `${(100 * r.share).toFixed(1)}% of the step`;
    return `<circle cx="${x.at(intensity(r)).toFixed(1)}" cy="${y.at(r.gflops).toFixed(1)}" ` +
      `r="${radius.toFixed(1)}" fill="${kindOf(r.op).colour}" fill-opacity=".55" ` +
      `stroke="${kindOf(r.op).colour}"><title>${escapeHtml(text)}</title></circle>`;
  });
  return `${key(kernels!.rows)}
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Roofline of the training step's kernels">
${grid.join("\n")}
<polyline points="${roof}" fill="none" stroke="#222" stroke-width="2"/>
<text x="${x.at(ridge) + 8}" y="${y.at(peaks.gflops) - 6}">${
    escapeHtml(`${short(peaks.gflops)} GFLOP/s, ${short(peaks.gigabytes)} GB/s`)
  }</text>
${points.join("\n")}
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${
    HEIGHT - 8
  }" text-anchor="middle">FLOP a byte (fewest bytes)</text>
<text transform="translate(14 ${HEIGHT / 2}) rotate(-90)" text-anchor="middle">GFLOP/s</text>
</svg>
<p>Areas are shares of the step's time. The line: what copying and multiply-adds reached in this run.</p>`;
}

function key(rows: readonly KernelRow[]): string {
  const used = KINDS.filter((k) => rows.some((r) => kindOf(r.op) === k));
  return `<p class="key">${
    used.map((k) => `<span><i style="background:${k.colour}"></i>${escapeHtml(k.name)}</span>`)
      .join("")
  }</p>`;
}

/** Powers of ten that enclose the values. */
function logScale(values: readonly number[], from: number, to: number) {
  const low = 10 ** Math.floor(Math.log10(Math.min(...values) * 0.99));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...values) * 1.01));
  const decades = Math.round(Math.log10(high / low));
  const ticks = Array.from(
    { length: decades + 1 },
    (_, i) => Number((low * 10 ** i).toPrecision(1)),
  );
  const at = (v: number) => from + (to - from) * Math.log10(v / low) / decades;
  return { low, high, ticks, at };
}

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly text: string;
  readonly colour: string;
}

function bars(label: string, all: readonly Bar[]): string {
  const LABELS = 260, VALUES = 240, STEP = 24;
  const most = Math.max(...all.map((b) => b.value));
  const drawn = all.map(({ label, value, text, colour }, i) => {
    const width = Math.max(1, (WIDTH - LABELS - VALUES) * value / most);
    const y = i * STEP;
    return `<text x="${LABELS - 8}" y="${y + 16}" text-anchor="end">${escapeHtml(label)}</text>` +
      `<rect x="${LABELS}" y="${y + 4}" width="${
        width.toFixed(1)
      }" height="16" fill="${colour}"/>` +
      `<text x="${(LABELS + width + 6).toFixed(1)}" y="${y + 16}">${escapeHtml(text)}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${all.length * STEP + 6}" role="img" aria-label="${
    escapeHtml(label)
  }">\n${drawn.join("\n")}\n</svg>`;
}

function opBars({ kernels }: BenchReport): string {
  const all = [...Map.groupBy(kernels!.rows, (r) => r.op)].map(([op, rows]): Bar => {
    const share = rows.reduce((s, r) => s + r.share, 0);
    const ms = rows.reduce((s, r) => s + r.time.median * r.count, 0);
    const text = `${(100 * share).toFixed(1)}%, ${short(ms)} ms`;
    return { label: op, value: share, text, colour: kindOf(op).colour };
  });
  return bars("Share of the training step by op", all.sort((a, b) => b.value - a.value));
}

function modelBars({ model }: BenchReport): string {
  return (["train", "sample"] as const).map((kind) => {
    const rows = model!.rows.filter((r) => r.kind === kind && r.time);
    if (rows.length === 0) return "";
    const colour = kind === "train" ? "#0072b2" : "#009e73";
    const what = kind === "train" ? "training step" : "sampling step, guided";
    return bars(
      `Images a second: ${what}`,
      rows.map((r) => ({
        label: `${what}, ${r.size}², batch ${r.batch}`,
        value: r.imagesPerSecond!,
        text: `${short(r.imagesPerSecond!)} (${short(r.time!.median / 1000)} s a step` +
          `${r.half ? `, f16 ${short(r.half.time.median / 1000)} s` : ""})`,
        colour,
      })),
    );
  }).join("\n");
}

function peerBars({ peers }: BenchReport): string {
  const jobs = Map.groupBy(peers!.rows.filter((r) => r.time), (r) => `${r.what}, batch ${r.batch}`);
  return [...jobs].map(([job, rows]) =>
    `<p>${escapeHtml(job)}, ${rows[0].size}²: seconds, shorter is better</p>` + bars(
      job,
      rows.map((r) => ({
        label: r.name,
        value: r.time!.median,
        text: `${short(r.time!.median / 1000)} s (${short(r.ratio!)}× ours)`,
        colour: r.ratio === 1 ? "#0072b2" : "#999999",
      })),
    )
  ).join("\n");
}
