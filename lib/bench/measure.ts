/** Many kernels timed in turns, block by block, until each is known well enough or the time is up. */

import { type Block, isSettled, summary } from "./blocks.ts";
import type { Budget } from "./statistics.ts";

/** A kernel in the device's memory. */
export interface Loaded {
  /** Milliseconds of each of so many runs, one after the other. */
  sample(count: number): Promise<readonly number[]>;
  destroy(): void;
}

/** What can be loaded: anew for each block, so that where its memory lies is a matter of chance too. */
export interface Timeable {
  load(): Promise<Loaded>;
}

export interface MeasureOptions {
  readonly budget: Budget;
  /** Times the fixed kernels. */
  readonly calibrate: () => Promise<Block["calibration"]>;
  /** Half the interval, as a share of the median, at which a kernel gets no more blocks. */
  readonly precision?: number;
  /** Milliseconds of runs in a block. */
  readonly blockMs?: number;
  /** Blocks that each kernel gets though the time is up. */
  readonly always?: number;
  /** Called after each block of a kernel. */
  readonly onBlock?: (index: number, blocks: readonly Block[]) => void;
}

const FEWEST_SAMPLES = 3;
const MOST_SAMPLES = 100;
const MOST_BLOCKS = 50;

/**
 * Round after round over all kernels that are not settled.
 *
 * @returns for each, its blocks, in the order of time.
 */
export async function measure(
  kernels: readonly Timeable[],
  { budget, calibrate, precision = 0.01, blockMs = 60, always = 2, onBlock = () => {} }:
    MeasureOptions,
): Promise<Block[][]> {
  const all = kernels.map((): Block[] => []);
  for (let round = 0; round < MOST_BLOCKS; round++) {
    const open = all.flatMap((blocks, i) =>
      round && isSettled(summary(blocks), precision) ? [] : [i]
    );
    if (open.length === 0) break;
    for (const i of open) {
      // The first always has a block, that there is something to show.
      if (all[0].length && round >= always && budget.left === 0) return all;
      const calibration = await calibrate();
      const loaded = await kernels[i].load();
      try {
        // The first run compiles, or warms up; it also tells how many make a block.
        const [first] = await loaded.sample(1);
        const count = Math.ceil(blockMs / Math.max(first, 1e-6));
        const times = await loaded.sample(Math.max(FEWEST_SAMPLES, Math.min(MOST_SAMPLES, count)));
        all[i].push({ times: [...times], calibration });
      } finally {
        loaded.destroy();
      }
      onBlock(i, all[i]);
    }
  }
  return all;
}
