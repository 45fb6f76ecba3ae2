/** Trains the segmenter on each choice of real and synthetic slices, and keeps what it made of the test. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  coverage,
  type LoadedSlice,
  type PreparedSlice,
  prepareSlice,
  type SliceRecord,
} from "../data/dataset.ts";
import { resizeArea, type Size } from "../data/resize.ts";
import type { HuWindow } from "../data/window.ts";
import { type Shard, takeShard } from "../diffusion/jobs.ts";
import { wholePixels } from "../diffusion/nodules.ts";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { privateFolder, writeFileAtomic } from "../io/atomic.ts";
import { parseJsonFile } from "../io/json.ts";
import { dice } from "../metrics/overlap.ts";
import { mean } from "../metrics/statistics.ts";
import { PhiloxStream } from "../random/philox.ts";
import { nodulesOf } from "./placement_run.ts";
import { NoduleSegmenter, type SegmenterSlice } from "./segmenter.ts";
import { type ScoredSlice, scoreSlice, type UtilitySlice } from "./utility.ts";

/** What a segmenter is trained on. */
export const ARMS = ["real", "real + synthetic", "synthetic"] as const;
export type Arm = (typeof ARMS)[number];

/** Keeps the choice of patients apart from other draws with the same seed. */
const STREAM = 14 * 2 ** 40;

/** A slice to train on, and whose it is. */
export interface PoolSlice extends SegmenterSlice {
  readonly id: string;
  readonly patient: string;
}

export interface TestSlice extends UtilitySlice {
  readonly id: string;
  readonly ct: Float32Array;
}

/** One training. */
export interface Training {
  readonly arm: Arm;
  /** Of the real training patients; 0 for synthetic slices alone. */
  readonly percent: number;
  readonly seed: number;
}

/** What is kept of one. */
export interface TrainingResult extends Training {
  /** Real patients, real slices and synthetic slices trained on. */
  readonly patients: number;
  readonly real: number;
  readonly synthetic: number;
  /** Mean Dice on slices with a nodule that it was trained on: near 0 where the steps were too few. */
  readonly fit: number;
  readonly slices: readonly ScoredSlice[];
}

/** All trainings: with and without the synthetic slices at each share, and these alone, for each seed. */
export function trainings(percents: readonly number[], seeds: readonly number[]): Training[] {
  return seeds.flatMap((seed) => [
    { arm: "synthetic" as const, percent: 0, seed },
    ...percents.flatMap((percent) =>
      (["real", "real + synthetic"] as const).map((arm) => ({ arm, percent, seed }))
    ),
  ]);
}

/**
 * So many percent of the patients, at least one; the same for the same seed, and those of a smaller
 * share are among those of a larger one. Where their slices are all of one class, patients are added
 * until both are there, for nothing can be learned from one.
 *
 * @throws InputError where all patients together have slices of one class only.
 */
export function choosePatients(
  slices: readonly Pick<PoolSlice, "patient" | "label">[],
  percent: number,
  seed: number,
): string[] {
  const patients = [...new Set(slices.map(({ patient }) => patient))].sort();
  const order = new PhiloxStream(seed, STREAM)
    .shuffle(Uint32Array.from(patients, (_, i) => i));
  const labels = Map.groupBy(slices, ({ patient }) => patient);
  const least = Math.max(1, Math.round(patients.length * percent / 100));
  const chosen: string[] = [], seen = new Set<number>();
  for (const i of order) {
    if (chosen.length >= least && seen.size === 2) break;
    chosen.push(patients[i]);
    for (const { label } of labels.get(patients[i])!) seen.add(label);
  }
  if (seen.size < 2) {
    throw new InputError(
      "--utility needs real training slices with a nodule and without: there are " +
        `${slices.length} of ${patients.length} patients, all ${
          seen.has(1) ? "with one" : "without"
        }`,
    );
  }
  return chosen;
}

const hashOf = (...parts: (string | Float32Array)[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(
      typeof part === "string"
        ? part
        : new Uint8Array(part.buffer, part.byteOffset, part.byteLength),
    );
  }
  return hash.digest("hex");
};

export interface UtilityOptions extends Size {
  /** Optimizer steps, the same for each training. */
  readonly steps: number;
  readonly percents: readonly number[];
  readonly seeds: readonly number[];
  readonly shard?: Shard;
  /** Where results are kept, and found again. */
  readonly folder: string;
  readonly show: (what: string, done: number, total: number) => void;
}

export interface UtilityResult {
  readonly results: readonly TrainingResult[];
  /** How many were trained now, not found. */
  readonly made: number;
}

/** Trains what is missing; a training is known by all that decides it. */
export async function runUtility(
  gpu: Gpu,
  real: readonly PoolSlice[],
  synthetic: readonly PoolSlice[],
  test: readonly TestSlice[],
  options: UtilityOptions,
): Promise<UtilityResult> {
  const { height, width, steps, percents, seeds, shard, folder, show } = options;
  const all = trainings(percents, seeds);
  const wanted = shard ? takeShard(all, shard) : all;
  const poolHash = new Map(
    [...real, ...synthetic].map((slice) => [
      slice,
      hashOf(slice.patient, slice.ct, slice.lungMask, slice.noduleMask),
    ]),
  );
  const testHash = hashOf(...test.flatMap(({ patient, ct, truth, nodules, lungMask }) => [
    `${patient} ${nodules.map(({ mm }) => mm)}`,
    ...[ct, truth, lungMask],
  ]));
  await privateFolder(folder); // patients' names are in it
  const results: TrainingResult[] = [];
  let made = 0;
  for (const [i, training] of wanted.entries()) {
    const { arm, percent, seed } = training;
    const chosen = new Set(arm === "synthetic" ? [] : choosePatients(real, percent, seed));
    const own = real.filter(({ patient }) => chosen.has(patient));
    const added = arm === "real" ? [] : synthetic;
    const slices = [...own, ...added];
    const key = hashOf(
      JSON.stringify({ ...training, steps, height, width, adapter: gpu.name, version: 3 }),
      testHash,
      ...slices.map((slice) => poolHash.get(slice)!),
    );
    const name = `${arm.replaceAll(" ", "")}-${percent}-seed${seed}-${key.slice(0, 16)}.json`;
    const path = join(folder, name);
    let result = await readResult(path, test.length);
    if (!result) {
      const segmenter = await NoduleSegmenter.train(gpu, slices, {
        ...{ height, width, steps, seed },
        onStep: (done) => show("training steps", i * steps + done, wanted.length * steps),
      });
      const maps = await segmenter.probabilities(test);
      const fit = await fitOf(segmenter, slices);
      segmenter.destroy();
      result = {
        ...training,
        ...{ patients: chosen.size, real: own.length, synthetic: added.length, fit },
        slices: test.map((slice, k) => scoreSlice(slice, maps[k])),
      };
      await writeFileAtomic(path, JSON.stringify(result) + "\n");
      made++;
    }
    results.push(result);
    show("training steps", (i + 1) * steps, wanted.length * steps);
  }
  return { results, made };
}

/** Training slices looked at. */
const FIT_SLICES = 64;

async function fitOf(segmenter: NoduleSegmenter, slices: readonly PoolSlice[]): Promise<number> {
  const having = slices.filter(({ label }) => label === 1);
  const every = Math.ceil(having.length / FIT_SLICES);
  const chosen = having.filter((_, i) => i % every === 0);
  const maps = await segmenter.probabilities(chosen);
  return mean(
    chosen.map(({ lungMask, noduleMask }, i) =>
      dice(maps[i].map((p, k) => lungMask[k] > 0 ? p : 0), wholePixels(noduleMask))
    ),
  );
}

/** A kept result; undefined where there is none. @throws InputError where the file is none of ours. */
async function readResult(path: string, slices: number): Promise<TrainingResult | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const result = parseJsonFile(text, path) as TrainingResult;
  if (result?.slices?.length !== slices) {
    throw new InputError(`Cannot use "${path}": no result of ${slices} test slices; remove it`);
  }
  return result;
}

type Preparation = Parameters<typeof prepareSlice>[3];

/** Loads slices to train on. @throws InputError where a nodule's mask is the whole lung. */
export async function poolSlices(
  records: readonly SliceRecord[],
  size: Size,
  window: HuWindow,
  preparation: Preparation,
  onDone: (done: number, total: number) => void,
): Promise<PoolSlice[]> {
  const slices: PoolSlice[] = [];
  for (const [i, record] of records.entries()) {
    const slice = await prepareSlice(record, size, window, preparation);
    checkTarget(slice);
    const { id, patient, ct, lungMask, noduleMask } = slice;
    // The label of what can be learned here: a nodule that is too small for the file's rule counts.
    const label = noduleMask.some((v) => v > 0) ? 1 : 0;
    slices.push({ id, patient, label, ct, lungMask, noduleMask });
    onDone(i + 1, records.length);
  }
  return slices;
}

/** `sample` writes the lungs as the nodule's mask where only the class says that there is one. */
function checkTarget({ id, lungMask, noduleMask }: PreparedSlice): void {
  let lung = 0, both = 0;
  lungMask.forEach((v, i) => {
    lung += v;
    both += v * (noduleMask[i] > 0 ? 1 : 0);
  });
  if (lung > 0 && both > 0.9 * lung) {
    throw new InputError(
      `${id}: its nodule's mask is the whole lung, which says that there is a nodule and not where: ` +
        "--utility needs slices of a model trained with --condition nodule-mask",
    );
  }
}

/** Loads slices to test on. @param spacingOf mm between a slice's pixels. */
export async function testSlices(
  records: readonly SliceRecord[],
  size: Size,
  window: HuWindow,
  preparation: Preparation,
  spacingOf: (record: SliceRecord, slice: LoadedSlice) => number,
  onDone: (done: number, total: number) => void,
): Promise<TestSlice[]> {
  const slices: TestSlice[] = [];
  for (const [i, record] of records.entries()) {
    const stored = await record.load();
    const ready = { ...record, load: () => Promise.resolve(stored) };
    const slice = await prepareSlice(ready, size, window, preparation);
    const { id, patient, ct, lungMask, noduleMask } = slice;
    const nodules = nodulesOf(stored, spacingOf(record, stored)).map(({ diameterMm, mask }) => ({
      mm: diameterMm,
      mask: coverage(resizeArea(mask, stored, size)),
    }));
    const truth = wholePixels(noduleMask);
    slices.push({ ...size, id, patient, ct, lungMask, truth, nodules });
    onDone(i + 1, records.length);
  }
  return slices;
}
