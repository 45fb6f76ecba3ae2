/** Times of one kernel: by the device's own clock where it has a fine one, by the host's otherwise. */

import type { Gpu } from "../gpu/device.ts";
import type { Executable } from "../gpu/runtime.ts";
import type { Clock } from "./result.ts";

const clocks = new WeakMap<Gpu, Clock>();

/** How kernels are timed on a device. */
export function clockOf(gpu: Gpu): Clock {
  return clocks.get(gpu) ??
    (gpu.profile.features.includes("timestamp-query") ? "timestamps" : "batches");
}

/** A step between timestamps that would make short kernels all alike: browsers round to 0.1 ms. */
const COARSE_NS = 10_000;

/** Step of a clock, from durations that it gave: their greatest common divisor. */
export function resolution(nanoseconds: readonly number[]): number {
  const divisor = (a: number, b: number): number => b === 0 ? a : divisor(b, a % b);
  return nanoseconds.map(Math.round).reduce(divisor, 0);
}

/** Looks at what the device's clock gives for a kernel, and remembers whether it is fine enough. */
export async function chooseClock(gpu: Gpu, exe: Executable): Promise<Clock> {
  let clock = clockOf(gpu);
  if (clock === "timestamps") {
    const step = resolution(await exe.profile(8));
    if (step === 0 || step >= COARSE_NS) clock = "batches";
  }
  clocks.set(gpu, clock);
  return clock;
}

/** A batch takes so long at least: finding out that it is done takes some 10 ms. */
const BATCH_MS = 60;
const MOST_RUNS = 4096;

/** What can be run again and again, with one wait at the end. */
export interface Runs {
  run(): void;
  idle(): Promise<void>;
  now(): number;
}

/**
 * Milliseconds of one run, so many samples. Each is the difference of a batch and of one thrice as long,
 * over the runs between them, so that the wait at the end counts for nothing.
 */
export async function inBatches(runs: Runs, samples: number): Promise<number[]> {
  const time = async (count: number) => {
    const start = runs.now();
    for (let i = 0; i < count; i++) runs.run();
    await runs.idle();
    return runs.now() - start;
  };
  let count = 1;
  for (let took = await time(count); took < BATCH_MS && count < MOST_RUNS;) {
    count = Math.min(MOST_RUNS, Math.max(2 * count, Math.ceil(count * BATCH_MS / (took + 1))));
    took = await time(count);
  }
  const times: number[] = [];
  for (let i = 0; i < samples; i++) {
    const short = await time(count), long = await time(3 * count);
    // Below nothing where the short one was disturbed: at least the long one's share.
    times.push(long > short ? (long - short) / 2 / count : long / 3 / count);
  }
  return times;
}

/** Samples that a batch clock takes at most in a row: each is four batches. */
const BATCHES = 5;

/** Milliseconds of a whole run of the plan, so many in a row. */
export async function timeRuns(exe: Executable, count: number, clock: Clock): Promise<number[]> {
  if (clock === "batches") {
    const { gpu } = exe;
    return await inBatches({
      run: () => exe.run(),
      idle: () => gpu.idle(),
      now: () => performance.now(),
    }, Math.min(count, BATCHES));
  }
  const nanoseconds = await exe.profile(count);
  const each = nanoseconds.length / count;
  return Array.from(
    { length: count },
    (_, i) => nanoseconds.slice(i * each, (i + 1) * each).reduce((a, b) => a + b, 0) / 1e6,
  );
}
