/** What a sampling run makes: which masks, classes, noises and file names, and which shard of them. */

import {
  type Dataset,
  openPhantomDataset,
  type PreparedSlice,
  prepareSlice,
  type SliceRecord,
} from "../data/dataset.ts";
import type { Size } from "../data/resize.ts";
import { InputError } from "../errors.ts";
import { PhiloxStream } from "../random/philox.ts";
import { type Placed, type Placement, placeNodules, withNodules } from "./nodules.ts";
import type { SlicePreparation } from "./sampling_model.ts";

/** One image to make. */
export interface SamplingJob {
  /** `{prefix}_slice_{number}` is the file's name; the patient is the prefix up to the first `_`. */
  readonly prefix: string;
  /** In the file's name, and the noise's: images of one number start from the same noise. */
  readonly number: number;
  /** Value of the class map: 1 nodule, 0 none, or between. */
  readonly classValue: number;
  /** Row of the grid it is shown in. */
  readonly row: string;
  /** Whose lung mask it has. */
  readonly source: string;
  /** Nodules asked for at places, of a model that is told them. */
  readonly placed?: JobNodules;
  slice(): Promise<PreparedSlice>;
}

/** Nodules of a job: where they lie in the slice as stored. */
export interface JobNodules extends Placed {
  readonly size: Size;
}

export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** `i/n`, i from 0. @throws InputError. */
export function parseShard(text: string): Shard {
  const [, index, count] = (/^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? []).map(Number);
  if (!(index < count)) {
    throw new InputError(`--shard ${text}: i/n needed, i from 0 to n − 1`);
  }
  return { index, count };
}

/** The shard's share: every n-th job, so that each gets some of all classes. */
export function takeShard<T>(jobs: readonly T[], { index, count }: Shard): T[] {
  return jobs.filter((_, i) => i % count === index);
}

export interface MaskOptions {
  /** Whose masks; those of the built-in phantom when absent. */
  readonly dataset?: Dataset;
  /** Its name, for messages. */
  readonly data?: string;
  readonly split?: "train" | "val" | "test";
  /** How many masks; all when absent. */
  readonly count?: number;
  readonly seed: number;
  readonly size: Size;
  readonly preparation: SlicePreparation;
}

export interface MaskSource {
  readonly record: SliceRecord;
  slice(): Promise<PreparedSlice>;
}

/** Slices whose lung masks are used: a seeded choice, or all of a split in their order. */
export function chooseMasks(options: MaskOptions): MaskSource[] {
  const { split, count, seed, size, preparation } = options;
  const dataset = options.dataset ?? openPhantomDataset({
    seed,
    count: Math.max(8, 2 * (count ?? 4)),
    size: 2 * size.height,
  });
  const records = split ? dataset[split] : dataset.val.length ? dataset.val : dataset.train;
  if (records.length === 0) {
    throw new InputError(`${options.data ?? "the phantom"}: its split "${split}" has no slice`);
  }
  const source = (record: SliceRecord): MaskSource => ({
    record,
    slice: () => prepareSlice(record, size, preparation.window, preparation),
  });
  if (count === undefined) return records.map(source);
  const order = new PhiloxStream(seed, 6 * 2 ** 32).shuffle(Uint32Array.from(records, (_, i) => i));
  return Array.from({ length: count }, (_, i) => source(records[order[i % order.length]]));
}

const rowOf = (value: number, how = "generated") =>
  `${how}, ${value === 1 ? "nodule" : value === 0 ? "no nodule" : `class ${value}`}`;

export interface PlaceOptions {
  readonly placement: Placement;
  /** Images of a class at most; all that have room when absent. */
  readonly count?: number;
  /** Width of a slice. */
  readonly fieldMm: number;
  readonly seed: number;
  readonly onImage?: (done: number) => void;
}

/**
 * Jobs of a model that is told where nodules are: where a job's class is 1 it is given nodules in the
 * lungs of its slice, else none. Jobs of one number share them. Slices without room are passed over.
 *
 * @returns the jobs, and why slices were passed over.
 * @throws InputError where there is room in none.
 */
export async function placeJobs(
  jobs: readonly SamplingJob[],
  masks: readonly MaskSource[],
  { placement, count = Infinity, fieldMm, seed, onImage }: PlaceOptions,
): Promise<{ jobs: SamplingJob[]; passedOver: string[] }> {
  const records = new Map(masks.map(({ record }) => [record.id, record]));
  const fitting: SamplingJob[] = [], passedOver: string[] = [];
  let done = 0;
  for (const [number, alike] of Map.groupBy(jobs, (job) => job.number)) {
    if (done === count) break;
    const { source } = alike[0];
    let placed: JobNodules | undefined;
    if (alike.some(({ classValue }) => classValue > 0)) {
      const record = records.get(source)!, slice = await record.load();
      try {
        const spacing = record.spacing?.[1] ?? fieldMm / slice.width;
        const place = placeNodules(slice, placement, spacing, seed, number, source);
        placed = { ...place, size: { height: slice.height, width: slice.width } };
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        passedOver.push(error.message);
        continue;
      }
    }
    for (const job of alike) fitting.push(withPlaced(job, job.classValue > 0 ? placed : undefined));
    onImage?.(++done);
  }
  if (fitting.length === 0) throw new InputError(passedOver[0] ?? "no slice to place nodules in");
  // Rows of a class stay together, as the jobs came.
  const order = new Map(jobs.map((job, i) => [`${job.prefix} ${job.number}`, i]));
  const at = (job: SamplingJob) => order.get(`${job.prefix} ${job.number}`)!;
  return { jobs: fitting.sort((a, b) => at(a) - at(b)), passedOver };
}

function withPlaced(job: SamplingJob, placed: JobNodules | undefined): SamplingJob {
  return {
    ...job,
    placed,
    slice: async () => {
      const slice = await job.slice();
      return withNodules(slice, placed?.size ?? slice, placed?.mask);
    },
  };
}

/** A picture of each class for each mask; classes share masks and noise. */
export function pictureJobs(
  masks: readonly MaskSource[],
  classes: readonly number[],
  seed: number,
): SamplingJob[] {
  return classes.flatMap((classValue) =>
    masks.map(({ record, slice }, number) => ({
      prefix: `GEN${classValue}-${seed}`,
      number,
      classValue,
      row: rowOf(classValue),
      source: record.id,
      slice,
    }))
  );
}

/** For each mask a row of images from one noise, their class going evenly from one value to another. */
export function interpolationJobs(
  masks: readonly MaskSource[],
  [from, to]: readonly [number, number],
  steps: number,
  seed: number,
): SamplingJob[] {
  return masks.flatMap(({ record, slice }, number) =>
    Array.from({ length: steps }, (_, k) => {
      const classValue = Number((from + (to - from) * k / Math.max(1, steps - 1)).toFixed(4));
      return {
        prefix: `GEN${classValue}-${seed}`,
        number,
        classValue,
        row: `mask ${number}: class ${from} to ${to}`,
        source: record.id,
        slice,
      };
    })
  );
}

/**
 * A synthetic data set: `perMask` images of each class for every mask, in the training layout. Its
 * patients stand for the real ones, so that a split by patient keeps masks of one together.
 *
 * @param classes class values, or "own": each mask's own label.
 */
export function datasetJobs(
  masks: readonly MaskSource[],
  classes: readonly number[] | "own",
  perMask: number,
  seed: number,
): SamplingJob[] {
  const patients = new Map<string, number>();
  return masks.flatMap(({ record, slice }, mask) => {
    if (!patients.has(record.patient)) patients.set(record.patient, patients.size + 1);
    const patient = `SYN${String(patients.get(record.patient)).padStart(4, "0")}`;
    return (classes === "own" ? [record.label] : classes).flatMap((classValue) =>
      Array.from({ length: perMask }, (_, k) => ({
        prefix: `${patient}_c${classValue}s${seed}`,
        number: mask * perMask + k,
        classValue,
        row: rowOf(classValue),
        source: record.id,
        slice,
      }))
    );
  });
}

/** Variants of one inpainted slice. What the network sees of it, `inpaint` makes itself. */
export function inpaintingJobs(
  source: string,
  classes: readonly number[],
  count: number,
  seed: number,
): SamplingJob[] {
  return classes.flatMap((classValue) =>
    Array.from({ length: count }, (_, number) => ({
      prefix: `INP${classValue}-${seed}`,
      number,
      classValue,
      row: rowOf(classValue, "inpainted"),
      source,
      slice: () => Promise.reject(new Error("an inpainted slice is made of parts")),
    }))
  );
}
