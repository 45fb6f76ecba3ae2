/** Whole steps of a model: upload, one submit, and a wait at the end of a row of them. */

import type { Gpu } from "../gpu/device.ts";
import type { PlanOptions } from "../plan/lower.ts";
import type { BenchModel, StepSize } from "./models.ts";
import { stepFlops } from "./model.ts";
import type { StepResult } from "./result.ts";
import { type Budget, median, quantile, stepsInRow } from "./statistics.ts";
import { LoadedStep, type StepKind } from "./steps.ts";

const FEWEST = 3;
const MOST = 30;

export interface TimedStep {
  readonly result: StepResult;
  /** Begin and end of each dispatch of one more step, where a trace was asked for. */
  readonly timeline?: [begin: number, end: number][];
  readonly step: ReturnType<BenchModel["step"]>;
}

/**
 * Times a step until the budget is spent, three times at least.
 *
 * @throws Error where what it computes is not finite.
 */
export async function timeStep(
  gpu: Gpu,
  model: BenchModel,
  kind: StepKind,
  at: StepSize,
  options: PlanOptions,
  { budget, trace }: { readonly budget: Budget; readonly trace?: boolean },
): Promise<TimedStep> {
  const step = model.step(kind, at, options);
  const loaded = await LoadedStep.load(gpu, step);
  try {
    await loaded.time(); // compiles
    await loaded.requireFinite();
    const inRow = stepsInRow(await loaded.time());
    const times: number[] = [];
    while (times.length < FEWEST || (times.length < MOST && budget.left > 0)) {
      times.push(await loaded.time(inRow));
    }
    const middle = median(times);
    return {
      step,
      timeline: trace ? await loaded.executable.timeline() : undefined,
      result: {
        ...{ model: model.name, kind, ...at, parameters: model.parameters },
        dispatches: step.plan.dispatches.length,
        bytes: loaded.bytes,
        median: middle,
        p20: quantile(times, 0.2),
        p80: quantile(times, 0.8),
        samples: times.length,
        gflops: stepFlops(step) / middle / 1e6,
      },
    };
  } finally {
    loaded.destroy();
  }
}
