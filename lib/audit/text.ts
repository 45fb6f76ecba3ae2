/** Tables for the terminal. */

import type { FlopsComparison } from "./flops.ts";
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
      d.bindings.map((b) => `${b.name}:${b.buffer}`).join(" "),
      mega(d.flops),
      mebi(d.idealBytes),
      mebi(d.actualBytes),
      mebi(d.liveBytes),
    ]),
  );
}

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
