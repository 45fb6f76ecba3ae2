/** `audit.html`: the graph to look at, each node with equation, WGSL and numbers; self-contained. */

import { byShare, type NodeCheck, shareOf } from "./check.ts";
import { zeroGradients } from "./findings.ts";
import type { FlopsComparison } from "./flops.ts";
import { contentSecurityPolicy, escapeHtml } from "../io/html.ts";
import { PAGE_SCRIPT, PAGE_STYLE } from "./html_parts.ts";
import { layOut, moduleOf, type NodePlace } from "./layout.ts";
import type { AuditReport } from "./report.ts";
import type { AuditedStep } from "./steps.ts";
import { mebi, mega, role } from "./text.ts";

export interface Measured {
  readonly flops: readonly FlopsComparison[];
  readonly checks?: readonly NodeCheck[];
  /** Nanoseconds of each dispatch. */
  readonly times?: readonly number[];
}

const FAMILIES: readonly (readonly [RegExp, string, string])[] = [
  [/^conv2d/, "convolution", "#4c78a8"],
  [/^group_norm/, "group norm", "#59a14f"],
  [/^attention/, "attention", "#b279a2"],
  [/^linear|^timestep/, "linear, time", "#e0a030"],
  [/^silu|^add|^sum|^scale/, "elementwise, sums", "#8c8c8c"],
  [/^concat|^slice|^upsample/, "moving", "#76b7b2"],
  [/./, "noise, loss, update", "#d1605e"],
];
const familyOf = (op: string) => FAMILIES.find(([test]) => test.test(op))!;

/** The whole page; works from a file, without a network. */
export function auditPage(step: AuditedStep, report: AuditReport, measured: Measured): string {
  const title = `Audit: ${report.step} step of preset ${report.preset}`;
  const data = {
    dispatches: report.dispatches.map((d) => ({ ...d, role: role(d) })),
    shaders: step.plan.shaders.map(({ file, text }) => ({ file, text })),
    checks: measured.checks ?? [],
    times: measured.times ?? [],
  };
  // "<" may not stand in a script element's text.
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
${contentSecurityPolicy(PAGE_SCRIPT)}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${
    report.resolution.join("×")
  } pixels, batch ${report.batch}; ${report.dispatches.length} dispatches,
${(report.flops / 1e9).toFixed(2)} GFLOP; Plan SHA-256 <code>${report.planSha256}</code></p>
</header>
<section class="findings">${findings(step, report, measured)}</section>
<section class="graph">
<p class="legend">${legend()}<span>wheel: zoom; drag: move; click: equation, WGSL and numbers</span>
<label>find <input id="find" list="names" size="40" placeholder="conv2d conv_in"></label>
<button id="fit">whole graph</button></p>
<datalist id="names"></datalist>
<div class="split">${graphSvg(step, report, measured)}<aside id="detail" hidden></aside></div>
</section>
<section><h2>Totals by op</h2>${totals(report)}</section>
<script id="data" type="application/json">${json}</script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

const legend = () =>
  FAMILIES.map(([, name, colour]) =>
    `<span><i style="background:${colour}"></i>${escapeHtml(name)}</span>`
  ).join("");

function graphSvg(step: AuditedStep, report: AuditReport, { checks }: Measured): string {
  const layout = layOut(step.graph, new Set(report.dispatches.map((d) => d.node)));
  const worst = new Map<number, number>();
  for (const c of checks ?? []) worst.set(c.node, Math.max(worst.get(c.node) ?? 0, shareOf(c)));
  const bands = layout.bands.map((b) =>
    `<g class="band"><rect x="${b.x}" y="${b.y}" width="${b.width}" height="${b.height}"/>` +
    [b.x + 8, layout.backward + 8].map((x) =>
      `<text x="${x}" y="${b.y + 14}">${escapeHtml(b.name)}</text>`
    ).join("") + `</g>`
  );
  const edges = layout.edges.map(({ from, to }) => {
    const kind = to.node.phase === "forward" ? "f" : from.node.phase === "forward" ? "x" : "b";
    return `<path class="${kind}" data-from="${from.node.id}" data-to="${to.node.id}" ` +
      `d="${curve(from, to)}"/>`;
  });
  const box = ({ node, x, y, width, height }: NodePlace) => {
    const last = node.scope.slice(moduleOf(node.scope).length + 1) ||
      node.scope.split(".").slice(-2).join(".");
    const share = worst.get(node.id);
    const mark = share === undefined ? "" : ` ${share <= 1 ? "✓" : "✗"}`;
    return `<g class="node" data-node="${node.id}" tabindex="0" ` +
      `aria-label="${escapeHtml(`${node.op} ${node.scope}`)}">` +
      `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="4" ` +
      `fill="${familyOf(node.op)[2]}"/>` +
      `<text x="${x + 6}" y="${y + 14}">${escapeHtml(short(node.op) + mark)}</text>` +
      `<text class="sub" x="${x + 6}" y="${y + 27}">${escapeHtml(last.slice(0, 16))} ` +
      `[${node.outputs[0].shape}]</text></g>`;
  };
  return `<svg id="graph" viewBox="0 0 ${layout.width} ${layout.height}" ` +
    `data-width="${layout.width}" data-height="${layout.height}">` +
    `<text class="head" x="40" y="14">forward ↓</text>` +
    `<text class="head" x="${layout.backward + 20}" y="14">backward and update</text>` +
    bands.join("") + `<g class="edges">${edges.join("")}</g>` +
    layout.nodes.map(box).join("") + `</svg>`;
}

/** From side to side within a row, else from below one node to the top of the other. */
function curve(from: NodePlace, to: NodePlace): string {
  const right = from.x + from.width;
  if (from.y === to.y && right <= to.x) {
    const y = from.y + from.height / 2;
    const near = to.x - right < from.width;
    // Over nodes between, in an arc.
    return near
      ? `M${right} ${y}H${to.x}`
      : `M${right} ${y}C${right + 12} ${y - 30} ${to.x - 12} ${y - 30} ${to.x} ${y}`;
  }
  const [x1, y1] = [from.x + from.width / 2, from.y + from.height];
  const [x2, y2] = [to.x + to.width / 2, to.y];
  const bend = Math.max(20, Math.min(200, Math.abs(y2 - y1) / 2));
  return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}

const short = (op: string) =>
  op.replace("_upsampled", " 2×").replace("_backward_", " ∂").replace("group_norm_", "gn ").replace(
    "_gradient",
    " ∂",
  )
    .slice(0, 22);

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;

/** A node's name that opens it. */
const link = (node: number, name: string) =>
  `<a href="#" data-open="${node}">${escapeHtml(name)}</a>`;

/** @param rows cells as HTML. */
const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  `<table><thead><tr>${head.map((h) => `<th>${escapeHtml(h)}</th>`).join("")}</tr></thead><tbody>` +
  rows.map((r) => `<tr>${r.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("") +
  `</tbody></table>`;

function findings(step: AuditedStep, report: AuditReport, measured: Measured): string {
  const parts = [memoryFinding(report)];
  if (report.step === "train") parts.push(zeroFinding(step));
  if (measured.checks?.length) parts.push(errorFinding(measured.checks));
  if (measured.flops.length) parts.push(flopsFinding(measured.flops));
  return parts.map((p) => `<div>${p}</div>`).join("");
}

function memoryFinding({ memory, dispatches, bytes }: AuditReport): string {
  const peak = dispatches[memory.peak.dispatch];
  const alive = memory.tensors.filter((t) => t.first <= peak.index && peak.index <= t.last)
    .sort((a, b) => b.bytes - a.bytes).slice(0, 5);
  return `<h3>Memory</h3><p>${mebi(bytes)} MiB are planned. Intermediate results peak at ` +
    `${mebi(memory.peak.bytes)} MiB in dispatch ${peak.index}, ` +
    `${link(peak.node, `${peak.op} ${peak.scope}`)}.</p>` + memoryChart(memory.live) +
    table(
      ["largest alive then", "MiB"],
      alive.map((t) => [escapeHtml(`${t.op} ${t.scope}`), mebi(t.bytes)]),
    );
}

function zeroFinding(step: AuditedStep): string {
  const zero = zeroGradients(step);
  const reasons = Map.groupBy(zero, (z) => z.why);
  return `<h3>Gradients that are zero by construction: ${count(zero.length, "parameter")}</h3>` +
    [...reasons].map(([why, all]) =>
      `<p>${all.map((z) => `<code>${escapeHtml(z.parameter)}</code>`).join(", ")}: ` +
      `${escapeHtml(why)}.</p>`
    ).join("");
}

function errorFinding(checks: readonly NodeCheck[]): string {
  const worst = byShare(checks);
  const bad = worst.filter((c) => !(shareOf(c) <= 1)).length;
  const plain = worst.filter((c) => !c.conditioned);
  return `<h3>Errors against float64</h3><p>${count(worst.length, "result")}, ${bad} beyond ` +
    `their tolerance. The largest shares of it, sums that cancel to nothing left out:</p>` +
    table(
      ["result", "error", "of tolerance"],
      plain.slice(0, 8).map((c) => [
        link(c.node, `${c.op} ${c.scope}`),
        c.relative.toExponential(1),
        `${(100 * shareOf(c)).toFixed(0)}%`,
      ]),
    );
}

const flopsFinding = (rows: readonly FlopsComparison[]) =>
  `<h3>FLOPs beside PyTorch's counter</h3>` +
  table(
    ["", "here, M", "PyTorch, M", "difference"],
    rows.map((f) => [
      escapeHtml(f.what),
      mega(f.ours),
      mega(f.torch),
      `${(100 * f.difference).toFixed(2)}%`,
    ]),
  );

/** Bytes alive over the dispatches. */
function memoryChart(live: readonly number[]): string {
  const top = Math.max(...live, 1);
  const points = live.map((b, i) =>
    `${(400 * i / Math.max(1, live.length - 1)).toFixed(1)},${(78 - 70 * b / top).toFixed(1)}`
  );
  return `<svg class="chart" viewBox="0 0 400 92" role="img" aria-label="memory over the step">` +
    `<polygon points="0,78 ${points.join(" ")} 400,78"/>` +
    `<text x="0" y="90">dispatch 0</text>` +
    `<text x="400" y="90" text-anchor="end">${live.length - 1}</text></svg>`;
}

const totals = (report: AuditReport) =>
  table(
    ["op", "nodes", "dispatches", "MFLOP", "share", "ideal MiB", "bound MiB"],
    report.totals.map((t) => [
      escapeHtml(t.op),
      String(t.nodes),
      String(t.dispatches),
      mega(t.flops),
      `${(100 * t.flops / report.flops).toFixed(2)}%`,
      mebi(t.idealBytes),
      mebi(t.actualBytes),
    ]),
  );
