/** The report as tables: the same rows in the terminal, in Markdown and in HTML. */

import type { FeatureReport } from "./features.ts";
import type { KernelReport } from "./kernels.ts";
import type { ModelReport, ModelRow } from "./model.ts";
import type { Peaks } from "./peaks.ts";
import type { PeerReport } from "./peers.ts";
import type { BenchReport } from "./report.ts";
import { median, type Timing } from "./statistics.ts";

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What has to be known to read it. */
  readonly note?: string;
}

const fixed = (n: number, digits = 1) => n.toFixed(digits);
const percent = (share: number, digits = 0) => `${(100 * share).toFixed(digits)}%`;
const mebi = (bytes: number) => (bytes / 2 ** 20).toFixed(0);

/** Three significant figures at least: `0.0123`, `1.23`, `1234`. */
export function short(n: number): string {
  if (n === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(n))));
  return n.toFixed(Math.min(digits, 4));
}

const spread = (t: Timing) => `±${percent(t.spread)}`;
const seconds = (t: Timing) => short(t.median / 1000);

/** All tables of what was measured. */
export function benchTables(report: BenchReport): Table[] {
  const { kernels, model, firstSteps, peaks, peers, software } = report;
  return [
    peakTable(report),
    ...(kernels ? [convolutionTable(kernels), opTable(kernels), kernelTable(kernels, peaks)] : []),
    ...(model
      ? [
        modelTable(model, "train", software),
        modelTable(model, "sample", software),
        growthTable(model),
      ]
      : []),
    ...(firstSteps?.length ? [firstStepTable(report)] : []),
    ...(peers ? [peerTable(peers)] : []),
  ];
}

function peakTable({ peaks }: BenchReport): Table {
  return {
    title: "Peaks of the device, measured in this run",
    head: ["what", "highest", "lowest"],
    rows: ([
      ["multiply-add in registers, GFLOP/s", (p) => p.gflops],
      ["copy through storage buffers, GB/s", (p) => p.copies.storage],
      ["copy from a staging texture (and into it), GB/s", (p) => p.copies.staged],
    ] satisfies [string, (p: Peaks["lowest"]) => number][]).map(([what, of]) => [
      what,
      fixed(of(peaks)),
      fixed(of(peaks.lowest)),
    ]),
    note:
      "Measured before, between and after the parts; the highest counts. Far apart: the machine " +
      "was busy with something else, and ratios to other programs too are worth less.",
  };
}

function convolutionTable({ convolutions }: KernelReport): Table {
  const shapes = convolutions[0]?.shapes ?? [];
  return {
    title:
      "Convolutions 3×3 alone, batch 8: effective GFLOP/s (2 × multiply-adds of the plain form)",
    head: ["shape", ...convolutions.map((c) => c.what)],
    rows: [
      ...shapes.map(({ shape }, i) => [
        shape,
        ...convolutions.map(({ shapes }) => {
          const { gflops, variant, time } = shapes[i];
          return `${fixed(gflops)} (${variant}, ${spread(time)})`;
        }),
      ]),
      ["mean of the six", ...convolutions.map((c) => fixed(c.gflops))],
    ],
  };
}

function opTable(report: KernelReport): Table {
  const rows = [...Map.groupBy(report.rows, (r) => r.op)].map(([op, all]) => {
    const sum = (of: (r: typeof all[number]) => number) =>
      all.reduce((total, r) => total + of(r) * r.count, 0);
    const ms = sum((r) => r.time.median);
    return {
      op,
      ms,
      cells: [
        op,
        String(sum(() => 1)),
        short(ms),
        percent(all.reduce((total, r) => total + r.share, 0), 1),
        fixed(sum((r) => r.flops) / ms / 1e6),
        fixed(sum((r) => r.bytes) / ms / 1e6),
      ],
    };
  }).sort((a, b) => b.ms - a.ms);
  return {
    title: `Training step, ${report.size}², batch ${report.batch}, by op`,
    head: ["op", "nodes", "ms", "share", "GFLOP/s", "GB/s"],
    rows: rows.map((r) => r.cells),
    note: `All dispatches timed one by one: ${seconds(report.stepMilliseconds)} s a step ` +
      `(median of ${report.rounds}). Not convolution: ${percent(report.notConvolution, 1)}.`,
  };
}

function kernelTable(report: KernelReport, peaks: Peaks): Table {
  return {
    title: "Every kernel of that step",
    head: [
      "op",
      "inputs",
      "×",
      "variant",
      "ms",
      "spread",
      "GFLOP/s",
      "of peak",
      "GB/s",
      "of copy",
      "share",
      "error",
    ],
    rows: report.rows.map((r) => [
      r.op,
      r.shapes,
      String(r.count),
      r.variant,
      short(r.time.median),
      spread(r.time),
      fixed(r.gflops),
      percent(r.gflops / peaks.gflops),
      fixed(r.gigabytes),
      percent(r.gigabytes / peaks.gigabytes),
      percent(r.share, 1),
      r.error === null ? "not checked" : r.error.toExponential(1),
    ]),
    note: "ms of one of the × nodes; error: against float64, one image of that width, memory " +
      "poisoned, before anything was timed; of copy: fewest bytes over the peak of copying, above " +
      "100% where data stays in the processor's caches.",
  };
}

const HALF_HEAD = ["f16, s", "f16 ×", "turns", "f16, MiB"];

function modelTable({ rows }: ModelReport, kind: ModelRow["kind"], software: boolean): Table {
  const mine = rows.filter((r) => r.kind === kind);
  const halves = mine.flatMap((r) => r.half?.faster ?? []);
  const empty = (cells: number) => Array<string>(cells).fill("");
  return {
    title: kind === "train"
      ? "Training step (noise, forward, backward, AdamW, EMA)"
      : "Sampling step with guidance (the model on twice the batch)",
    head: [
      "size",
      "batch",
      "s a step",
      "spread",
      "images/s",
      "GFLOP/s",
      "MiB planned",
      ...HALF_HEAD,
    ],
    rows: mine.map((r) =>
      r.time
        ? [
          String(r.size),
          String(r.batch),
          seconds(r.time),
          spread(r.time),
          short(r.imagesPerSecond!),
          fixed(r.gflops!),
          mebi(r.bytes!),
          ...(r.half
            ? [
              seconds(r.half.time),
              fixed(r.half.faster, 3),
              String(r.half.turns),
              mebi(r.half.bytes),
            ]
            : empty(HALF_HEAD.length)),
        ]
        : [String(r.size), String(r.batch), r.skipped!, ...empty(4 + HALF_HEAD.length)]
    ),
    note: "f16: the same step with --precision f16; × above 1: it is faster. " +
      "Median of the ratios of so many short turns." +
      (halves.length ? ` Median of the ${halves.length} rows: ${fixed(median(halves), 3)}.` : "") +
      (software && kind === "sample"
        ? " A software device samples with f32 either way: there is nothing to compare."
        : ""),
  };
}

function growthTable({ growth }: ModelReport): Table {
  return {
    title: "How steps grow",
    head: ["from, to", "time ×", "pixels ×", "turns"],
    rows: growth.map((g) => [g.what, fixed(g.time, 2), fixed(g.work, 0), String(g.turns)]),
    note:
      "The two take turns, each for about equally long; the median of their ratios. No turns: there was " +
      "no time, and it is the quotient of two rows above, which may be minutes apart.",
  };
}

function firstStepTable({ firstSteps }: BenchReport): Table {
  return {
    title: "First training step of a process, s",
    head: [
      "preset",
      "driver's shader cache",
      "from nothing",
      "of that creating pipelines",
      "peak RSS, MiB",
    ],
    rows: firstSteps!.flatMap(({ preset, cold, warm }) =>
      ([["empty", cold], ["full", warm]] as const).map(([name, f]) => [
        preset,
        name,
        short(f.total / 1000),
        short(f.compile / 1000),
        mebi(f.residentPeak),
      ])
    ),
  };
}

function peerTable({ rows }: PeerReport): Table {
  return {
    title: "Beside others, taking turns in one run",
    head: ["step", "batch", "program", "s", "spread", "× ours", "first, s", "peak MiB", "differs"],
    rows: rows.map((r) => [
      r.what,
      String(r.batch),
      r.name,
      r.time ? seconds(r.time) : r.failed ?? "",
      r.time ? spread(r.time) : "",
      r.ratio === undefined ? "" : fixed(r.ratio, 2),
      r.firstMilliseconds === undefined ? "" : short(r.firstMilliseconds / 1000),
      r.peakBytes === undefined ? "" : mebi(r.peakBytes),
      r.difference === undefined ? "" : r.difference.toExponential(1),
    ]),
    note:
      "× ours above 1: this project is faster. Peak: ours as planned on the device; PyTorch's " +
      "as CUDA counts it, or on a CPU its resident memory above that of the loaded libraries.",
  };
}

export function featureTable({ slices, side, batch, turn, rows }: FeatureReport): Table {
  return {
    title: `Inception features of ${slices} slices of ${side}², taking turns of ${turn}`,
    head: ["program", "s for all", "ms a slice", "spread", "× ours", "first, s", "differs"],
    rows: rows.map((r) => [
      r.name,
      r.total === undefined ? r.failed ?? "" : fixed(r.total),
      r.time ? fixed(r.time.median, 0) : "",
      r.time ? spread(r.time) : "",
      r.ratio === undefined ? "" : fixed(r.ratio, 2),
      r.firstMilliseconds === undefined ? "" : fixed(r.firstMilliseconds / 1000),
      r.difference === undefined ? "" : r.difference.toExponential(1),
    ]),
    note:
      `From slices in [−1, 1] to 2,048 features: resize to 299², bytes, network; ours ${batch} ` +
      "at a time, the other 16. × ours above 1: this project is faster. First: to the first " +
      `${turn} features of a new process (ours: with the driver's cache as it was).`,
  };
}

/** As GitHub's Markdown. */
export function markdownTable({ title, head, rows, note }: Table): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((c) => c.replaceAll("|", "\\|")).join(" | ")} |`;
  return [
    `### ${title}`,
    "",
    line(head),
    line(head.map(() => "---")),
    ...rows.map(line),
    ...(note ? ["", note] : []),
    "",
  ].join("\n");
}

/** `2 CPU cores (AMD EPYC)` */
export const coresOf = ({ cores, processor }: Pick<BenchReport, "cores" | "processor">): string =>
  `${cores} CPU cores (${processor})`;

/** Adapter, versions, command and the table of features. */
export function featureMarkdown(
  about: Pick<BenchReport, "date" | "adapter" | "cores" | "processor" | "command">,
  report: FeatureReport,
): string {
  return [
    `${about.date.slice(0, 10)}, ${about.adapter}, ${coresOf(about)}; ` +
    `${Object.values(report.versions).join(", ")}:`,
    "",
    "```",
    about.command,
    "```",
    "",
    markdownTable(featureTable(report)),
  ].join("\n");
}

/** Adapter, versions, command and tables. */
export function benchMarkdown(report: BenchReport): string {
  return [
    `${report.date.slice(0, 10)}, ${report.adapter}, ${coresOf(report)}; ` +
    `${Object.entries(report.versions).map(([k, v]) => `${k} ${v}`).join(", ")}; variants ` +
    `${report.tuned ? "as tuned" : "as shipped"}${report.exact ? ", exact" : ""}; ` +
    `${fixed(report.seconds, 0)} s:`,
    "",
    "```",
    report.command,
    "```",
    "",
    ...Object.entries(report.peers?.versions ?? {}).map(([k, v]) => `- ${k}: ${v}`),
    "",
    ...benchTables(report).map(markdownTable),
  ].join("\n");
}

/** Puts the tables between the document's markers of that name. @throws where it has none. */
export function replaceMeasured(
  document: string,
  measured: string,
  name: "measured" | "features" | "submitted" = "measured",
): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`it lacks the lines ${begin} and ${end}`);
  return `${document.slice(0, from + begin.length)}\n\n${measured.trim()}\n\n${document.slice(to)}`;
}
