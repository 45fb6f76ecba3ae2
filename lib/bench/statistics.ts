/** What is said of repeated measurements: the median, and how far apart they lie. */

export interface Timing {
  /** Milliseconds. */
  readonly median: number;
  readonly least: number;
  /** Half the distance between the quartiles, as a share of the median. */
  readonly spread: number;
  readonly samples: number;
}

/** The value below which a share of the sorted values lies, between neighbours by line. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error("Cannot take a quantile of no values");
  const sorted = values.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = Math.floor(at), above = Math.ceil(at);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export function timing(values: readonly number[]): Timing {
  const middle = median(values);
  return {
    median: middle,
    least: Math.min(...values),
    spread: middle > 0 ? (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / middle : 0,
    samples: values.length,
  };
}

/** Seconds that are left of a budget, shared among the parts that come. */
export class Budget {
  readonly #end: number;

  readonly seconds: number;
  readonly now: () => number;

  constructor(seconds: number, now: () => number = () => performance.now()) {
    [this.seconds, this.now] = [seconds, now];
    this.#end = this.now() + 1000 * seconds;
  }

  get left(): number {
    return Math.max(0, (this.#end - this.now()) / 1000);
  }

  /** A share of what is left, as a budget of its own. */
  part(share: number): Budget {
    return new Budget(this.left * share, this.now);
  }
}

/**
 * Short steps are timed in rows of about so many milliseconds, with one wait at the end: training and
 * sampling do not wait for each step either, and finding out that work is done takes some 10 ms.
 */
const ROW_MS = 1200;

/** Steps in a row, from what one takes: about so many milliseconds, 50 steps at most. */
export const stepsInRow = (milliseconds: number, row = ROW_MS): number =>
  Math.max(1, Math.min(50, Math.floor(Math.max(row, ROW_MS) / milliseconds)));
