/** How steps grow from the smallest to the largest that was measured, the two taking turns. */

import type { Gpu } from "../gpu/device.ts";
import type { PlanOptions } from "../gpu/planner.ts";
import { type Budget, median } from "./statistics.ts";
import { benchConfig, benchStep, LoadedStep } from "./steps.ts";

/** A row of the model's table, as far as it matters here. */
export interface GrowthRow {
  readonly kind: "train" | "sample";
  readonly batch: number;
  readonly size: number;
  /** Milliseconds; absent where it was not measured. */
  readonly time?: { readonly median: number };
}

/** Two steps, the smaller first. */
export interface GrowthPair {
  readonly what: string;
  readonly steps: readonly [GrowthRow, GrowthRow];
  /** Pixels of the larger for one of the smaller. */
  readonly work: number;
}

/** Time of the larger for one of the smaller, beside the same of the work. */
export interface Growth {
  readonly what: string;
  /** The median of the turns' ratios; absent where there was no time left. */
  readonly time?: number;
  readonly work: number;
}

const TURNS = 5;
const FEWEST = 3;

/** Smallest and largest batch of 128², and smallest and largest size of batch 1, of what was measured. */
export function growthPairs(rows: readonly GrowthRow[]): GrowthPair[] {
  const pairs = (
    by: "batch" | "size",
    where: string,
    isThere: (r: GrowthRow) => boolean,
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

/**
 * A machine whose speed changes from minute to minute would pass for growth if the two were measured
 * minutes apart. So each turn measures both, for about as long as the larger takes, and gives a ratio.
 */
export async function measureGrowth(
  gpu: Gpu,
  options: PlanOptions,
  { all, part }: { readonly all: Budget; readonly part: Budget },
  { what, steps, work }: GrowthPair,
): Promise<Growth> {
  const [small, large] = steps.map((r) => r.time!.median);
  const turn = 2 * large / 1000;
  // One more for the first steps, which may compile.
  if (all.left < (FEWEST + 1) * turn) return { what, work };
  const count = Math.max(1, Math.min(50, Math.round(large / small)));
  const loaded: LoadedStep[] = [];
  try {
    for (const { kind, batch, size } of steps) {
      const step = await LoadedStep.load(
        gpu,
        benchStep(kind, benchConfig(batch, size), options),
      );
      loaded.push(step);
      await step.time();
    }
    const ratios: number[] = [];
    while (ratios.length < FEWEST || (ratios.length < TURNS && part.left > turn)) {
      const each = await loaded[0].time(count);
      ratios.push(await loaded[1].time() / each);
    }
    return { what, time: median(ratios), work };
  } finally {
    for (const step of loaded) step.destroy();
  }
}
