/** An evaluation as a table for the terminal, as CSV and as JSON. */

import { csvText } from "../io/csv.ts";
import { jsonNumber } from "../metrics/statistics.ts";
import type { Evaluation } from "./evaluation.ts";
import type { EvaluationInput } from "./slices.ts";
import { METRICS, type Score } from "./score.ts";

/** One set of generated slices with what they scored. */
export interface Result {
  /** "guidance 2", or the folder's name. */
  name: string;
  cfgScale: number | null;
  input: EvaluationInput;
  evaluation: Evaluation;
}

export interface Report {
  /** What was scored, a line each: run, data, model, adapter, seed. */
  about: [key: string, value: string][];
  /** The training epoch of the model; null where unknown. */
  epoch: number | null;
  results: Result[];
  warnings: string[];
}

/** Four significant digits, infinities as ∞, "—" for what was not computed. */
export function show(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "—";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const text = Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3
    ? value.toExponential(2)
    : value.toPrecision(4);
  return text.replace("-", "−");
}

/** "Mean ± deviation unit" and "[low, high]" of a score; the second empty where there is none. */
export function scoreParts({ value, deviation, low, high, unit }: Score): [string, string] {
  if (value === null) return ["not computed", ""];
  const spread = Number.isFinite(deviation) ? ` ± ${show(deviation)}` : "";
  const hasRange = low !== undefined && Number.isFinite(value);
  return [
    `${show(value)}${spread}${unit && ` ${unit}`}`,
    hasRange ? `[${show(low)}, ${show(high)}]` : "",
  ];
}

/** Says a reason that repeats in full where it comes first, with a number; after that the number. */
export class Reasons {
  readonly #labels = new Map<string, number>();
  readonly #repeated: ReadonlySet<string>;

  constructor(scores: readonly Score[]) {
    const notes = scores.flatMap(({ note }) => note ? [note] : []);
    this.#repeated = new Set(notes.filter((note, i) => notes.indexOf(note) !== i));
  }

  once(reason: string): string {
    if (!this.#repeated.has(reason)) return reason;
    const known = this.#labels.get(reason);
    if (known !== undefined) return `see note ${known}`;
    this.#labels.set(reason, this.#labels.size + 1);
    return `note ${this.#labels.size}: ${reason}`;
  }
}

/** The scores of one result, a line each, under headings. */
export function terminalTable({ name, evaluation }: Result): string {
  const lines: string[] = [`\n== ${name}: ${evaluation.slices.length} slices ==`];
  let group = "";
  const rows = evaluation.scores.map((score) => ({
    score,
    label: `${score.label}${score.better === "" ? "" : score.better === "higher" ? " ↑" : " ↓"}`,
    value: scoreParts(score).join("  ").trimEnd(),
  }));
  const wide = (pick: (row: typeof rows[number]) => string) =>
    Math.max(...rows.map((row) => [...pick(row)].length));
  const labelWidth = wide(({ label }) => label), valueWidth = wide(({ value }) => value);
  const reasons = new Reasons(evaluation.scores);
  for (const { score, label, value } of rows) {
    if (score.group !== group) lines.push("", group = score.group);
    const reference = score.reference === undefined || score.reference === null
      ? ""
      : `real: ${show(score.reference)}`;
    const row = `  ${label.padEnd(labelWidth)}  ${value.padEnd(valueWidth)}  ${reference}`
      .trimEnd();
    const note = score.note && reasons.once(score.note);
    if (score.value === null) lines.push(`${row}${note ? `: ${note}` : ""}`);
    // Beneath, so that figures stay in a terminal of usual width.
    else lines.push(row, ...(note ? [`      ${note}`] : []));
  }
  return lines.join("\n");
}

/** Metrics of which the original writes mean and deviation, and FID. */
const ORIGINAL = ["psnr", "ssim", "mse", "lpips"];

/**
 * A row a result: the original's columns (epoch, `*_mean`, `*_std`, fid), then the rest. What was
 * not computed is an empty field, never 0; an infinite PSNR is "Infinity".
 */
export function csv({ results, epoch }: Report): string {
  const others = METRICS.map(({ name }) => name)
    .filter((name) => !ORIGINAL.includes(name) && name !== "fid");
  const columns = [
    "epoch",
    ...ORIGINAL.flatMap((name) => [`${name}_mean`, `${name}_std`]),
    "fid",
    "name",
    "cfg_scale",
    "slices",
    ...others,
    ...METRICS.flatMap(({ name }) => [`${name}_low`, `${name}_high`]),
    ...METRICS.map(({ name }) => `${name}_real`),
  ];
  const field = (value: number | null | undefined) =>
    value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
  const rows = results.map((result) => {
    const of = (name: string) => result.evaluation.scores.find((score) => score.name === name);
    return [
      field(epoch),
      ...ORIGINAL.flatMap((name) => [field(of(name)?.value), field(of(name)?.deviation)]),
      field(of("fid")?.value),
      csvText(result.name),
      field(result.cfgScale),
      field(result.evaluation.slices.length),
      ...others.map((name) => field(of(name)?.value)),
      ...METRICS.flatMap(({ name }) => [field(of(name)?.low), field(of(name)?.high)]),
      ...METRICS.map(({ name }) => field(of(name)?.reference)),
    ].join(",");
  });
  return [columns.join(","), ...rows, ""].join("\n");
}

/** Everything but the pixels; infinities as text, since JSON has none. */
export function json({ about, results, warnings, epoch }: Report): string {
  const plain = {
    about: Object.fromEntries(about),
    epoch,
    warnings,
    results: results.map(({ name, cfgScale, input, evaluation }) => ({
      name,
      cfgScale,
      paired: input.partners !== null,
      warnings: evaluation.warnings,
      scores: evaluation.scores,
      slices: evaluation.slices.map(({ seen: _, ...rest }, i) => ({
        ...rest,
        asked: input.generated[i].label,
      })),
      nearest: Object.fromEntries(
        Object.entries(evaluation.copies).map(([space, found]) => [
          space,
          found?.pairs.map(({ generated, train, distance, ratio }) => ({
            generated: input.generated[generated].id,
            train: input.train[train].id,
            distance,
            ratio,
          })) ?? null,
        ]),
      ),
    })),
  };
  const text = JSON.stringify(
    plain,
    (_, value) => typeof value === "number" ? jsonNumber(value) : value,
    2,
  );
  return text + "\n";
}
