/** What ran on the GPU, and whether it was right: the audit of a reverse step, as tables. */

import { byShare, checkStep, type NodeCheck, shareOf } from "../../lib/audit/check.ts";
import { auditReport } from "../../lib/audit/report.ts";
import type { Sampler } from "../../lib/diffusion/sampler.ts";
import { samplingGraph } from "../../lib/diffusion/sampling_graph.ts";
import { element, table } from "./table.ts";

function fold(title: string, ...content: HTMLElement[]): HTMLElement {
  const details = document.createElement("details");
  details.append(element("summary", title), ...content);
  return details;
}

const round = (value: number, digits = 2) => Number(value.toFixed(digits));
const mebi = (bytes: number) => round(bytes / 2 ** 20);

const graphOf = ({ options, executable }: Sampler) =>
  samplingGraph({ ...options, noise: "device", device: executable.gpu.profile });

/** The Plan of the sampler's reverse step: totals by op, then every dispatch. */
export async function planTables(sampler: Sampler): Promise<HTMLElement[]> {
  const { config, height, width } = sampler.options;
  const report = await auditReport({
    kind: "sample",
    preset: "",
    config: { unet: config, resolution: [height, width] },
    graph: graphOf(sampler),
    plan: sampler.executable.plan,
  });
  const { dispatches, totals, flops, bytes, planSha256 } = report;
  return [
    element(
      "p",
      `${dispatches.length} dispatches, ${round(flops / 1e9, 3)} GFLOP a step, ` +
        `${mebi(bytes)} MiB on the GPU. SHA-256 of the Plan: ${planSha256}`,
    ),
    table(
      ["op", "dispatches", "MFLOP", "share of all, %", "bound MiB"],
      totals.map((t) => [
        t.op,
        t.dispatches,
        round(t.flops / 1e6),
        round(100 * t.flops / flops),
        mebi(t.actualBytes),
      ]),
    ),
    fold(
      "Every dispatch",
      table(
        ["#", "op", "in the model", "kernel", "SHA-256 of its text", "workgroups", "MFLOP"],
        dispatches.map((d) => [
          d.index,
          d.op,
          d.scope,
          d.file.replace("kernels/", ""),
          d.sha256.slice(0, 16),
          d.workgroups.join("×"),
          round(d.flops / 1e6, 3),
        ]),
      ),
    ),
  ];
}

/** Replays the last reverse step; each result is compared with float64, worst first. */
export async function checkTables(
  sampler: Sampler,
  onDispatch: (done: number, total: number) => void,
): Promise<{ title: string; tables: HTMLElement[] }> {
  const { executable } = sampler;
  const total = executable.plan.dispatches.length;
  const checks = byShare(
    await checkStep(graphOf(sampler), executable, {
      onDispatch: (done) => onDispatch(done, total),
    }),
  );
  const isBad = (c: NodeCheck) => !(shareOf(c) <= 1);
  const bad = checks.filter(isBad).length;
  const rows = checks.map((c) => [
    c.op,
    c.scope,
    c.relative.toExponential(2),
    c.tolerance.toExponential(1),
    round(shareOf(c), 3),
    c.files.map((f) => f.replace("kernels/", "")).join(", "),
  ]);
  return {
    title: bad
      ? `${bad} of ${checks.length} results are off by more than their tolerance`
      : `${checks.length} results, all within their tolerance`,
    tables: [
      fold(
        "Every result, the worst first",
        table(
          ["op", "in the model", "relative error", "tolerance", "share of it", "kernels"],
          rows,
          (row) => isBad(checks[row]),
        ),
      ),
    ],
  };
}
