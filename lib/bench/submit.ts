/** A machine's whole benchmark within some minutes, as one result that can be sent to others. */

import type { Gpu } from "../gpu/device.ts";
import { OPS } from "../ops/mod.ts";
import type { PlanOptions } from "../plan/lower.ts";
import { jobsOfModel } from "./jobs.ts";
import { namedModel } from "./models.ts";
import { higherPeaks, measurePeaks } from "./peaks.ts";
import { type BenchResult, RESULT_FORMAT, RESULT_VERSION, type StepResult } from "./result.ts";
import { measureRows, resultRow, rowsAbovePeak } from "./rows.ts";
import { Budget } from "./statistics.ts";
import type { StepKind } from "./steps.ts";
import { timeStep } from "./whole_steps.ts";

export interface SubmitOptions {
  /** Seconds at most; what there is no time for is left out. */
  readonly seconds: number;
  readonly about: Pick<BenchResult, "program" | "machine">;
  readonly plan: PlanOptions;
  readonly more?: Pick<BenchResult, "probes" | "tuned">;
  /** Another model than the seed preset's, for tests. */
  readonly model?: ReturnType<typeof namedModel>;
  readonly batches?: readonly number[];
  /** Steps to time; the kernels are those of the first. */
  readonly kinds?: readonly StepKind[];
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** Steps before and within a measurement: compiling, counting, three times. */
const STEPS_OF_A_TIME = 6;

/**
 * Peaks, the kernels of the training step, and whole steps at some batches.
 *
 * @throws Error where a kernel computes wrongly, or would be faster than the device.
 */
export async function submission(
  gpu: Gpu,
  {
    seconds,
    about,
    plan,
    more,
    model = namedModel("seed"),
    batches = [1, 8, 16],
    kinds = ["train", "sample"],
    onProgress = () => {},
  }: SubmitOptions,
): Promise<BenchResult> {
  const started = performance.now();
  const budget = new Budget(seconds);
  const [smallest, ...larger] = batches;
  let peaks = await measurePeaks(gpu, 3);
  const there = kinds.filter((kind) => model.kinds.includes(kind));
  const steps: StepResult[] = [];
  const time = async (kind: StepKind, batch: number, share: number) => {
    onProgress(`${kind}, batch ${batch}`, steps.length, batches.length * there.length);
    const at = { batch, size: model.size, precision: "f32" as const };
    const { result } = await timeStep(gpu, model, kind, at, plan, { budget: budget.part(share) });
    steps.push(result);
  };
  for (const kind of there) await time(kind, smallest, 0.04);

  const size = { batch: model.batch, size: model.size, precision: "f32" as const };
  const jobs = jobsOfModel(model, there[0], size, plan, { ops: OPS_ALL });
  const measured = await measureRows(gpu, jobs, {
    ...{ plan, budget: budget.part(0.6), always: 0 },
    onFirst: (_, __, done, total) => onProgress("kernels", done, total),
  });
  peaks = higherPeaks(peaks, await measurePeaks(gpu, 3));
  for (const batch of larger) {
    for (const kind of there) {
      const one = steps.find((s) => s.kind === kind && s.batch === smallest)!.median;
      if (budget.left * 1000 < STEPS_OF_A_TIME * one * batch / smallest) continue;
      await time(kind, batch, 0.2);
    }
  }
  const rows = () => measured.map((m) => resultRow(m, peaks, { gpu }));
  for (let i = 0; i < 3 && rowsAbovePeak(rows(), peaks).length; i++) {
    peaks = higherPeaks(peaks, await measurePeaks(gpu));
  }
  const impossible = rowsAbovePeak(rows(), peaks);
  if (impossible.length) throw new Error(impossible.join("\n"));
  return {
    ...{ format: RESULT_FORMAT, version: RESULT_VERSION, date: new Date().toISOString() },
    ...about,
    options: {
      ...{ model: model.name, batch: model.batch, size: model.size, step: there[0] },
      ...{ precision: "f32", exact: Boolean(plan.exact), tuned: plan.choose !== undefined },
      ...{ kernels: jobs.length, timed: measured.length },
    },
    seconds: (performance.now() - started) / 1000,
    peaks,
    rows: rows(),
    steps,
    ...more,
  };
}

const OPS_ALL = Object.keys(OPS);
