/** Every kernel of a training step: how fast, by which variant, and whether right. */

import type { Gpu } from "../gpu/device.ts";
import type { PlanOptions } from "../plan/lower.ts";
import type { Precision } from "../graph/tensor.ts";
import { type Node, sizeOf } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import { checkVariant, formKey, formOf, formOracle, loadForm, variantsOf } from "../tune/check.ts";
import type { NodeForm } from "../tune/check.ts";
import { twins } from "../tune/twins.ts";
import type { Peaks } from "./peaks.ts";
import { smallConfig } from "./small.ts";
import { type Budget, type Timing, timing } from "./statistics.ts";
import { benchConfig, type BenchStep, benchStep, LoadedStep } from "./steps.ts";

export interface KernelRow {
  readonly op: string;
  readonly phase: string;
  readonly variant: string;
  /** `[8,32,128,128] [32,32,3,3]` */
  readonly shapes: string;
  /** Where in the model, the first of `count` places. */
  readonly scope: string;
  readonly count: number;
  readonly dispatches: number;
  /** Of one node. */
  readonly time: Timing;
  /** Of one node: floating-point operations, a multiply-add counted as two; fewest bytes. */
  readonly flops: number;
  readonly bytes: number;
  readonly gflops: number;
  readonly gigabytes: number;
  /** Of the step's time, all nodes together. */
  readonly share: number;
  /** ‖gpu − float64‖ / ‖float64‖ of the same kernel at batch 1 on small images; null: too costly. */
  readonly error: number | null;
  readonly tolerance: number;
  readonly exact: boolean;
}

export interface ConvolutionMean {
  readonly what: "forward" | "input gradient" | "weight gradient";
  readonly gflops: number;
  readonly shapes: readonly {
    readonly shape: string;
    readonly variant: string;
    readonly exact: boolean;
    readonly gflops: number;
    readonly time: Timing;
  }[];
}

export interface KernelReport {
  readonly batch: number;
  readonly size: number;
  readonly rounds: number;
  /** Sum over all dispatches, each timed alone. */
  readonly stepMilliseconds: Timing;
  readonly rows: readonly KernelRow[];
  readonly convolutions: readonly ConvolutionMean[];
  /** Share of the step's time in nodes that are not convolutions. */
  readonly notConvolution: number;
}

/** Input channels, output channels and side of the six shapes that the README's figures are of. */
export const CONVOLUTION_SHAPES = [
  [32, 32, 128],
  [96, 32, 128],
  [64, 64, 64],
  [128, 64, 64],
  [96, 96, 32],
  [192, 96, 32],
] as const;

const isConvolution = (op: string) => op.startsWith("conv2d");

/** A kernel faster than the device is a bug: Winograd alone may save (up to 4×) multiplications. */
export function abovePeak(
  what: string,
  gflops: number,
  exact: boolean,
  { gflops: peak }: Pick<Peaks, "gflops">,
): string[] {
  const most = peak * (exact ? 1 : 4);
  if (gflops <= most) return [];
  return [
    `${what} would run at ${gflops.toFixed(1)} GFLOP/s, above the measured peak of ` +
    `${most.toFixed(1)}: its work was not done, or its cost is wrong`,
  ];
}

/** All results of a report that cannot be. */
export function kernelsAbovePeak({ rows, convolutions }: KernelReport, peaks: Peaks): string[] {
  return [
    ...rows.flatMap((r) =>
      abovePeak(`${r.op} "${r.scope}" (${r.variant})`, r.gflops, r.exact, peaks)
    ),
    ...convolutions.flatMap(({ what, shapes }) =>
      shapes.flatMap((s) => abovePeak(`${what}, ${s.shape}`, s.gflops, s.exact, peaks))
    ),
  ];
}

/** Errors by form, of the variant that a choice takes. */
export type CheckedForms = Map<string, { error: number | null; tolerance: number }>;

/**
 * Checks each distinct kernel of a step against float64, on one image of the same width.
 *
 * @throws naming the kernel whose error is above its tolerance.
 */
export async function checkStep(
  gpu: Gpu,
  step: BenchStep,
  options: PlanOptions,
  budget: Budget,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<CheckedForms> {
  const small = benchStep(step.kind, smallConfig(step.config), options);
  const twinOf = twins(step.graph, small.graph);
  const variants = variantByNode(step);
  const checked: CheckedForms = new Map();
  const done = new Map<string, { error: number; tolerance: number }>();
  // What computes most comes first: it should not go unchecked for want of time.
  const work = (n: Node) => OPS[n.op].cost(n.inputs, n.outputs, n.attrs).flops;
  const jobs = step.graph.nodes.filter((n) => variants.has(n.id)).sort((a, b) => work(b) - work(a));
  for (const [i, node] of jobs.entries()) {
    onProgress(i, jobs.length);
    const key = formKey(formOf(node));
    if (checked.has(key)) continue;
    const variant = variants.get(node.id)!;
    const twin = twinOf.get(node);
    if (!twin) throw new Error(`Benchmark: the small step has no ${node.op} "${node.scope}"`);
    const form = formOf(twin);
    const smallKey = `${variant} ${formKey(form)}`;
    // The flat optimizer nodes are as large in the small step; any part of them is the same.
    const known = done.get(smallKey);
    const offered = variantsOf(form, options).find((v) => v.name === variant);
    if (known) checked.set(key, known);
    else if (!offered || budget.left === 0) checked.set(key, { error: null, tolerance: 0 });
    else {
      const result = await checkVariant(gpu, formOracle(form), offered);
      if (!(result.error <= result.tolerance)) {
        throw new Error(
          `Benchmark: ${node.op} "${node.scope}", variant ${variant}, is wrong by ` +
            `${result.error.toExponential(1)}, allowed ${result.tolerance.toExponential(1)}`,
        );
      }
      done.set(smallKey, result);
      checked.set(key, result);
    }
  }
  onProgress(jobs.length, jobs.length);
  return checked;
}

/** Node → name of the variant that its plan took. */
export function variantByNode({ plan }: BenchStep): Map<number, string> {
  return new Map(plan.dispatches.map((d) => [d.node, d.variant]));
}

interface Samples {
  readonly nodes: Node[];
  /** Milliseconds of one node, a value a round. */
  readonly times: number[];
  dispatches: number;
}

/** Profiles the training step round by round until the budget is spent. */
export async function benchKernels(
  gpu: Gpu,
  options: PlanOptions,
  budget: Budget,
  { batch = 8, size = 128, precision = "f32", onProgress = () => {} }: {
    readonly batch?: number;
    readonly size?: number;
    readonly precision?: Precision;
    readonly onProgress?: (what: string, done: number, total: number) => void;
  } = {},
): Promise<KernelReport> {
  const step = benchStep("train", benchConfig(batch, size, "seed", precision), options);
  const checked = await checkStep(
    gpu,
    step,
    options,
    budget.part(0.5),
    (done, total) => onProgress("checking", done, total),
  );
  const convolutions = await benchConvolutions(gpu, options, budget.part(0.3), precision);
  const loaded = await LoadedStep.load(gpu, step, {
    onPipeline: (done, total) => onProgress("kernels ", done, total),
  });
  await loaded.time();
  await loaded.requireFinite();

  const groups = new Map<string, Samples>();
  const { plan, graph } = step;
  const groupOf = new Map<number, Samples>();
  for (const d of plan.dispatches) {
    const node = graph.nodes[d.node];
    const key = formKey(formOf(node));
    const group = groups.get(key) ?? { nodes: [], times: [], dispatches: 0 };
    groups.set(key, group);
    if (!group.nodes.includes(node)) group.nodes.push(node);
    group.dispatches++;
    groupOf.set(d.node, group);
  }
  const totals: number[] = [];
  const MOST_ROUNDS = 9, FEWEST_ROUNDS = 3;
  while (totals.length < MOST_ROUNDS && (totals.length < FEWEST_ROUNDS || budget.left > 0)) {
    loaded.upload();
    const nanoseconds = await loaded.executable.profile();
    const sums = new Map<Samples, number>();
    plan.dispatches.forEach((d, i) => {
      const group = groupOf.get(d.node)!;
      sums.set(group, (sums.get(group) ?? 0) + nanoseconds[i] / 1e6);
    });
    for (const [group, ms] of sums) group.times.push(ms / group.nodes.length);
    totals.push([...sums.values()].reduce((a, b) => a + b, 0));
    onProgress("profile ", totals.length, MOST_ROUNDS);
  }
  loaded.destroy();

  const variants = variantByNode(step);
  const sum = [...groups.values()].reduce((s, g) => s + timing(g.times).median * g.nodes.length, 0);
  const rows = [...groups].map(([key, { nodes, times, dispatches }]): KernelRow => {
    const [node] = nodes;
    const def = OPS[node.op];
    const { flops, bytes } = def.cost(node.inputs, node.outputs, node.attrs);
    const time = timing(times);
    const variant = variants.get(node.id)!;
    const exact = variantsOf(formOf(node), options).find((v) => v.name === variant)?.exact ?? true;
    const gflops = flops / time.median / 1e6;
    const gigabytes = bytes / time.median / 1e6;
    return {
      op: node.op,
      phase: node.phase,
      variant,
      shapes: node.inputs.map((t) => `[${t.shape}]`).join(" "),
      scope: node.scope,
      count: nodes.length,
      dispatches,
      time,
      flops,
      bytes,
      gflops,
      gigabytes,
      share: time.median * nodes.length / sum,
      ...checked.get(key)!,
      exact,
    };
  }).sort((a, b) => b.share - a.share);
  return {
    batch,
    size,
    rounds: totals.length,
    stepMilliseconds: timing(totals),
    rows,
    convolutions,
    notConvolution: rows.filter((r) => !isConvolution(r.op)).reduce((s, r) => s + r.share, 0),
  };
}

/** The 3×3 convolutions of six shapes alone, batch 8, in three directions. */
async function benchConvolutions(
  gpu: Gpu,
  options: PlanOptions,
  budget: Budget,
  dtype: Precision,
): Promise<ConvolutionMean[]> {
  const N = 8;
  const forms = (ci: number, co: number, side: number): [ConvolutionMean["what"], NodeForm][] => {
    const image = (channels: number) => ({ shape: [N, channels, side, side], dtype }) as const;
    const [x, y] = [image(ci), image(co)];
    const w = { shape: [co, ci, 3, 3], dtype: "f32" } as const;
    const attrs = { stride: 1, padding: [1, 1, 1, 1], ...(dtype === "f16" ? { dtype } : {}) };
    return [
      ["forward", { op: "conv2d", inputs: [x, w], attrs }],
      ["input gradient", {
        op: "conv2d_backward_data",
        inputs: [y, w],
        attrs: { ...attrs, inputShape: x.shape },
      }],
      ["weight gradient", {
        op: "conv2d_backward_weight",
        inputs: [x, y],
        attrs: { ...attrs, weightShape: w.shape },
      }],
    ];
  };
  const found = new Map<ConvolutionMean["what"], ConvolutionMean["shapes"][number][]>();
  for (const [i, [ci, co, side]] of CONVOLUTION_SHAPES.entries()) {
    const part = budget.part(1 / (CONVOLUTION_SHAPES.length - i));
    for (const [what, form] of forms(ci, co, side)) {
      const { variant, exact, time } = await timeForm(gpu, form, options, part.part(1 / 3), 9);
      const gflops = 2 * 9 * ci * co * side * side * N / time.median / 1e6;
      const shape = `${ci}→${co} @${side}`;
      found.set(what, [...found.get(what) ?? [], { shape, variant, exact, gflops, time }]);
    }
  }
  return [...found].map(([what, shapes]) => ({
    what,
    gflops: shapes.reduce((s, r) => s + r.gflops, 0) / shapes.length,
    shapes,
  }));
}

/** Times a form alone, by timestamps: what the choice takes, filled with noise. */
async function timeForm(
  gpu: Gpu,
  form: NodeForm,
  options: PlanOptions,
  budget: Budget,
  most: number,
): Promise<{ variant: string; exact: boolean; time: Timing }> {
  const variants = variantsOf(form, options);
  const node = { ...form, scope: "", phase: "forward", id: 0, outputs: [] } as unknown as Node;
  const { name: variant, exact } = options.choose?.(node, variants) ?? variants[0];
  const noise = Float64Array.from({ length: 4096 }, (_, i) => Math.sin(i * 12.9898));
  const inputs = form.inputs.map((t) =>
    Float64Array.from({ length: sizeOf(t.shape) }, (_, i) => noise[i & 4095])
  );
  const exe = await loadForm(gpu, form, variant, inputs);
  const times: number[] = [];
  await exe.profile();
  while (times.length < 3 || (times.length < most && budget.left > 0)) {
    times.push((await exe.profile()).reduce((a, b) => a + b, 0) / 1e6);
  }
  exe.destroy();
  return { variant, exact, time: timing(times) };
}
