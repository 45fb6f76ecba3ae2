/** report.html of a run: one file with everything in it, to be opened in any browser. */

import { basename, join } from "node:path";
import type { Dataset } from "../data/dataset.ts";
import type { Precision } from "../graph/tensor.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { contentSecurityPolicy, escapeHtml } from "../io/html.ts";
import { readJsonObject } from "../nn/pretrained.ts";
import { listCheckpoints } from "./checkpoint.ts";
import { lineChart } from "./chart.ts";
import type { MetricsRow } from "./metrics_file.ts";
import { commitOf, datasetHash, sha256 } from "./provenance.ts";
import { readBest } from "./retention.ts";
import type { Trainer } from "./trainer.ts";

export const REPORT_NAME = "report.html";
/** Pictures in a report: of a long run every so many epochs. */
const MOST_PICTURES = 50;

export interface ReportSource {
  readonly out: string;
  readonly trainer: Trainer;
  readonly dataset: Dataset;
  /** Data folder, or undefined for the phantom. */
  readonly data: string | undefined;
}

const CHARTS: readonly [
  column: Exclude<keyof MetricsRow, "scored_on">,
  title: string,
  log: boolean,
][] = [
  ["loss", "loss (logarithmic)", true],
  ["learning_rate", "learning rate", false],
  ["gradient_norm", "gradient norm before clipping", true],
  ["images_per_second", "slices per second", false],
  ["loss_scale", "loss scale (logarithmic)", true],
  ["psnr", "PSNR of generated against real, in the lung (dB)", false],
  ["ssim", "SSIM of generated against real, in the lung", false],
  ["mse", "MSE of generated against real, in the lung", false],
];

const table = (rows: readonly (readonly [string, unknown])[]) =>
  `<table>${
    rows.map(([k, v]) => `<tr><th>${escapeHtml(k)}</th><td>${escapeHtml(v)}</td></tr>`).join("")
  }</table>`;

/** Writes the report anew from what the run's folder holds. @returns its path. */
export async function writeReport(source: ReportSource, rows: readonly MetricsRow[]) {
  const { out, trainer } = source;
  const charts = CHARTS.map(([column, title, log]) => {
    // Rows of epochs repeat the loss of the steps before them.
    const own = column === "loss" ? rows.filter((r) => r.psnr === undefined) : rows;
    const points = own.flatMap((r): [number, number][] => {
      const y = r[column];
      return y === undefined ? [] : [[r.step, y]];
    });
    return points.length ? lineChart({ title, points, xLabel: "optimizer step", log }) : "";
  });
  const facts = await factsOf(source, rows);
  const { unet, ...settings } = trainer.config;
  const html = page(`Run ${basename(out)}`, [
    table(facts),
    `<h2>Curves</h2><div class="charts">${charts.join("")}</div>`,
    `<h2>Samples</h2>${gallery(await pictures(out))}`,
    `<h2>Configuration</h2><div class="columns">`,
    table(Object.entries(settings).map(([k, v]) => [k, JSON.stringify(v)])),
    table(Object.entries(unet).map(([k, v]) => [`unet.${k}`, JSON.stringify(v)])),
    "</div>",
  ]);
  const path = join(out, REPORT_NAME);
  await writeFileAtomic(path, html);
  return path;
}

async function factsOf(
  { out, trainer, dataset, data }: ReportSource,
  rows: readonly MetricsRow[],
): Promise<[string, unknown][]> {
  const { config } = trainer;
  const [newest] = await listCheckpoints(out);
  const state = newest ? await readJsonObject(join(newest, "state.json")) : {};
  const hashes = Object.entries(state.sha256 as Record<string, string> ?? {})
    .filter(([file]) => file.endsWith(".safetensors"));
  const best = await readBest(out);
  const last = rows.findLast((r) => r.loss !== undefined);
  return [
    ["written", new Date().toISOString()],
    ["step", `${trainer.step} of ${trainer.totalSteps}`],
    ["wall time", duration(wallSeconds(rows))],
    ["loss", last ? `${last.loss!.toPrecision(4)} (step ${last.step})` : "none yet"],
    ...skippedSteps(config.precision, rows),
    [
      "best",
      best ? `${best.metric} ${best.value.toPrecision(5)} at step ${best.step}` : "none yet",
    ],
    ...scoredOn(rows),
    ["data", data ?? "built-in phantom"],
    ["slices", `${dataset.train.length} to train on, ${dataset.val.length} for validation`],
    ["model", `${trainer.layout.count} parameters`],
    ["adapter", trainer.gpu.name],
    ["GPU memory", `${(trainer.executable.bytes / 2 ** 20).toFixed(1)} MiB a training step`],
    ["seed", config.seed],
    ["commit", await commitOf() ?? "not known"],
    ["program", `Deno ${Deno.version.deno}`],
    ["SHA-256 of the configuration", sha256(JSON.stringify(config))],
    ["SHA-256 of the list of slices", datasetHash(dataset)],
    ...hashes.map(([file, hash]): [string, unknown] => [
      `SHA-256 of ${basename(newest)}, ${file.replace("/diffusion_pytorch_model.safetensors", "")}`,
      hash,
    ]),
  ];
}

/** Seconds of all sessions of a run: each begins to count anew. */
export function wallSeconds(rows: readonly MetricsRow[]): number {
  let total = 0, last = 0;
  for (const { seconds } of rows) {
    if (seconds === undefined) continue;
    if (seconds < last) total += last;
    last = seconds;
  }
  return total + last;
}

/** "1 h 2 min", "4 min 45 s", "12 s". */
export function duration(seconds: number): string {
  const s = Math.round(seconds), [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return h ? `${h} h ${m} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
}

function scoredOn(rows: readonly MetricsRow[]): [string, unknown][] {
  const last = rows.findLast((r) => r.scored_on !== undefined);
  return last?.scored_on === "train"
    ? [["scores", "PSNR, SSIM, MSE and best are on training slices: nothing is held out"]]
    : [];
}

/** Of a run with f16. */
function skippedSteps(precision: Precision, rows: readonly MetricsRow[]): [string, unknown][] {
  const last = rows.findLast((r) => r.skipped_steps !== undefined);
  return precision === "f16" && last
    ? [["steps skipped for an overflow", `${last.skipped_steps} (by step ${last.step})`]]
    : [];
}

/** Sample grids by epoch, as data URLs. */
async function pictures(out: string): Promise<{ name: string; url: string }[]> {
  const folder = join(out, "samples");
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) {
      if (/^epoch-\d+\.png$/.test(name)) names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  names.sort();
  const every = Math.ceil(names.length / MOST_PICTURES);
  const chosen = names.filter((_, i) => (names.length - 1 - i) % every === 0); // the last is in
  return await Promise.all(chosen.map(async (name) => ({
    name: name.replace(/^epoch-0*(\d+)\.png$/, "epoch $1"),
    url: `data:image/png;base64,${(await Deno.readFile(join(folder, name))).toBase64()}`,
  })));
}

function gallery(images: readonly { name: string; url: string }[]): string {
  if (images.length === 0) return "<p>None yet.</p>";
  const last = images.length - 1;
  const shown = images.map(({ name, url }, i) =>
    `<figure${i === last ? "" : " hidden"}><img src="${url}" alt="Samples of ${name}">` +
    `<figcaption>${name}</figcaption></figure>`
  );
  return `<div class="gallery"><label>epoch <input type="range" min="0" max="${last}" ` +
    `value="${last}"${last === 0 ? " disabled" : ""}></label>${shown.join("")}</div>` +
    `<p class="note">Real slices beside generated ones; lung masks green, nodules yellow.</p>`;
}

const STYLE = `
:root { color-scheme: light dark; --line: #1f6feb; --grid: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 980px; margin: 24px auto; padding: 0 16px; }
h1 { font-size: 24px; } h2 { font-size: 18px; margin: 28px 0 8px; }
table { border-collapse: collapse; font-size: 13px; }
th { text-align: left; font-weight: 500; opacity: .7; padding: 2px 14px 2px 0; vertical-align: top;
  white-space: nowrap; }
td { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
@media (max-width: 600px) {
  table { width: 100%; table-layout: fixed; } th { white-space: normal; width: 40%; overflow-wrap: anywhere; }
  .columns table { flex-basis: 100%; }
}
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(400px, 100%), 1fr)); gap: 12px; }
.chart { width: 100%; border: 1px solid var(--grid); border-radius: 6px; }
.chart text { font-size: 11px; fill: currentColor; } .chart .title { font-size: 13px; }
.grid { stroke: var(--grid); } .axis { stroke: currentColor; }
.line { fill: none; stroke: var(--line); stroke-width: 1.6; } .dot { fill: var(--line); }
.gallery input { width: 60%; vertical-align: middle; } figure { margin: 8px 0; }
img { max-width: 100%; image-rendering: pixelated; } .note { opacity: .7; font-size: 13px; }
.columns { display: flex; flex-wrap: wrap; gap: 32px; align-items: flex-start; } .columns table { flex: 1 1 380px; }
`;

const SCRIPT = `
for (const gallery of document.querySelectorAll(".gallery")) {
  const figures = gallery.querySelectorAll("figure");
  gallery.querySelector("input").addEventListener("input", (event) => {
    figures.forEach((figure, i) => figure.hidden = i !== Number(event.target.value));
  });
}
`;

const page = (title: string, body: readonly string[]) =>
  `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">${contentSecurityPolicy(SCRIPT)}<title>${
    escapeHtml(title)
  }</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head>
<body><h1>${escapeHtml(title)}</h1>
${body.join("\n")}
<script>${SCRIPT}</script></body></html>
`;
