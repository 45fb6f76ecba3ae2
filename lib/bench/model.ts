/** Whole steps over batch and image size, what fits and what the time allows. */

import type { Gpu } from "../gpu/device.ts";
import type { PlanOptions } from "../plan/lower.ts";
import type { Precision } from "../graph/tensor.ts";
import { storesHalf } from "../passes/precision.ts";
import { OPS } from "../ops/mod.ts";
import { type Growth, growthOfRows, growthPairs, measureGrowth, type StepRow } from "./growth.ts";
import { type Budget, median, stepsInRow, type Timing, timing } from "./statistics.ts";
import { benchConfig, type BenchStep, benchStep, LoadedStep } from "./steps.ts";
import { ratiosInTurns, type Timed } from "./turns.ts";

/** Without a time where it was left out, for the reason in `skipped`. */
export interface ModelRow extends StepRow {
  readonly imagesPerSecond?: number;
  readonly gflops?: number;
  /** Planned memory on the device. */
  readonly bytes?: number;
  /** With precision f16; absent where the device or the time does not do, or it is the same program. */
  readonly half?: HalfRow;
  readonly skipped?: string;
}

export interface HalfRow {
  readonly time: Timing;
  readonly bytes: number;
  /** Time of f32 for one of f16, the two taking turns, so many: the median of their ratios. */
  readonly faster: number;
  readonly turns: number;
}

export interface ModelReport {
  readonly rows: readonly ModelRow[];
  readonly growth: readonly Growth[];
}

/** Floating-point operations of a whole step. */
export function stepFlops({ graph, plan }: Pick<BenchStep, "graph" | "plan">): number {
  const live = new Set(plan.dispatches.map((d) => d.node));
  return graph.nodes.filter((n) => live.has(n.id)).reduce(
    (sum, n) => sum + OPS[n.op].cost(n.inputs, n.outputs, n.attrs).flops,
    0,
  );
}

/** How long a thing takes whose rate is known only from things before it. */
class Rate {
  #gflops?: number;

  seconds(flops: number): number | undefined {
    return this.#gflops && flops / this.#gflops / 1e9;
  }

  learn(flops: number, seconds: number): void {
    this.#gflops = flops / seconds / 1e9;
  }
}

const LIMIT = /too large for a texture|needs a binding of|the device allows|out of memory/i;

/** Steps of a batch and size that take no longer than so many seconds are timed so many times. */
const SAMPLES = 7;
const FEWEST = 2;
/** f16 and f32 differ by percents: that takes more turns, of so many milliseconds each. */
const TURN_MS = 150;
const TURNS = 41;

/** Small work first, so that what the budget leaves out is the largest. */
export async function benchModel(
  gpu: Gpu,
  options: PlanOptions,
  budget: Budget,
  { batches, sizes, onProgress = () => {} }: {
    readonly batches: readonly number[];
    readonly sizes: readonly number[];
    readonly onProgress?: (what: string, done: number, total: number) => void;
  },
): Promise<ModelReport> {
  const jobs = batches.flatMap((batch) =>
    sizes.flatMap((size) => (["sample", "train"] as const).map((kind) => ({ kind, batch, size })))
  );
  const cost = (j: typeof jobs[number]) =>
    j.batch * j.size ** 2 * (j.kind === "train" ? 3 : 2) * (isCentral(j) ? 0.01 : 1);
  // What users do comes first, whatever it costs.
  jobs.sort((a, b) => cost(a) - cost(b));
  const rates = { train: new Rate(), sample: new Rate() };
  const rows: ModelRow[] = [];
  const forRows = budget.part(0.8);
  for (const [i, job] of jobs.entries()) {
    onProgress("model   ", i, jobs.length);
    rows.push(await benchJob(gpu, options, forRows, job, rates[job.kind]));
  }
  onProgress("model   ", jobs.length, jobs.length);
  rows.sort((a, b) =>
    a.kind < b.kind ? 1 : a.kind > b.kind ? -1 : a.size - b.size || a.batch - b.batch
  );
  const growth: Growth[] = [];
  const pairs = growthPairs(rows);
  for (const [i, pair] of pairs.entries()) {
    onProgress("growth  ", i, pairs.length);
    const shares = { all: budget, part: budget.part(1 / (pairs.length - i)) };
    const inTurns = await withinLimits(() => measureGrowth(gpu, options, shares, pair));
    growth.push(inTurns ?? growthOfRows(pair));
  }
  onProgress("growth  ", pairs.length, pairs.length);
  return { rows, growth };
}

const isCentral = ({ batch, size }: { batch: number; size: number }) =>
  size === 128 && [1, 8, 16].includes(batch);

async function benchJob(
  gpu: Gpu,
  options: PlanOptions,
  budget: Budget,
  job: Pick<ModelRow, "kind" | "batch" | "size">,
  rate: Rate,
): Promise<ModelRow> {
  const plan = (precision: Precision) =>
    benchStep(job.kind, benchConfig(job.batch, job.size, "seed", precision), options);
  const step = await withinLimits(() => plan("f32"));
  if (!step) return { ...job, skipped: "above a limit of the device" };
  const flops = stepFlops(step);
  const expected = rate.seconds(flops);
  // Two steps before, and two measurements at least.
  if (budget.left < (expected ?? 0) * (2 + FEWEST)) {
    return { ...job, skipped: "no time left" };
  }
  const loaded = await withinLimits(() => LoadedStep.load(gpu, step));
  if (!loaded) return { ...job, skipped: "above a limit of the device" };
  const isTwice = gpu.profile.features.includes("shader-f16") &&
    storesHalf(step.graph, "f16", options.device) &&
    budget.left >= 2 * (expected ?? 0) * (2 + FEWEST);
  const half = isTwice ? await withinLimits(() => LoadedStep.load(gpu, plan("f16"))) : undefined;
  try {
    // The first step compiles.
    await loaded.time();
    await loaded.requireFinite();
    await half?.time();
    await half?.requireFinite();
    const inRow = stepsInRow(await loaded.time());
    const times: number[] = [], halfTimes: number[] = [];
    const spent = () => sum(times, inRow) + sum(halfTimes, inRow);
    while (times.length < FEWEST || (times.length < SAMPLES && share(budget) > spent())) {
      const isLater = times.length % 2 === 1;
      if (half && isLater) halfTimes.push(await half.time(inRow));
      times.push(await loaded.time(inRow));
      if (half && !isLater) halfTimes.push(await half.time(inRow));
    }
    const ratios = !half
      ? []
      : inRow === 1
      ? times.map((t, i) => t / halfTimes[i])
      : await compareHalf(half, loaded, median(times), share(budget));
    const time = timing(times);
    rate.learn(flops, time.median / 1000);
    return {
      ...job,
      time,
      imagesPerSecond: job.batch / time.median * 1000,
      gflops: flops / time.median / 1e6,
      bytes: loaded.bytes,
      half: half && {
        time: timing(halfTimes),
        bytes: half.bytes,
        faster: median(ratios),
        turns: ratios.length,
      },
    };
  } finally {
    loaded.destroy();
    half?.destroy();
  }
}

/** Times of f32 for one of f16, in short turns until so many milliseconds are spent; `each`: of a step. */
export function compareHalf(
  half: Timed,
  full: Timed,
  each: number,
  most: number,
): Promise<number[]> {
  const row = Math.max(1, Math.floor(TURN_MS / each));
  const turn = 2 * row * each;
  return ratiosInTurns(
    [half, full],
    [row, row],
    (turns) => turns < FEWEST || (turns < TURNS && (turns + 1) * turn < most),
  );
}

/** Nothing where the device's limits are too low. */
async function withinLimits<T>(make: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await make();
  } catch (error) {
    if (!LIMIT.test((error as Error).message)) throw error;
  }
}

/** Milliseconds that one row of the table may take. */
const share = (budget: Budget) => 1000 * budget.left / 6;
const sum = (times: readonly number[], each: number) => each * times.reduce((a, b) => a + b, 0);
