/** Results as tables, Markdown and CSV. */

import type { Comparison } from "./compare.ts";
import type { BenchResult, ResultRow, StepResult } from "./result.ts";
import { short, type Table } from "./tables.ts";

const percent = (share: number, digits = 0) => `${(100 * share).toFixed(digits)}%`;

/** Milliseconds with the half of the interval, as a share. */
function certainty({ median, interval: [low, high] }: ResultRow): string {
  const half = Math.max(high / median - 1, 1 - low / median);
  if (half > 1) return "unknown";
  return `±${percent(half, half < 0.1 ? 1 : 0)}`;
}

export function rowTable({ rows, machine, peaks }: BenchResult): Table {
  const places = rows.some((r) => r.scope);
  return {
    title: "Kernels",
    head: [
      "op",
      "shape",
      ...(places ? ["×", "first"] : []),
      "variant",
      "ms",
      "95%",
      "p20",
      "p80",
      "GFLOP/s",
      "of peak",
      "GB/s",
      "of copy",
      "FLOP/B",
      "of roof",
      "error",
      "remarks",
    ],
    rows: rows.map((r) => [
      r.op,
      r.shape,
      ...(places ? [String(r.count), r.scope] : []),
      r.variant,
      short(r.median),
      certainty(r),
      short(r.p20),
      short(r.p80),
      r.flops ? short(r.gflops) : "",
      r.flops ? percent(r.ofCompute) : "",
      short(r.gigabytes),
      percent(r.ofCopy),
      short(r.intensity),
      percent(r.ofRoof),
      r.error === null ? "not checked" : r.error.toExponential(1),
      r.flags.join(", "),
    ]),
    note: `${machine.adapter}; peaks of this run: ${short(peaks.gflops)} GFLOP/s, ` +
      `${short(peaks.gigabytes)} GB/s. Timed by ${clockText(rows)}, ` +
      `${rows[0]?.cache === "cold" ? "caches flushed before each run" : "caches warm"}. ` +
      "unsettled: the median is not known to 1%; noisy: samples differ by 10%; drift: fixed " +
      "kernels beside it did.",
  };
}

const clockText = (rows: readonly ResultRow[]) =>
  rows[0]?.clock === "batches" ? "batches of runs" : "the device's timestamps";

export function stepTable(steps: readonly StepResult[]): Table {
  return {
    title: "Whole steps",
    head: [
      "model",
      "step",
      "size",
      "batch",
      "stored",
      "ms",
      "p20",
      "p80",
      "images/s",
      "GFLOP/s",
      "dispatches",
      "MiB",
    ],
    rows: steps.map((s) => [
      s.model,
      s.kind,
      `${s.size}²`,
      String(s.batch),
      s.precision,
      short(s.median),
      short(s.p20),
      short(s.p80),
      short(s.batch / s.median * 1000),
      short(s.gflops),
      String(s.dispatches),
      (s.bytes / 2 ** 20).toFixed(0),
    ]),
  };
}

/** An end of an interval of ratios; what lies far out says only that nothing is known. */
const end = (ratio: number) => ratio > 10 ? "∞" : ratio < 0.1 ? "0" : ratio.toFixed(3);

export function compareTable({ rows, betweenRuns, onlyOld, onlyNew }: Comparison): Table {
  const order = { SLOW: 0, FAST: 1, AMBIGUOUS: 2, SAME: 3 } as const;
  const sorted = rows.toSorted((a, b) => order[a.verdict] - order[b.verdict] || b.ratio - a.ratio);
  const count = (name: string) => rows.filter((r) => r.verdict === name).length;
  const alone = [
    ...(onlyOld.length ? [`${onlyOld.length} rows are in the old one alone`] : []),
    ...(onlyNew.length ? [`${onlyNew.length} in the new one alone`] : []),
  ];
  return {
    title: "New over old",
    head: ["verdict", "op", "shape", "variant", "old ms", "new ms", "ratio", "99.5%", "kernel"],
    rows: sorted.map((r) => [
      r.verdict,
      r.new.op,
      r.new.shape,
      r.new.variant,
      short(r.old.median),
      short(r.new.median),
      r.ratio.toFixed(3),
      `${end(r.low)} … ${end(r.high)}`,
      r.changed ? "changed" : "",
    ]),
    note: `${count("SLOW")} SLOW, ${count("FAST")} FAST, ${count("AMBIGUOUS")} AMBIGUOUS, ` +
      `${count("SAME")} SAME; rows scatter by ${percent(betweenRuns, 1)} from run to run` +
      `${alone.length ? `; ${alone.join(", ")}` : ""}.`,
  };
}

const COLUMNS = [
  ...["key", "op", "variant", "shape", "scope", "count", "dispatches", "exact", "kernel", "clock"],
  ...["cache", "median", "p20", "p80", "least", "low", "high", "samples", "blocks", "flags"],
  ...["flops", "bytes", "gflops", "gigabytes", "intensity", "ofCompute", "ofCopy", "ofRoof"],
  ...["error", "tolerance"],
] as const;

/** RFC 4180; times in milliseconds. */
export function rowsCsv(rows: readonly ResultRow[]): string {
  const cell = (value: unknown) => {
    const text = value === null ? "" : Array.isArray(value) ? value.join(" ") : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = rows.map((r) => {
    const all = { ...r, low: r.interval[0], high: r.interval[1] };
    return COLUMNS.map((name) => cell(all[name])).join(",");
  });
  return [COLUMNS.join(","), ...lines, ""].join("\r\n");
}
