/** Two kernels for the same work in one process, taking turns: how many times as long the second takes. */

import { PhiloxStream } from "../random/philox.ts";
import { type RatioInterval, type Verdict, verdictOf } from "./compare.ts";
import type { Timeable } from "./measure.ts";
import { type Budget, median, quantile } from "./statistics.ts";

export interface AbResult extends RatioInterval {
  readonly verdict: Verdict;
  readonly turns: number;
  /** Milliseconds of all runs. */
  readonly a: readonly number[];
  readonly b: readonly number[];
}

const FEWEST_TURNS = 10;
const MOST_TURNS = 1000;
/** Milliseconds of runs of one kernel in a turn: short, that both see the same machine. */
const TURN_MS = 15;
const FEWEST_RUNS = 3;
const MOST_RUNS = 50;
const RESAMPLES = 2000;

/**
 * 99% interval of the median of some ratios, by the percentile bootstrap (Efron, "Bootstrap methods",
 * 1979) over their logarithms.
 */
export function bootstrap(ratios: readonly number[], seed = 1): RatioInterval {
  const random = new PhiloxStream(seed);
  const logs = ratios.map(Math.log);
  const drawn = new Float64Array(logs.length);
  const medians = Array.from({ length: RESAMPLES }, () => {
    for (let i = 0; i < drawn.length; i++) drawn[i] = logs[random.int(logs.length)];
    drawn.sort();
    return (drawn[(drawn.length - 1) >> 1] + drawn[drawn.length >> 1]) / 2;
  });
  return {
    ratio: Math.exp(median(logs)),
    low: Math.exp(quantile(medians, 0.005)),
    high: Math.exp(quantile(medians, 0.995)),
  };
}

/**
 * Each turn loads both anew, times both, in the other order than the turn before, and gives the ratio of
 * what a fifth of their runs beat.
 */
export async function compareTwo(
  [a, b]: readonly [Timeable, Timeable],
  { budget, precision = 0.005, margin, onTurn = () => {} }: {
    readonly budget: Budget;
    readonly precision?: number;
    readonly margin?: number;
    readonly onTurn?: (turns: number) => void;
  },
): Promise<AbResult> {
  const times: [number[], number[]] = [[], []];
  const ratios: number[] = [];
  let found: RatioInterval | undefined, next = FEWEST_TURNS;
  const isKnown = () => {
    const isOver = budget.left === 0 || ratios.length >= MOST_TURNS;
    if (ratios.length < FEWEST_TURNS || (!isOver && ratios.length < next)) return false;
    // An interval costs more than a turn, so not after each.
    next = Math.ceil(1.25 * ratios.length);
    found = bootstrap(ratios);
    return isOver || found.high / found.low - 1 < 2 * precision;
  };
  while (!isKnown()) {
    const loaded = [await a.load(), await b.load()];
    const fast = [0, 0];
    try {
      for (const i of ratios.length % 2 ? [1, 0] : [0, 1]) {
        const [first] = await loaded[i].sample(1);
        const count = Math.ceil(TURN_MS / Math.max(first, 1e-6));
        const all = await loaded[i].sample(Math.max(FEWEST_RUNS, Math.min(MOST_RUNS, count)));
        fast[i] = quantile(all, 0.2);
        times[i].push(...all);
      }
    } finally {
      for (const l of loaded) l.destroy();
    }
    ratios.push(fast[1] / fast[0]);
    onTurn(ratios.length);
  }
  return {
    ...found!,
    verdict: verdictOf(found!, margin),
    turns: ratios.length,
    ...{ a: times[0], b: times[1] },
  };
}

/**
 * Runs `body` now and after each change, until the changes end; what goes wrong is told, and waited out.
 *
 * @param changes something for each time that the file was saved.
 */
export async function again(
  changes: AsyncIterable<unknown>,
  body: () => Promise<void>,
  tell: (error: Error) => void,
): Promise<void> {
  const once = () => body().catch(tell);
  await once();
  for await (const _ of changes) await once();
}
