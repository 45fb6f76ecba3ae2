/**
 * What is said of one kernel's times. Samples come in blocks that lie apart in time, with other kernels
 * between them: samples of one block agree with each other better than the machine does with itself a
 * minute later, so intervals are those of the blocks' medians, not of the samples.
 */

import { median, quantile } from "./statistics.ts";

/** Some runs in a row, and what the machine could do just before them. */
export interface Block {
  /** Milliseconds of each run. */
  readonly times: readonly number[];
  /** Milliseconds of fixed kernels beside them: one that computes, one that copies. */
  readonly calibration: { readonly compute: number; readonly copy: number };
}

export interface Summary {
  /** Milliseconds: of the blocks' medians, and of all samples together. */
  readonly median: number;
  readonly p20: number;
  readonly p80: number;
  readonly least: number;
  /** The median lies in there with 95%, by Student's t over the logarithms of the blocks' medians. */
  readonly interval: readonly [low: number, high: number];
  readonly samples: number;
  readonly blocks: number;
}

/** Two-sided quantiles of Student's t for 1 to 10 degrees of freedom, and for infinitely many. */
const STUDENT = {
  95: [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 1.96],
  99.5: [127.32, 14.089, 7.453, 5.598, 4.773, 4.317, 4.029, 3.833, 3.69, 3.581, 2.807],
} as const;

/** How many standard errors an interval of that level reaches to each side. */
export function studentT(level: keyof typeof STUDENT, freedom: number): number {
  const table = STUDENT[level], last = table[10];
  if (!(freedom >= 1)) return Infinity;
  // Between 10 and infinity by line over 1/freedom: within 0.3% of the table.
  if (freedom >= 10) return last + (table[9] - last) * 10 / freedom;
  const below = Math.floor(freedom);
  return table[below - 1] + (freedom - below) * (table[below] - table[below - 1]);
}

/** Mean and variance of a mean. */
export function meanOf(values: readonly number[]): { mean: number; variance: number } {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  const squares = values.reduce((sum, v) => sum + (v - mean) ** 2, 0);
  return { mean, variance: n > 1 ? squares / (n - 1) / n : Infinity };
}

export const blockMedians = (blocks: readonly Pick<Block, "times">[]): number[] =>
  blocks.map((b) => median(b.times));

export function summary(blocks: readonly Pick<Block, "times">[]): Summary {
  const medians = blockMedians(blocks), all = blocks.flatMap((b) => b.times);
  const middle = median(medians);
  const { mean, variance } = meanOf(medians.map(Math.log));
  const half = blocks.length > 1 ? studentT(95, blocks.length - 1) * Math.sqrt(variance) : Infinity;
  return {
    median: middle,
    p20: quantile(all, 0.2),
    p80: quantile(all, 0.8),
    least: Math.min(...all),
    interval: [
      // One block says nothing of the machine a minute later: all samples, then.
      Math.min(middle, Number.isFinite(half) ? Math.exp(mean - half) : Math.min(...all)),
      Math.max(middle, Number.isFinite(half) ? Math.exp(mean + half) : Math.max(...all)),
    ],
    samples: all.length,
    blocks: blocks.length,
  };
}

/** Blocks that every kernel gets: fewer would give intervals of half a row's time. */
export const FEWEST_BLOCKS = 5;

/** Whether the median is known to within a share of itself on both sides. */
export function isSettled({ median, interval: [low, high], blocks }: Summary, share = 0.01) {
  return blocks >= FEWEST_BLOCKS && high / median - 1 <= share && 1 - low / median <= share;
}

export type Flag = "unsettled" | "noisy" | "drift";

/** Samples of one kernel that differ by more are disturbed by something. */
const NOISY = 0.1;
/** So does a machine whose fixed kernels take different times in different blocks. */
const DRIFT = 0.05;

/** What spoils a row, for the reader: its time may be true, but is not to be relied on. */
export function flagsOf(blocks: readonly Block[]): Flag[] {
  const s = summary(blocks);
  const spread = (values: readonly number[]) =>
    (quantile(values, 0.8) - quantile(values, 0.2)) / 2 / median(values);
  const clock = Math.max(
    spread(blocks.map((b) => b.calibration.compute)),
    spread(blocks.map((b) => b.calibration.copy)),
  );
  return [
    ...(isSettled(s) ? [] : ["unsettled" as const]),
    ...((s.p80 - s.p20) / 2 > NOISY * s.median ? ["noisy" as const] : []),
    ...(clock > DRIFT ? ["drift" as const] : []),
  ];
}
