/** Times the variants of every form that has a choice, and drops those that compute wrongly. */

import type { Gpu } from "../gpu/device.ts";
import { liveNodes } from "../plan/lower.ts";
import type { Graph } from "../graph/graph.ts";
import { sizeOf } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import {
  checkVariant,
  type FormCheck,
  formKey,
  formOf,
  formOracle,
  loadForm,
  variantsOf,
} from "./check.ts";
import type { NodeForm } from "./check.ts";
import { type Choice, type Choices, kernelHash } from "./choices.ts";
import { twins } from "./twins.ts";

/** A form to be timed, with one like it that is small enough for the float64 reference. */
export interface TuneJob {
  readonly form: NodeForm;
  readonly small: NodeForm;
  /** For people: where it first stands in a model. */
  readonly scope: string;
  /** How often it stands in the steps: those that weigh most come first. */
  readonly count: number;
  /** Floating-point operations of one. */
  readonly flops: number;
}

export interface TuneResult {
  readonly choices: Choices;
  /** Variants that were left out, with the reason. */
  readonly rejected: readonly { readonly key: string; readonly variant: string; why: string }[];
  /** Forms whose fastest variant is not the one offered first. */
  readonly changed: readonly {
    readonly job: TuneJob;
    readonly from: string;
    readonly to: string;
    /** Time of the first over that of the fastest. */
    readonly gain: number;
  }[];
  /** Forms that the time did not allow for. */
  readonly left: number;
}

/** A step's graph, and that of the same step on a small image (`lib/bench/small.ts`). */
export interface TunedStep {
  readonly graph: Graph;
  readonly small: Graph;
}

/** What the nodes of steps leave to choose, what takes longest first. */
export function tuneJobs(gpu: Gpu, steps: readonly TunedStep[]): TuneJob[] {
  const jobs = new Map<string, TuneJob>();
  for (const { graph, small } of steps) {
    const twinOf = twins(graph, small);
    for (const node of liveNodes(graph)) {
      const twin = twinOf.get(node);
      if (!twin || !(node.op in OPS)) continue;
      const form = formOf(node);
      const key = formKey(form);
      const known = jobs.get(key);
      if (known) jobs.set(key, { ...known, count: known.count + 1 });
      else if (variantsOf(form, { device: gpu.profile }).length > 1) {
        const { flops } = OPS[form.op].cost(node.inputs, node.outputs, node.attrs);
        jobs.set(key, { form, small: formOf(twin), scope: node.scope, count: 1, flops });
      }
    }
  }
  return [...jobs.values()].sort((a, b) => b.count * b.flops - a.count * a.flops);
}

export interface TuneOptions {
  /** What is known already: such forms are not timed again. */
  readonly known?: Choices;
  /** Seconds; what is not timed by then keeps its order. */
  readonly seconds: number;
  /** Asked before each form; true ends it as the time does. */
  readonly isStopped?: () => boolean;
  readonly onProgress?: (done: number, total: number, what: string) => void;
  /** Called after each form, so that what was measured is kept if the run is broken off. */
  readonly save?: (choices: Choices) => Promise<void>;
}

/** Timed runs of a variant: the least of them counts, as others only ever add to it. */
const RUNS = 5;
/** Runs that every variant gets; one that is then this much slower than the best gets no more. */
const TRIALS = 2;
const HOPELESS = 2;
/** A variant this much slower than the best on the small form is not tried on the large one. */
const FAR_BEHIND = 6;
/** Gains below this are noise: the shipped order stays. */
const WORTH = 0.97;

/** Measures job by job. */
export async function tune(
  gpu: Gpu,
  jobs: readonly TuneJob[],
  { known = {}, seconds, isStopped = () => false, onProgress = () => {}, save }: TuneOptions,
): Promise<TuneResult> {
  const end = performance.now() + 1000 * seconds;
  const choices: Record<string, Choice> = { ...known };
  const rejected: TuneResult["rejected"][number][] = [];
  const changed: TuneResult["changed"][number][] = [];
  let left = 0;
  for (const [i, job] of jobs.entries()) {
    onProgress(i, jobs.length, `${job.form.op} ${job.scope}`);
    const key = formKey(job.form);
    const offered = variantsOf(job.form, { device: gpu.profile });
    const hashes = new Map(offered.map((v) => [v.name, kernelHash(v)]));
    const same = known[key]?.variants.length === offered.length &&
      known[key].variants.every((v) => hashes.get(v.name) === v.kernel);
    if (same) continue;
    if (performance.now() > end || isStopped()) {
      left++;
      continue;
    }
    const small = variantsOf(job.small, { device: gpu.profile });
    const oracle = formOracle(job.small);
    const right: typeof offered = [];
    for (const variant of offered) {
      const twin = small.find((v) => v.name === variant.name);
      // A kernel that the small form does not offer cannot be checked, so it is not used.
      const why = twin ? await wrong(gpu, oracle, twin) : "the small form does not offer it";
      if (why) rejected.push({ key, variant: variant.name, why });
      else right.push(variant);
    }
    // What is far behind on the small form is not run on the large one, where it may take minutes.
    const quick = await race(gpu, job.small, right.map((v) => v.name));
    if (quick.length === 0) continue;
    const best = Math.min(...quick.map((t) => t.milliseconds));
    const behind = quick.filter((t) => t.milliseconds > FAR_BEHIND * best);
    const hopeful = quick.filter((t) => !behind.includes(t));
    const timed = await race(gpu, job.form, hopeful.map((t) => t.name));
    const slowest = Math.max(...timed.map((t) => t.milliseconds));
    timed.push(...behind.map(({ name, milliseconds }) => ({
      name,
      milliseconds: slowest * milliseconds / best,
    })));
    const { order, gain } = ranked(timed, right[0].name);
    if (gain) changed.push({ job, from: right[0].name, to: order[0].name, gain });
    choices[key] = { variants: order.map((t) => ({ ...t, kernel: hashes.get(t.name)! })) };
    await save?.(choices);
  }
  onProgress(jobs.length, jobs.length, "");
  return { choices, rejected, changed, left };
}

/**
 * Timed variants, the fastest first; but the one shipped as `first` stays so where the fastest gains
 * less than {@link WORTH} on it.
 * @returns also how many times faster the new first one is, where it is another.
 */
export function ranked<T extends { name: string; milliseconds: number }>(
  timed: readonly T[],
  first: string,
): { order: T[]; gain?: number } {
  const order = timed.toSorted((a, b) => a.milliseconds - b.milliseconds);
  const shipped = order.find((t) => t.name === first);
  if (!shipped || order[0] === shipped) return { order };
  if (order[0].milliseconds > WORTH * shipped.milliseconds) {
    return { order: [shipped, ...order.filter((t) => t !== shipped)] };
  }
  return { order, gain: shipped.milliseconds / order[0].milliseconds };
}

/** Why a variant that was checked is not used; nothing where its error is allowed. */
export function objection({ error, tolerance }: FormCheck): string | undefined {
  if (error <= tolerance) return;
  return `error ${error.toExponential(1)}, allowed ${tolerance.toExponential(1)}`;
}

async function wrong(
  gpu: Gpu,
  oracle: ReturnType<typeof formOracle>,
  variant: Parameters<typeof checkVariant>[2],
): Promise<string | undefined> {
  try {
    return objection(await checkVariant(gpu, oracle, variant));
  } catch (error) {
    return (error as Error).message;
  }
}

/** Milliseconds of each variant on the device, in turns, by timestamps. */
async function race(
  gpu: Gpu,
  form: NodeForm,
  names: readonly string[],
): Promise<{ name: string; milliseconds: number }[]> {
  const inputs = form.inputs.map((t) =>
    Float64Array.from({ length: sizeOf(t.shape) }, (_, i) => Math.sin(i % 4096 * 12.9898))
  );
  const runners: {
    name: string;
    milliseconds: number;
    exe: Awaited<ReturnType<typeof loadForm>>;
  }[] = [];
  try {
    for (const name of names) {
      const exe = await loadForm(gpu, form, name, inputs);
      const runner = { name, milliseconds: Infinity, exe };
      runners.push(runner);
      await exe.profile();
    }
    for (let run = 0; run < RUNS; run++) {
      const best = Math.min(...runners.map((r) => r.milliseconds));
      for (const runner of runners) {
        if (run >= TRIALS && runner.milliseconds > HOPELESS * best) continue;
        const nanoseconds = (await runner.exe.profile()).reduce((a, b) => a + b, 0);
        runner.milliseconds = Math.min(runner.milliseconds, nanoseconds / 1e6);
      }
    }
  } finally {
    for (const { exe } of runners) exe.destroy();
  }
  return runners.map(({ name, milliseconds }) => ({ name, milliseconds }));
}
