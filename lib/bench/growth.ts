/** How steps grow from the smallest to the largest that was measured, the two taking turns. */

import type { Gpu } from "../gpu/device.ts";
import type { PlanOptions } from "../plan/lower.ts";
import { type Budget, median, stepsInRow, type Timing } from "./statistics.ts";
import { benchConfig, benchStep, LoadedStep } from "./steps.ts";
import { ratiosInTurns } from "./turns.ts";

/** A step of the model's table. */
export interface StepRow {
  readonly kind: "train" | "sample";
  readonly batch: number;
  readonly size: number;
  /** Absent where it was not measured. */
  readonly time?: Timing;
}

/** Two steps, the smaller first. */
export interface GrowthPair {
  readonly what: string;
  readonly steps: readonly [StepRow, StepRow];
  /** Pixels of the larger for one of the smaller. */
  readonly work: number;
}

/** Time of the larger for one of the smaller, beside the same of the work. */
export interface Growth {
  readonly what: string;
  readonly time: number;
  readonly work: number;
  /** How often the two were measured one after the other; 0: of their two rows, which may be minutes apart. */
  readonly turns: number;
}

const TURNS = 5;
const FEWEST = 3;

/** Smallest and largest batch of 128², and smallest and largest size of batch 1, of what was measured. */
export function growthPairs(rows: readonly StepRow[]): GrowthPair[] {
  const pairs = (
    by: "batch" | "size",
    where: string,
    isThere: (r: StepRow) => boolean,
  ): GrowthPair[] =>
    (["train", "sample"] as const).flatMap((kind) => {
      const measured = rows.filter((r) => r.kind === kind && r.time && isThere(r));
      if (measured.length < 2) return [];
      const sorted = measured.toSorted((a, b) => a[by] - b[by]);
      const [small, large] = [sorted[0], sorted.at(-1)!];
      return [{
        what: `${kind} ${where}, ${by} ${small[by]} → ${large[by]}`,
        steps: [small, large],
        work: (large.batch * large.size ** 2) / (small.batch * small.size ** 2),
      }];
    });
  return [
    ...pairs("batch", "@128", (r) => r.size === 128),
    ...pairs("size", "batch 1", (r) => r.batch === 1),
  ];
}

/** Of the two rows, which may have been measured minutes apart. */
export const growthOfRows = ({ what, steps: [small, large], work }: GrowthPair): Growth => ({
  what,
  time: large.time!.median / small.time!.median,
  work,
  turns: 0,
});

/** Steps in a row, from what one of each takes: the two are measured for about equally long. */
export const rowsOfPair = (
  [small, large]: readonly [number, number],
): readonly [number, number] => [
  stepsInRow(small, large),
  stepsInRow(large),
];

/** In turns; nothing where the time does not allow three. */
export async function measureGrowth(
  gpu: Gpu,
  options: PlanOptions,
  { all, part }: { readonly all: Budget; readonly part: Budget },
  { what, steps, work }: GrowthPair,
): Promise<Growth | undefined> {
  const [small, large] = steps.map((r) => r.time!.median);
  const turn = 2 * stepsInRow(large) * large / 1000;
  // One more for the first steps, which may compile.
  if (all.left < (FEWEST + 1) * turn) return;
  const loaded: LoadedStep[] = [];
  try {
    for (const { kind, batch, size } of steps) {
      const step = await LoadedStep.load(gpu, benchStep(kind, benchConfig(batch, size), options));
      loaded.push(step);
      await step.time();
    }
    const goesOn = (turns: number) => turns < FEWEST || (turns < TURNS && part.left > turn);
    const rows = rowsOfPair([small, large]);
    const ratios = await ratiosInTurns([loaded[0], loaded[1]], rows, goesOn);
    return { what, time: median(ratios), work, turns: ratios.length };
  } finally {
    for (const step of loaded) step.destroy();
  }
}
