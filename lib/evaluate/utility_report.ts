/** What a comparison of training sets says: tables, JSON, and a page with curves. */

import { contentSecurityPolicy, escapeHtml } from "../io/html.ts";
import { jsonNumber } from "../metrics/statistics.ts";
import { lineChart } from "./pictures.ts";
import { estimate, type Figure, FIGURES, type Interval, type Sums, sumsOf } from "./utility.ts";
import type { Arm, TrainingResult } from "./utility_run.ts";

/** Dice on its own training slices below which a segmenter has not learned them. */
export const LEARNED = 0.5;

/** A figure at one share of the real patients. */
export interface UtilityRow {
  readonly figure: Figure;
  /** Of the real training patients; 0 for the row of synthetic slices alone. */
  readonly percent: number;
  /** Nodules, or slices with one, in the test set. */
  readonly count: number;
  /** The segmenters that are compared have learned their own training slices. */
  readonly isLearned: boolean;
  readonly real?: Interval;
  readonly both?: Interval;
  readonly synthetic?: Interval;
  /** `both` less `real`, seed by seed. */
  readonly difference?: Interval;
  /** `synthetic` less `real`, seed by seed. */
  readonly replaced?: Interval;
}

/** All figures at all shares, by share. @throws Error where a training is missing. */
export function utilityRows(
  results: readonly TrainingResult[],
  percents: readonly number[],
  seed: number,
): UtilityRow[] {
  const patients = [...new Set(results.flatMap((r) => r.slices.map((s) => s.patient)))].sort();
  const seeds = [...new Set(results.map((r) => r.seed))];
  const of = (figure: Figure, arm: Arm, percent: number): Sums[] =>
    seeds.map((each) => {
      const result = results.find((r) => r.arm === arm && r.percent === percent && r.seed === each);
      if (!result) throw new Error(`no result of ${arm}, ${percent} %, seed ${each}`);
      return sumsOf(figure, result.slices, patients);
    });
  return percents.flatMap((percent) => {
    const isLearned = results.every((r) => r.percent !== percent || r.fit >= LEARNED);
    return FIGURES.map((figure): UtilityRow => {
      const real = of(figure, "real", percent), both = of(figure, "real + synthetic", percent);
      const synthetic = of(figure, "synthetic", 0);
      return {
        ...{ figure, percent, isLearned },
        count: real[0].count.reduce((a, b) => a + b, 0),
        real: estimate(real, null, seed),
        both: estimate(both, null, seed),
        synthetic: estimate(synthetic, null, seed),
        difference: estimate(both, real, seed),
        replaced: estimate(synthetic, real, seed),
      };
    });
  });
}

const isKnown = (v: number | undefined): v is number => v !== undefined && Number.isFinite(v);

export function number(v: number | undefined, isSigned = false): string {
  if (!isKnown(v)) return "—";
  return (isSigned && v > 0 ? "+" : "") + v.toFixed(3).replace("-", "−");
}

function withInterval(interval: Interval | undefined, isSigned = false): string {
  const { value, low, high } = interval ?? {};
  const range = isKnown(low) ? ` [${number(low, isSigned)}, ${number(high, isSigned)}]` : "";
  return number(value, isSigned) + range;
}

/** In words, whichever way it went. */
export function verdict({ difference, isLearned }: UtilityRow): string {
  const { value, low, high } = difference ?? {};
  if (!isKnown(value)) return "nothing to compare";
  if (!isLearned) return "not trained long enough to tell";
  if (!isKnown(low) || !isKnown(high)) return "no interval: one seed, one patient";
  if (low > 0) return "better with synthetic slices";
  if (high < 0) return "worse with synthetic slices";
  return "no difference shown";
}

const HEAD = [
  "real patients",
  "figure",
  "n",
  "real",
  "real + synthetic",
  "synthetic",
  "difference",
];

const cells = (row: UtilityRow): string[] => [
  `${row.percent} %`,
  row.figure.label,
  String(row.count),
  number(row.real?.value),
  number(row.both?.value),
  number(row.synthetic?.value),
  withInterval(row.difference, true),
];

/** A line a figure. */
export function utilityTable(rows: readonly UtilityRow[]): string {
  const lines = [[...HEAD, ""], ...rows.map((row) => [...cells(row), verdict(row)])];
  const widths = lines[0].map((_, c) => Math.max(...lines.map((line) => line[c].length)));
  return lines.map((line) =>
    line.map((cell, c) => c < 2 || c === 7 ? cell.padEnd(widths[c]) : cell.padStart(widths[c]))
      .join("  ").trimEnd()
  ).join("\n");
}

export type About = readonly (readonly [string, string])[];

export function utilityJson(
  about: About,
  notes: readonly string[],
  rows: readonly UtilityRow[],
  results: readonly TrainingResult[],
): string {
  const plain = {
    about: Object.fromEntries(about),
    notes,
    rows: rows.map(({ figure, ...row }) => ({
      figure: figure.id,
      ...row,
      verdict: verdict({ figure, ...row }),
    })),
    trainings: results.map(({ slices: _, ...training }) => training),
  };
  return JSON.stringify(plain, (_, v) => typeof v === "number" ? jsonNumber(v) : v, 2) + "\n";
}

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 1100px; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886; }
.wide { overflow-x: auto; overflow-wrap: normal; }
table { border-collapse: collapse; } th { text-align: left; vertical-align: bottom; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #8883; vertical-align: top; }
td.number { white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums; }
.about th { min-width: 7rem; }
.charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); }
.charts h3 { margin: 0 0 .3rem; font-size: 1rem; }
svg { width: 100%; font-size: 13px; fill: currentColor; }
.better { background: #05966926; } .worse { background: #dc262626; }
.warning { background: #f5a62333; padding: .5rem 1rem; }`;

/** Curves over the share of real patients: figures over all sizes, then each size at 1 false positive. */
function charts(rows: readonly UtilityRow[], percents: readonly number[]): string {
  const drawn = FIGURES.filter(({ falsePositives, size }) => !size || falsePositives === 1);
  return drawn.flatMap((figure) => {
    const own = percents.map((percent) =>
      rows.find((row) => row.figure === figure && row.percent === percent)!
    );
    const curve = (name: string, of: (row: UtilityRow) => Interval | undefined) => ({
      name,
      values: own.map((row) => of(row)?.value ?? NaN),
    });
    const curves = [
      curve("real", (row) => row.real),
      curve("real + synthetic", (row) => row.both),
      curve("synthetic", (row) => row.synthetic),
    ];
    if (!curves.some(({ values }) => values.some(Number.isFinite))) return [];
    const axes = { at: percents, xLabel: "% of the real training patients", yLabel: figure.label };
    const title = `${figure.label[0].toUpperCase()}${figure.label.slice(1)}`;
    return [`<div><h3>${escapeHtml(title)}</h3>${lineChart(curves, axes)}</div>`];
  }).join("\n");
}

function table(rows: readonly UtilityRow[]): string {
  const lines = rows.map((row) => {
    const { low, high } = row.difference ?? {};
    const kind = !row.isLearned
      ? ""
      : isKnown(low) && low > 0
      ? "better"
      : isKnown(high) && high < 0
      ? "worse"
      : "";
    const values = [row.real, row.both, row.synthetic].map((interval) => withInterval(interval));
    return `<tr class="${kind}"><td>${escapeHtml(row.figure.label)}</td>` +
      [String(row.count), ...values, withInterval(row.difference, true)].map((text) =>
        `<td class="number">${escapeHtml(text)}</td>`
      ).join("") + `<td>${escapeHtml(verdict(row))}</td></tr>`;
  });
  const head = ["Figure", "n", "Real", "Real + synthetic", "Synthetic", "Difference", ""];
  return `<div class="wide"><table><tr>${head.map((text) => `<th>${text}</th>`).join("")}</tr>${
    lines.join("\n")
  }</table></div>`;
}

/** The page as text: it needs nothing else and runs no script. */
export function utilityPage(
  about: About,
  notes: readonly string[],
  rows: readonly UtilityRow[],
  percents: readonly number[],
): string {
  const parts = [
    "<h1>Do synthetic slices help?</h1>",
    "<p>A nodule segmenter, trained on real slices, on real and synthetic ones, and on synthetic ones " +
    "alone, with the same number of steps and the same seeds; tested on real slices of patients that " +
    "none of them was trained on.</p>",
    `<div class="wide"><table class="about">${
      about.map(([key, value]) =>
        `<tr><th>${escapeHtml(key)}</th><td>${escapeHtml(value)}</td></tr>`
      ).join("")
    }</table></div>`,
    ...notes.map((text) => `<p class="warning">${escapeHtml(text)}</p>`),
    `<h2>Curves</h2><div class="charts">${charts(rows, percents)}</div>`,
    ...percents.map((percent) =>
      `<h2>${percent} % of the real training patients</h2>${
        table(rows.filter((row) => row.percent === percent))
      }`
    ),
    "<p>Means over the seeds. In brackets: 95 % bootstrap intervals over seeds and test patients. " +
    "“Difference” is real + synthetic less real, seed by seed, with the same real patients. " +
    "Sensitivity: share of nodules found where so many detections a slice are false; Dice: of slices " +
    "with a nodule. Many figures are compared: one interval in twenty without 0 is to be expected by " +
    "chance alone.</p>",
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
${contentSecurityPolicy()}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Do synthetic slices help?</title><style>${STYLE}</style></head>
<body>
${parts.join("\n")}
</body></html>
`;
}
