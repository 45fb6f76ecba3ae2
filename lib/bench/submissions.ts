/** The page of all machines: tables from a folder of results, and nothing typed in by hand. */

import type { BenchResult, StepResult } from "./result.ts";
import { markdownTable, short, type Table } from "./tables.ts";

export interface Submission {
  /** Its file's name. */
  readonly file: string;
  readonly result: BenchResult;
}

const of = (result: BenchResult, kind: StepResult["kind"], batch: number) =>
  result.steps?.find((s) => s.kind === kind && s.batch === batch);

const runtimeText = (runtime: Readonly<Record<string, string>>) =>
  Object.entries(runtime).filter(([name]) => name !== "V8").map(([k, v]) => `${k} ${v}`).join(", ");

function machineTable(all: readonly Submission[]): Table {
  return {
    title: "Machines",
    head: [
      ...["adapter", "processor", "runtime", "date", "GFLOP/s", "GB/s", "subgroups"],
      ...["kernels", "settled", "largest error, of its tolerance", "file"],
    ],
    rows: all.map(({ file, result: { machine, date, peaks, rows } }) => {
      const { works, least, most } = machine.subgroups;
      const shares = rows.flatMap((r) => r.error && r.tolerance ? [r.error / r.tolerance] : []);
      return [
        machine.adapter,
        `${machine.processor}, ${machine.cores} threads`,
        runtimeText(machine.runtime),
        date.slice(0, 10),
        short(peaks.gflops),
        short(peaks.gigabytes),
        works ? [...new Set([least, most])].filter((n) => n !== null).join("–") || "yes" : "no",
        String(rows.length),
        String(rows.filter((r) => !r.flags.includes("unsettled")).length),
        shares.length ? `${(100 * Math.max(...shares)).toFixed(0)}%` : "",
        `[${file}](../benchmarks/${encodeURIComponent(file)})`,
      ];
    }),
    note: "GFLOP/s and GB/s: multiply-adds in registers and copies, measured in the same run. " +
      "Settled: the median is known to 1%; few of them: the machine was busy with something else, and " +
      "its times say little. Each kernel was checked against float64 first.",
  };
}

function stepsTable(all: readonly Submission[]): Table {
  const batches = [...new Set(all.flatMap(({ result }) => result.steps?.map((s) => s.batch) ?? []))]
    .sort((a, b) => a - b);
  const columns = (["train", "sample"] as const).flatMap((kind) =>
    batches.map((batch) => ({ kind, batch }))
  );
  return {
    title: "Milliseconds of a step of the seed model at 128²",
    head: ["adapter", ...columns.map((c) => `${c.kind}, batch ${c.batch}`)],
    rows: all.map(({ result }) => [
      result.machine.adapter,
      ...columns.map(({ kind, batch }) => {
        const step = of(result, kind, batch);
        return step ? short(step.median) : "";
      }),
    ]),
    note: "A training step is forward, backward, AdamW and EMA; a sampling step is guided: the " +
      "model on twice the batch. Empty: there was no time for it within ten minutes.",
  };
}

function opsTable(all: readonly Submission[]): Table {
  const sum = (result: BenchResult, op: string) =>
    result.rows.filter((r) => r.op === op).reduce((s, r) => s + r.median * r.count, 0);
  const ops = [...new Set(all.flatMap(({ result }) => result.rows.map((r) => r.op)))];
  const total = (op: string) => all.reduce((s, { result }) => s + sum(result, op), 0);
  const cell = (result: BenchResult, op: string) => {
    const rows = result.rows.filter((r) => r.op === op);
    if (rows.length === 0) return "";
    const ms = sum(result, op), flops = rows.reduce((s, r) => s + r.flops * r.count, 0);
    return `${short(ms)}${flops ? ` (${short(flops / ms / 1e6)})` : ""}`;
  };
  return {
    title: "Kernels of that training step at batch 8, by op: ms in all (GFLOP/s)",
    head: ["op", ...all.map(({ result }) => result.machine.adapter)],
    rows: ops.sort((a, b) => total(b) - total(a))
      .map((op) => [op, ...all.map(({ result }) => cell(result, op))]),
  };
}

/** Results of a date's later runs first; machines by the speed of their peaks. */
export function submissionsMarkdown(all: readonly Submission[]): string {
  if (all.length === 0) return "No results yet.";
  const sorted = all.toSorted((a, b) =>
    b.result.peaks.gflops - a.result.peaks.gflops || (a.file < b.file ? -1 : 1)
  );
  return [machineTable(sorted), stepsTable(sorted), opsTable(sorted)].map(markdownTable).join("\n");
}
