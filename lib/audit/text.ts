/** Tables for the terminal. */

import { type NodeCheck, shareOf } from "./check.ts";
import type { FlopsComparison } from "./flops.ts";
import type { PlanBinding } from "../plan/plan.ts";
import type { AuditDispatch, AuditReport } from "./report.ts";

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((r) => [...(r[i] ?? "")].length)));
  const right = head.map((_, i) => rows.every((r) => /^[-+\d.,%e∞ ]*$/.test(r[i] ?? "")));
  const line = (r: readonly string[]) =>
    r.map((cell, i) => right[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])).join("  ")
      .trimEnd();
  return [line(head), line(widths.map((w) => "─".repeat(w))), ...rows.map(line)].join("\n");
}

export const mega = (n: number): string => (n / 1e6).toFixed(2);
export const mebi = (n: number): string => (n / 2 ** 20).toFixed(2);

const shapes = (list: readonly { shape: readonly number[]; dtype: string }[]) =>
  list.map((t) => `[${t.shape}]${t.dtype === "f32" ? "" : t.dtype}`).join(" ");

/** `forward`, `∂ conv_in.weight`, `∂ activation`, `update`. */
export const role = (d: AuditDispatch): string => d.gradient === null ? d.phase : `∂ ${d.gradient}`;

export function dispatchTable(report: AuditReport): string {
  return table(
    [
      "#",
      "op",
      "scope",
      "what",
      "note",
      "file",
      "sha256",
      "workgroups",
      "in",
      "out",
      "buffers",
      "MFLOP",
      "ideal MiB",
      "bound MiB",
      "live MiB",
    ],
    report.dispatches.map((d) => [
      String(d.index),
      d.op,
      d.scope,
      role(d),
      [d.variant, d.note].filter(Boolean).join(", "),
      d.file.replace("kernels/", ""),
      d.sha256.slice(0, 8),
      d.workgroups.join("×"),
      shapes(d.inputs),
      shapes(d.outputs),
      d.bindings.map((b) => `${b.name}:${buffersOf(b)}`).join(" "),
      mega(d.flops),
      mebi(d.idealBytes),
      mebi(d.actualBytes),
      mebi(d.liveBytes),
    ]),
  );
}

/** A tensor without memory of its own lies in several. */
const buffersOf = ({ buffer, pieces }: PlanBinding) =>
  [...new Set(pieces?.map((p) => p.buffer) ?? [buffer])].join("+");

export function totalsTable(report: AuditReport): string {
  return table(
    ["op", "nodes", "dispatches", "MFLOP", "share", "ideal MiB", "bound MiB"],
    report.totals.map((t) => [
      t.op,
      String(t.nodes),
      String(t.dispatches),
      mega(t.flops),
      `${(100 * t.flops / report.flops).toFixed(2)}%`,
      mebi(t.idealBytes),
      mebi(t.actualBytes),
    ]),
  );
}

export function memoryText(report: AuditReport): string {
  const { memory, dispatches } = report;
  const at = dispatches[memory.peak.dispatch];
  const alive = memory.tensors.filter((t) => t.first <= at.index && at.index <= t.last)
    .sort((a, b) => b.bytes - a.bytes);
  return [
    `memory: ${mebi(report.bytes)} MiB planned (` +
    Object.entries(memory.planned).map(([k, v]) => `${k} ${mebi(v)}`).join(", ") +
    `); intermediate results peak at ${mebi(memory.peak.bytes)} MiB in dispatch ${at.index}, ` +
    `${at.op} ${at.scope}, with ${alive.length} tensors alive, the largest:`,
    table(
      ["tensor", "op", "scope", "MiB", "from", "to"],
      alive.slice(0, 10).map((t) => [
        t.key,
        t.op,
        t.scope,
        mebi(t.bytes),
        String(t.first),
        String(t.last),
      ]),
    ),
  ].join("\n");
}

export function flopsTable(rows: readonly FlopsComparison[]): string {
  return table(
    ["FLOPs", "here, M", "PyTorch, M", "difference"],
    rows.map((r) => [
      r.what,
      mega(r.ours),
      mega(r.torch),
      `${r.difference >= 0 ? "+" : ""}${(100 * r.difference).toFixed(3)}%`,
    ]),
  );
}

/** Worst first; those beyond their tolerance are marked. */
export function checkTable(checks: readonly NodeCheck[]): string {
  return table(
    ["", "share", "relative", "tolerance", "max", "ULPs", "worst at", "op", "scope", "phase", "#"],
    checks.map((c) => [
      shareOf(c) <= 1 ? "" : "!",
      shareOf(c).toFixed(3),
      c.relative.toExponential(2),
      c.tolerance.toExponential(1) + (c.conditioned ? "*" : ""),
      c.max.toExponential(2),
      c.ulps < 1e6 ? c.ulps.toFixed(1) : c.ulps.toExponential(1),
      `[${c.worstAt}] of [${c.shape}]`,
      c.op,
      c.scope,
      c.phase,
      c.to - c.from > 1 ? `${c.from}–${c.to - 1}` : String(c.from),
    ]),
  ) + "\n* raised by what one rounding of the inputs does to a sum that cancels";
}

/** Longest first; GFLOP/s and GB/s of each dispatch. */
export function timeTable(
  report: AuditReport,
  nanoseconds: readonly number[],
  peaks?: { readonly gflops: number; readonly gigabytes: number },
): string {
  const total = nanoseconds.reduce((a, b) => a + b, 0);
  const rows = report.dispatches.map((d, i) => ({ d, ns: nanoseconds[i] }))
    .sort((a, b) => b.ns - a.ns);
  const percent = (part: number, whole: number) => `${(100 * part / whole).toFixed(2)}%`;
  const rate = (amount: number, ns: number) => ns > 0 ? amount / ns : 0;
  return table(
    ["#", "op", "scope", "what", "note", "µs", "share", "GFLOP/s", "GB/s"].concat(
      peaks ? ["% of peak FLOP/s", "% of peak GB/s"] : [],
    ),
    rows.map(({ d, ns }) => [
      String(d.index),
      d.op,
      d.scope,
      role(d),
      [d.variant, d.note].filter(Boolean).join(", "),
      (ns / 1e3).toFixed(1),
      percent(ns, total),
      rate(d.flops, ns).toFixed(2),
      rate(d.actualBytes, ns).toFixed(2),
      ...(peaks
        ? [
          percent(rate(d.flops, ns), peaks.gflops),
          percent(rate(d.actualBytes, ns), peaks.gigabytes),
        ]
        : []),
    ]),
  ) + `\nall dispatches: ${(total / 1e6).toFixed(2)} ms`;
}
