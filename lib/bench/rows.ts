/** Kernels checked against float64, timed in turns, and held against what the device can do. */

import { encode } from "../gpu/data.ts";
import type { Gpu } from "../gpu/device.ts";
import { Executable, type TypedData } from "../gpu/runtime.ts";
import type { Variant } from "../graph/op.ts";
import { sizeOf, type TensorType } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import { plan } from "../plan/planner.ts";
import type { PlanOptions } from "../plan/lower.ts";
import {
  checkVariant,
  type FormCheck,
  formInputs,
  formKey,
  type FormOracle,
  formOracle,
  type NodeForm,
  soloGraph,
  variantsOf,
} from "../tune/check.ts";
import { kernelHash } from "../tune/choices.ts";
import { type Block, flagsOf, summary } from "./blocks.ts";
import { chooseClock, clockOf, timeRuns } from "./clock.ts";
import { jobKey, type KernelJob } from "./jobs.ts";
import { abovePeak } from "./kernels.ts";
import { type Loaded, measure, type Timeable } from "./measure.ts";
import { Calibration, loadFlush, type Peaks } from "./peaks.ts";
import { type ResultRow, traceOf } from "./result.ts";
import type { Budget } from "./statistics.ts";

/** Work that a float64 reference may take some seconds for. */
const ORACLE_FLOPS = 5e8;

/** What a check found, or why there is none. */
export interface Checked {
  readonly error: number | null;
  readonly tolerance: number | null;
}

/** Where and how far a kernel is off, for whoever wrote it. */
export function wrongText({ error, tolerance, worst }: FormCheck): string {
  const far = Number.isFinite(error) ? error.toExponential(1) : "more than any number";
  return `is wrong by ${far}, allowed ${tolerance.toExponential(1)}` +
    (worst
      ? `; furthest off at output ${worst.output} [${worst.index}]: ${worst.value}, ` +
        `float64 has ${worst.expected}`
      : "");
}

/** Checks variants, each reference made once. */
export class Checker {
  readonly #oracles = new Map<string, FormOracle>();

  readonly gpu: Gpu;
  readonly options: PlanOptions;

  constructor(gpu: Gpu, options: PlanOptions) {
    [this.gpu, this.options] = [gpu, options];
  }

  /**
   * @throws Error with the place where it is wrong.
   */
  async check(
    { form, small, variant, change = (v) => v }: Pick<
      KernelJob,
      "form" | "small" | "variant" | "change"
    >,
  ): Promise<Checked> {
    const twin = [small, form].find((f) => f && this.#offers(f, variant.name) && this.#isCheap(f));
    if (!twin) return { error: null, tolerance: null };
    const key = formKey(twin);
    const oracle = this.#oracles.get(key) ?? formOracle(twin);
    this.#oracles.set(key, oracle);
    const offered = variantsOf(twin, this.options).find((v) => v.name === variant.name)!;
    const result = await checkVariant(this.gpu, oracle, change(offered));
    if (!(result.error <= result.tolerance)) throw new Error(wrongText(result));
    return { error: result.error, tolerance: result.tolerance };
  }

  #offers(form: NodeForm, name: string): boolean {
    return variantsOf(form, this.options).some((v) => v.name === name);
  }

  #isCheap(form: NodeForm): boolean {
    const { node } = soloGraph(form).outputs[0];
    return OPS[form.op].cost(node.inputs, node.outputs, node.attrs).flops <= ORACLE_FLOPS;
  }
}

const noise = new Map<number, Float32Array<ArrayBuffer>>();

/** Values in (0.1, 1): of no sign and no size that a kernel would be faster or slower for. */
function values({ shape, dtype }: TensorType): TypedData {
  const size = sizeOf(shape);
  let data = noise.get(size);
  if (!data) {
    data = Float32Array.from(
      { length: size },
      (_, i) => 0.55 + 0.45 * Math.sin(i % 4096 * 12.9898),
    );
    noise.set(size, data);
  }
  return dtype === "f16" ? new Uint16Array(new Float16Array(data).buffer) : data;
}

/** Inputs to time a form with; integers (indices, seeds) as its op's tests fill them. */
function timedInputs(form: NodeForm): TypedData[] {
  if (form.inputs.every(({ dtype }) => dtype === "f32" || dtype === "f16")) {
    return form.inputs.map(values);
  }
  return formInputs(form).map((v, i) => encode(v, form.inputs[i].dtype));
}

/** A form alone with one variant, in memory of its own. */
export async function loadVariant(
  gpu: Gpu,
  form: NodeForm,
  variant: Variant,
): Promise<Executable> {
  const { graph } = soloGraph(form);
  const laidOut = plan(graph, OPS, { device: gpu.profile, choose: () => variant });
  const exe = await Executable.load(gpu, laidOut);
  timedInputs(form).forEach((data, i) => exe.write(`in${i}`, data));
  return exe;
}

/** To be timed: runs in a row, or (`flush`) each after the caches were filled with something else. */
export function timeable(
  gpu: Gpu,
  form: NodeForm,
  variant: Variant,
  flush?: Executable,
): Timeable {
  return {
    async load(): Promise<Loaded> {
      const exe = await loadVariant(gpu, form, variant);
      return {
        async sample(count) {
          if (!flush) return await timeRuns(exe, count, clockOf(gpu));
          const times: number[] = [];
          for (let i = 0; i < count; i++) {
            flush.run();
            times.push(...await timeRuns(exe, 1, clockOf(gpu)));
          }
          return times;
        },
        destroy: () => exe.destroy(),
      };
    },
  };
}

export interface RowOptions {
  readonly plan: PlanOptions;
  readonly budget: Budget;
  readonly cold?: boolean;
  /** Blocks that each kernel gets though the time is up; those without any are left out. */
  readonly always?: number;
  /** Told each kernel's first time, and how many have one. */
  readonly onFirst?: (job: KernelJob, milliseconds: number, done: number, total: number) => void;
  readonly onProgress?: (settled: number, total: number) => void;
}

/** A row without what needs the peaks. */
export interface MeasuredRow {
  readonly job: KernelJob;
  readonly blocks: readonly Block[];
  readonly checked: Checked;
  readonly dispatches: number;
}

/**
 * Checks and times each kernel; what is wrong ends it before it is timed.
 *
 * @throws Error naming a kernel that computes wrongly.
 */
export async function measureRows(
  gpu: Gpu,
  jobs: readonly KernelJob[],
  { plan: options, budget, cold, always, onFirst = () => {}, onProgress = () => {} }: RowOptions,
): Promise<MeasuredRow[]> {
  const calibration = await Calibration.load(gpu);
  const flush = cold ? await loadFlush(gpu) : undefined;
  try {
    await chooseClock(gpu, calibration.compute);
    const checker = new Checker(gpu, options);
    const checked: (Checked | undefined)[] = jobs.map(() => undefined);
    const dispatches = jobs.map(() => 0);
    const kernels = jobs.map((job, i): Timeable => {
      const { form, variant } = job;
      const { load } = timeable(gpu, form, variant, flush);
      return {
        async load() {
          try {
            checked[i] ??= await checker.check(job);
          } catch (error) {
            throw new Error(`${form.op}/${variant.name} ${(error as Error).message}`);
          }
          dispatches[i] ||= variant.build().calls.length;
          return await load();
        },
      };
    });
    let seen = 0;
    const blocks = await measure(kernels, {
      ...{ budget, always },
      calibrate: () => calibration.time(),
      onBlock(i, all) {
        if (all.length === 1) onFirst(jobs[i], summary(all).median, ++seen, jobs.length);
        onProgress(i, jobs.length);
      },
    });
    return jobs.map((job, i) => ({
      ...{ job, blocks: blocks[i], checked: checked[i]!, dispatches: dispatches[i] },
    })).filter((row) => row.blocks.length > 0);
  } finally {
    calibration.destroy();
    flush?.destroy();
  }
}

/** The whole row. */
export function resultRow(
  { job, blocks, checked, dispatches }: MeasuredRow,
  peaks: Peaks,
  { gpu, cold }: { readonly gpu: Gpu; readonly cold?: boolean },
): ResultRow {
  const { form, variant, shape, scope, count, flops, bytes } = job;
  const s = summary(blocks);
  const gflops = flops / s.median / 1e6, gigabytes = bytes / s.median / 1e6;
  const intensity = bytes > 0 ? flops / bytes : 0;
  const roof = Math.min(peaks.gflops, intensity * peaks.gigabytes);
  return {
    ...{ key: jobKey(job), op: form.op, variant: variant.name, shape, scope, count, dispatches },
    exact: variant.exact,
    kernel: kernelHash(variant),
    clock: clockOf(gpu),
    cache: cold ? "cold" : "warm",
    ...s,
    trace: traceOf(blocks),
    flags: flagsOf(blocks),
    ...{ flops, bytes, gflops, gigabytes, intensity },
    ofCompute: gflops / peaks.gflops,
    ofCopy: gigabytes / peaks.gigabytes,
    ofRoof: roof > 0 ? gflops / roof : gigabytes / peaks.gigabytes,
    ...checked,
  };
}

/** Rows that cannot be: faster than the device. */
export const rowsAbovePeak = (rows: readonly ResultRow[], peaks: Pick<Peaks, "gflops">) =>
  rows.flatMap((r) => abovePeak(`${r.op}/${r.variant} ${r.shape}`, r.gflops, r.exact, peaks));
