/** Two results of the same rows: which kernels became slower, and how far that can be told. */

import { InputError } from "../errors.ts";
import { meanOf, studentT } from "./blocks.ts";
import type { BenchResult, ResultRow } from "./result.ts";
import { median } from "./statistics.ts";

export type Verdict = "FAST" | "SLOW" | "SAME" | "AMBIGUOUS";

export interface RatioInterval {
  /** Time of the new one for one of the old. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
}

export interface ComparedRow extends RatioInterval {
  readonly old: ResultRow;
  readonly new: ResultRow;
  readonly verdict: Verdict;
  /** Whether another text, grid or constant ran. */
  readonly changed: boolean;
}

export interface Comparison {
  readonly rows: readonly ComparedRow[];
  /** Keys that only one of them has. */
  readonly onlyOld: readonly string[];
  readonly onlyNew: readonly string[];
  /** Standard deviation of a row's ratio from run to run, beyond what its blocks show. */
  readonly betweenRuns: number;
}

/** What differs by less is no difference: no reader of a table wants to hear of it. */
export const MARGIN = 0.02;

/**
 * How far times of one kernel in two processes differ though nothing changed and the machine is quiet:
 * code and buffers lie elsewhere. Measured on lavapipe; the least that is assumed.
 */
const BETWEEN_RUNS = 0.004;
/** From so many rows on, they show it themselves. */
const ROWS_TELL = 8;

/** From where the ratio may lie: outside the margin on one side, within it, or who knows. */
export function verdictOf({ low, high }: RatioInterval, margin = MARGIN): Verdict {
  const most = 1 + margin;
  return low > most
    ? "SLOW"
    : high < 1 / most
    ? "FAST"
    : low >= 1 / most && high <= most
    ? "SAME"
    : "AMBIGUOUS";
}

interface Estimate {
  /** Of the logarithm of the ratio. */
  readonly mean: number;
  readonly variance: number;
  readonly freedom: number;
}

interface Difference {
  /** Of the times as they are. */
  readonly raw: Estimate;
  /** Of each block's time over that of the fixed kernel of its kind beside it. */
  readonly calibrated: Estimate;
}

/** Which fixed kernel is most like a row. */
const kindOf = ({ ofCompute, ofCopy }: ResultRow) => ofCompute > ofCopy ? "compute" : "copy";

/** Of logarithms, by Welch. */
function estimate(old: readonly number[], fresh: readonly number[]): Estimate {
  const a = meanOf(old), b = meanOf(fresh), variance = a.variance + b.variance;
  const parts = a.variance ** 2 / (old.length - 1) + b.variance ** 2 / (fresh.length - 1);
  const freedom = parts > 0 ? variance ** 2 / parts : Math.min(old.length, fresh.length) - 1;
  return { mean: b.mean - a.mean, variance, freedom };
}

function differenceOf(old: ResultRow, fresh: ResultRow): Difference {
  const kind = kindOf(old);
  // What a fifth of a block's runs beat: other programs only ever add to a time.
  const raw = (r: ResultRow) => r.trace.map((b) => Math.log(b.p20));
  const calibrated = (r: ResultRow) => r.trace.map((b) => Math.log(b.p20 / b[kind]));
  return {
    raw: estimate(raw(old), raw(fresh)),
    calibrated: estimate(calibrated(old), calibrated(fresh)),
  };
}

/**
 * What rows scatter by from run to run though nothing changed, beyond what their own blocks show: the
 * median distance from the median, which a few kernels that did change do not move.
 */
function scatterOf(differences: readonly Difference[]): number {
  const known = differences.map((d) => d.calibrated).filter((e) => Number.isFinite(e.variance));
  if (known.length < ROWS_TELL) return BETWEEN_RUNS;
  const middle = median(known.map((d) => d.mean));
  const spread = 1.4826 * median(known.map((d) => Math.abs(d.mean - middle)));
  const own = median(known.map((d) => d.variance));
  return Math.max(BETWEEN_RUNS, Math.sqrt(Math.max(0, spread ** 2 - own)));
}

/**
 * A row is SLOW only where its time says so both as it is and over the fixed kernel's: a machine that was
 * slower in the new run is no slower kernel, and a fixed kernel that was disturbed is none either.
 *
 * @throws InputError where the two are of different adapters, unless `anyAdapter`, or share no row.
 */
export function compareResults(
  old: BenchResult,
  fresh: BenchResult,
  { anyAdapter = false, margin = MARGIN }: {
    readonly anyAdapter?: boolean;
    readonly margin?: number;
  } = {},
): Comparison {
  const [a, b] = [old.machine, fresh.machine];
  for (const what of ["adapter", "processor"] as const) {
    if (a[what] !== b[what] && !anyAdapter) {
      throw new InputError(
        `the two results are of different machines (${what} "${a[what]}" and "${b[what]}"): ` +
          "--any-adapter compares them all the same",
      );
    }
  }
  const known = new Map(old.rows.map((r) => [identity(r), r]));
  const pairs = fresh.rows.flatMap((r) => {
    const before = known.get(identity(r));
    return before ? [{ old: before, new: r }] : [];
  });
  if (pairs.length === 0) throw new InputError("the two results have no row in common");
  const differences = pairs.map((p) => differenceOf(p.old, p.new));
  const betweenRuns = scatterOf(differences);
  const rows = pairs.map((pair, i): ComparedRow => {
    const { raw, calibrated } = differences[i];
    const ends = [raw, calibrated].map(({ mean, variance, freedom }) => {
      const half = studentT(99.5, freedom) * Math.sqrt(variance + betweenRuns ** 2);
      return [mean - half, mean + half];
    });
    const interval = {
      ratio: Math.exp((raw.mean + calibrated.mean) / 2),
      low: Math.exp(Math.min(...ends.map(([low]) => low))),
      high: Math.exp(Math.max(...ends.map(([, high]) => high))),
    };
    return {
      ...pair,
      ...interval,
      verdict: verdictOf(interval, margin),
      changed: pair.old.kernel !== pair.new.kernel,
    };
  });
  const only = (rows: readonly ResultRow[], others: readonly ResultRow[]) => {
    const there = new Set(others.map(identity));
    return rows.map(identity).filter((key) => !there.has(key));
  };
  return {
    rows,
    betweenRuns,
    onlyOld: only(old.rows, fresh.rows),
    onlyNew: only(fresh.rows, old.rows),
  };
}

/** Rows that differ in how they were timed are not the same. */
const identity = ({ key, cache, clock }: ResultRow) => `${key} ${cache} ${clock}`;

/** What makes `bench compare` fail: rows that are SLOW, by more than a share where one is given. */
export const regressions = ({ rows }: Comparison, above = 0): ComparedRow[] =>
  rows.filter((r) => r.verdict === "SLOW" && r.ratio > 1 + above);
