/**
 * Whether synthetic slices help a nodule segmenter: what is kept of each test slice, and the figures
 * that follow from it.
 */

import { components3d } from "../data/lung/components.ts";
import type { Size } from "../data/resize.ts";
import { dice } from "../metrics/overlap.ts";
import { quantile } from "../metrics/statistics.ts";
import { PhiloxStream } from "../random/philox.ts";
import { grow } from "./placement.ts";

/** Probability from which on pixels belong to a candidate; its score is its highest probability. */
export const CANDIDATE = 0.1;
/** Probability from which on a pixel counts as nodule, for Dice. */
const SEGMENTED = 0.5;
/** A candidate may be off by so many pixels. */
const SLACK = 1;
/** False positives a slice at which sensitivity is told. */
export const FALSE_POSITIVES = [0.5, 1, 2] as const;
/** mm; the last includes its upper end. */
export const SIZES = [[4, 8], [8, 15], [15, 30]] as const;

/** What one trained segmenter made of one test slice. */
export interface ScoredSlice {
  readonly patient: string;
  /** Overlap of what it segments with all nodules; null where the slice has none. */
  readonly dice: number | null;
  /** Scores of candidates that touch no nodule. */
  readonly extra: readonly number[];
  /** Of each nodule: its diameter, and the highest score of a candidate that touches it, or 0. */
  readonly nodules: readonly { readonly mm: number; readonly score: number }[];
}

/** A test slice. */
export interface UtilitySlice extends Size {
  readonly patient: string;
  readonly lungMask: Float32Array;
  /** All nodules, 0 or 1. */
  readonly truth: Float32Array;
  /** Each nodule's coverage, in [0, 1]. */
  readonly nodules: readonly { readonly mm: number; readonly mask: Float32Array }[];
}

const short = (p: number) => Math.round(p * 1e4) / 1e4;

/** Scores a map of probabilities, [height, width]; outside the lungs nothing is looked for. */
export function scoreSlice(slice: UtilitySlice, probabilities: Float32Array): ScoredSlice {
  const { patient, height, width, lungMask, truth, nodules } = slice;
  const inLung = probabilities.map((p, i) => lungMask[i] > 0 ? p : 0);
  const { labels, sizes } = components3d(
    Uint8Array.from(inLung, (p) => p >= CANDIDATE ? 1 : 0),
    1,
    height,
    width,
  );
  const scores = new Float64Array(sizes.length);
  labels.forEach((label, i) => {
    if (label) scores[label] = Math.max(scores[label], inLung[i]);
  });
  const used = new Set<number>();
  const found = nodules.map(({ mm, mask }) => {
    let score = 0;
    grow(mask.map((v) => v > 0 ? 1 : 0), slice, SLACK).forEach((near, i) => {
      if (!near || !labels[i]) return;
      used.add(labels[i]);
      score = Math.max(score, scores[labels[i]]);
    });
    return { mm, score: short(score) };
  });
  const extra = Array.from(scores, short).filter((_, label) => label > 0 && !used.has(label));
  const seen = inLung.map((p) => p >= SEGMENTED ? 1 : 0);
  return { patient, dice: nodules.length ? short(dice(seen, truth)) : null, extra, nodules: found };
}

/**
 * The lowest score at which there are at most `perSlice` false positives a slice: with it the
 * sensitivity is highest (free-response ROC). 0 where all candidates together are no more.
 */
export function operatingPoint(slices: readonly ScoredSlice[], perSlice: number): number {
  const extra = slices.flatMap((slice) => slice.extra).sort((a, b) => b - a);
  const allowed = Math.floor(perSlice * slices.length);
  if (extra.length <= allowed) return 0;
  // Candidates of one score come and go together: what is taken must be above the first too many.
  return extra[allowed] + 1e-9;
}

/** A figure of a trained segmenter. */
export interface Figure {
  readonly id: string;
  readonly label: string;
  /** False positives a slice; null for Dice. */
  readonly falsePositives: number | null;
  /** mm from, to; null for nodules of all sizes. */
  readonly size: readonly [number, number] | null;
}

export const FIGURES: readonly Figure[] = [
  { id: "dice", label: "Dice", falsePositives: null, size: null },
  ...FALSE_POSITIVES.flatMap((rate) =>
    [null, ...SIZES].map((size): Figure => ({
      id: `sensitivity_${rate}${size ? `_${size.join("_")}mm` : ""}`,
      label: `sensitivity at ${rate} FP, ${size ? `${size[0]} to ${size[1]} mm` : "all sizes"}`,
      falsePositives: rate,
      size,
    }))
  ),
];

/** Sum and number a patient, in the order of `patients`: a mean over any choice of them follows. */
export interface Sums {
  readonly sum: Float64Array;
  readonly count: Float64Array;
}

const isIn = (mm: number, [low, high]: readonly [number, number]) =>
  mm >= low && (mm < high || (high === SIZES.at(-1)![1] && mm === high));

/** A figure's parts by patient. */
export function sumsOf(
  figure: Figure,
  slices: readonly ScoredSlice[],
  patients: readonly string[],
): Sums {
  const at = new Map(patients.map((patient, i) => [patient, i]));
  const sum = new Float64Array(patients.length), count = new Float64Array(patients.length);
  const point = figure.falsePositives === null ? 0 : operatingPoint(slices, figure.falsePositives);
  for (const slice of slices) {
    const i = at.get(slice.patient)!;
    if (figure.falsePositives === null) {
      if (slice.dice === null) continue;
      sum[i] += slice.dice;
      count[i]++;
      continue;
    }
    for (const { mm, score } of slice.nodules) {
      if (figure.size && !isIn(mm, figure.size)) continue;
      sum[i] += score > 0 && score >= point ? 1 : 0;
      count[i]++;
    }
  }
  return { sum, count };
}

const total = (values: Float64Array) => values.reduce((a, b) => a + b, 0);

/** The figure over all patients; NaN where there is nothing to count. */
export const valueOf = ({ sum, count }: Sums): number => total(sum) / total(count);

export interface Interval {
  readonly value: number;
  /** 95 %; undefined where there is but one seed and one patient, or nothing to count. */
  readonly low?: number;
  readonly high?: number;
}

/**
 * Mean over seeds of a figure, or of the difference of two trained with the same seeds and patients,
 * with the percentile interval of a bootstrap over seeds and over test patients, both drawn anew each
 * time (operating points stay). Of one test patient it holds the seeds' scatter alone.
 *
 * @param a of each seed. @param b is taken away, seed by seed.
 */
export function estimate(
  a: readonly Sums[],
  b: readonly Sums[] | null,
  seed: number,
  resamples = 2000,
): Interval {
  const seeds = a.length, patients = a[0]?.sum.length ?? 0;
  const one = (sums: Sums, weights: Float64Array | null) => {
    let sum = 0, count = 0;
    for (let i = 0; i < patients; i++) {
      const weight = weights ? weights[i] : 1;
      sum += weight * sums.sum[i];
      count += weight * sums.count[i];
    }
    return sum / count;
  };
  const over = (chosen: ArrayLike<number>, weights: Float64Array | null) => {
    let all = 0;
    for (let k = 0; k < chosen.length; k++) {
      all += one(a[chosen[k]], weights) - (b ? one(b[chosen[k]], weights) : 0);
    }
    return all / chosen.length;
  };
  const each = Uint32Array.from({ length: seeds }, (_, i) => i);
  const value = over(each, null);
  if (!Number.isFinite(value) || (seeds < 2 && patients < 2)) return { value };
  const random = new PhiloxStream(seed, 13 * 2 ** 40);
  const drawn: number[] = [];
  const weights = new Float64Array(patients);
  for (let i = 0; i < resamples; i++) {
    weights.fill(0);
    for (let k = 0; k < patients; k++) weights[random.int(patients)]++;
    const mean = over(each.map(() => random.int(seeds)), weights);
    if (Number.isFinite(mean)) drawn.push(mean); // a draw may hold no nodule of this size
  }
  if (drawn.length === 0) return { value };
  drawn.sort((x, y) => x - y);
  return { value, low: quantile(drawn, 0.025), high: quantile(drawn, 0.975) };
}
