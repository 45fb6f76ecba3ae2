/** `evaluation.html`: the whole report in one file that needs nothing else and runs no script. */

import type { Canvas } from "../io/canvas.ts";
import { contentSecurityPolicy, escapeHtml } from "../io/html.ts";
import { closestPairs, LEGEND, lineChart, sliceRows } from "./pictures.ts";
import type { Report, Result } from "./report.ts";
import { Reasons, scoreParts, show } from "./report.ts";
import type { Score } from "./score.ts";

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #8883; vertical-align: top; }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } small { opacity: .75; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 1rem; }
svg { width: 100%; font-size: 13px; fill: currentColor; }
img { width: 100%; image-rendering: pixelated; background: #000; }
.none { opacity: .6; } .warning { background: #f5a62333; padding: .5rem 1rem; }
.group td { font-weight: 600; padding-top: 1rem; }
@media (max-width: 600px) { th, td { padding: .2rem .3rem; } table { font-size: 13px; } }`;

/** How many slices of each class, and how many closest pairs, are shown. */
const SHOWN = 4, PAIRS = 6;

/** The page as text. */
export function evaluationPage(report: Report): string {
  const { about, results, warnings } = report;
  const parts = [
    "<h1>Evaluation</h1>",
    `<table>${
      about.map(([key, value]) =>
        `<tr><th>${escapeHtml(key)}</th><td>${escapeHtml(value)}</td></tr>`
      )
        .join("")
    }</table>`,
    box(warnings),
    "<p>Mean ± standard deviation over the slices, with the 95 % bootstrap interval of the mean in " +
    "brackets. “Real” is what the same figure gives between real slices: what a perfect generator " +
    "would score. ↑ higher is better, ↓ lower is better.</p>",
    `<div class="wide">${scoreTable(results)}</div>`,
    ...(results.length > 1 ? [guidanceCharts(results)] : []),
    ...results.map(resultSection),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
${contentSecurityPolicy()}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation</title><style>${STYLE}</style></head>
<body>
${parts.join("\n")}
</body></html>
`;
}

/** Notes in one box, a line each. */
const box = (notes: readonly string[]) =>
  notes.length ? `<p class="warning">${notes.map(escapeHtml).join("<br>")}</p>` : "";

function scoreTable(results: readonly Result[]): string {
  const head = `<tr><th>Metric</th>${
    results.map(({ name }) => `<th>${escapeHtml(name)}</th>`).join("")
  }<th>Real</th></tr>`;
  let group = "";
  const reasons = new Reasons(results[0].evaluation.scores);
  const rows = results[0].evaluation.scores.map((score) => {
    const all = results.map(({ evaluation }) =>
      evaluation.scores.find(({ name }) => name === score.name)
    );
    const arrow = score.better === "higher" ? " ↑" : score.better === "lower" ? " ↓" : "";
    const notes = [...new Set(all.flatMap((one) => one?.note ? [reasons.once(one.note)] : []))];
    const heading = score.group === group
      ? ""
      : `<tr class="group"><td colspan="${results.length + 2}">${
        escapeHtml(group = score.group)
      }</td></tr>`;
    return `${heading}<tr><td>${escapeHtml(score.label)}${arrow}<br>` +
      `<small>${escapeHtml([score.source, ...notes].join("; "))}</small></td>` +
      `${all.map(cell).join("")}<td class="number">${show(score.reference)}</td></tr>`;
  });
  return `<table>${head}${rows.join("\n")}</table>`;
}

function cell(score: Score | undefined): string {
  if (!score || score.value === null) return `<td class="none">not computed</td>`;
  const [figures, interval] = scoreParts(score);
  const second = interval ? `<br><small>${escapeHtml(interval)}</small>` : "";
  return `<td class="number">${escapeHtml(figures)}${second}</td>`;
}

/** A curve over the guidance scale for every metric computed at each. */
function guidanceCharts(results: readonly Result[]): string {
  const scales = results.map(({ cfgScale }) => cfgScale);
  if (scales.some((scale) => scale === null)) return "";
  const charts = ["psnr", "frd_subset", "fid", "mask_dice", "nodule_auc"].flatMap((name) => {
    const scores = results.map(({ evaluation }) =>
      evaluation.scores.find((score) => score.name === name)
    );
    if (scores.some((score) => !score || score.value === null || !Number.isFinite(score.value))) {
      return [];
    }
    const curve = { name: scores[0]!.label, values: scores.map((score) => score!.value!) };
    const at = scales.map((scale) => scale!);
    return [lineChart([curve], { at, xLabel: "guidance scale", yLabel: scores[0]!.label })];
  });
  return charts.length
    ? `<h2>Over the guidance scale</h2><div class="charts">${charts.join("\n")}</div>`
    : "";
}

function resultSection(result: Result): string {
  const { name, input, evaluation } = result;
  const { height, width, window, generated, train } = input;
  const chosen = [1, 0].flatMap((label) =>
    generated.flatMap((slice, i) => slice.label === label ? [i] : []).slice(0, SHOWN)
  );
  const low = window.level - window.width / 2, high = window.level + window.width / 2;
  const bin = (high - low) / evaluation.histograms[0].values.length;
  // The mean, which comes first, was taken away.
  const spectra = evaluation.spectra.map(({ name, values }) => ({
    name,
    values: Array.from(values).slice(1),
  }));
  const parts = [
    `<h2>${escapeHtml(name)}</h2>`,
    box(evaluation.warnings),
    picture(
      sliceRows(result, chosen),
      input.partners ? "Real, generated, difference, lungs" : "Generated slices and their lungs",
    ),
    `<p><small>Lungs: <b style="color:${LEGEND.asked}">asked for</b>, ` +
    `<b style="color:${LEGEND.seen}">seen in the generated slice</b>. Difference: grey where alike, ` +
    `white where the generated slice is denser. Red: the real slice's nodule.</small></p>`,
    `<div class="charts"><div><h3>HU inside the lungs</h3>`,
    lineChart(evaluation.histograms, {
      at: Array.from(evaluation.histograms[0].values, (_, i) => low + (i + 0.5) * bin),
      xLabel: "HU",
      yLabel: "fraction of pixels",
    }),
    "</div><div><h3>Radial power spectrum</h3>",
    lineChart(spectra, {
      at: Array.from(spectra[0].values, (_, i) => i + 1),
      xLabel: "cycles per image side",
      yLabel: "power",
      log: true,
    }),
    "</div></div>",
  ];
  for (const [space, found] of Object.entries(evaluation.copies)) {
    if (!found?.pairs.length) continue;
    parts.push(
      `<h3>Closest training slices, by ${escapeHtml(space)}</h3>`,
      picture(
        closestPairs(generated, train, found.pairs.slice(0, PAIRS), { height, width }),
        `Generated slices beside the training slices nearest by ${space}`,
      ),
    );
  }
  return parts.join("\n");
}

function picture(canvas: Canvas, title: string): string {
  const png = canvas.toPng();
  let binary = "";
  for (let i = 0; i < png.length; i += 0x8000) {
    binary += String.fromCharCode(...png.subarray(i, i + 0x8000));
  }
  return `<img src="data:image/png;base64,${btoa(binary)}" width="${canvas.width}" alt="${
    escapeHtml(title)
  }">`;
}
