/** The synthetic slices of `evaluate --utility`: of a folder, or made by a run's model. */

import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { Dataset, SliceRecord } from "../data/dataset.ts";
import { IMAGE_LIST, readImageList } from "../data/image_list.ts";
import { PHANTOM_FIELD_MM } from "../data/phantom.ts";
import { generate } from "../diffusion/generate.ts";
import {
  chooseMasks,
  datasetJobs,
  placeJobs,
  type SamplingJob,
  type Shard,
  takeShard,
} from "../diffusion/jobs.ts";
import type { SamplingModel } from "../diffusion/sampling_model.ts";
import { Sampler } from "../diffusion/sampler.ts";
import type { ReverseStep } from "../diffusion/scheduler.ts";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { RowCache } from "../io/row_cache.ts";
import { walk } from "../io/walk.ts";
import { tunedChoice } from "../tune/choice_files.ts";
import { SIZES } from "./utility.ts";
import type { PoolSlice } from "./utility_run.ts";

/** `A`, `A_B` of `A_B_slice_3`: what a patient of it may be called. */
function namesOf(id: string): string[] {
  const parts = id.replace(/_slice_[^_]*$/, "").split("_");
  return parts.map((_, i) => parts.slice(0, i + 1).join("_"));
}

/**
 * Refuses a folder of synthetic slices that has something of a test patient: one of that name, or a
 * lung mask of one, as `sample` wrote it down.
 *
 * @returns whether the folder says whose masks it has.
 * @throws InputError naming the slice.
 */
export async function checkSynthetic(
  folder: string,
  records: readonly SliceRecord[],
  test: ReadonlySet<string>,
): Promise<boolean> {
  const refuse = (slice: string, patient: string, how: string) => {
    throw new InputError(
      `Cannot use "${folder}" as synthetic slices: ${slice} ${how} ${patient}, who is in the test set: ` +
        "make them from training patients (sample --split train)",
    );
  };
  for (const { id, patient } of records) {
    if (test.has(patient)) refuse(id, patient, "is of patient");
  }
  let says = false;
  for (const path of walk(folder)) {
    if (!IMAGE_LIST.test(basename(path))) continue;
    for (const { slice, source } of await readImageList(path)) {
      says ||= source !== "";
      const patient = namesOf(source).find((name) => test.has(name));
      if (patient) refuse(slice, patient, "has the lungs of");
    }
  }
  return says;
}

export interface SyntheticOptions {
  readonly model: SamplingModel;
  readonly dataset: Dataset;
  /** Slices of each class. */
  readonly count: number;
  readonly steps: readonly ReverseStep[];
  readonly cfgScale: number;
  readonly seed: number;
  readonly batch: number;
  readonly shard?: Shard;
  /** Where slices already made are found, and those made here are put. */
  readonly kept: RowCache;
  readonly show: (what: string, done: number, total: number) => void;
}

/**
 * Makes slices with a nodule at a place of chance, 4 to 30 mm, and as many without, in lungs of
 * training patients. What was made before is found.
 *
 * @returns the slices; how many a shard has left to the others.
 */
export async function synthesise(
  gpu: Gpu,
  options: SyntheticOptions,
): Promise<{ slices: PoolSlice[]; missing: number; made: number }> {
  const { model, dataset, count, steps, cfgScale, seed, kept, show } = options;
  const { config, nullClass, preparation, resolution: [height, width] } = model;
  const size = { height, width }, pixels = height * width;
  const masks = chooseMasks({ dataset, split: "train", seed, size, preparation, count: 8 * count });
  const unique = [...new Map(masks.map((mask) => [mask.record.id, mask])).values()];
  const perMask = Math.ceil(count / unique.length);
  const [first] = unique, { spacing } = first.record;
  const fieldMm = spacing ? spacing[1] * (await first.record.load()).width : PHANTOM_FIELD_MM;
  const { jobs } = await placeJobs(datasetJobs(unique, [1, 0], perMask, seed), unique, {
    placement: { kind: "random", count: 1, diameter: [SIZES[0][0], SIZES.at(-1)![1]] },
    ...{ count, fieldMm, seed },
    onImage: (done) => show("places", done, count),
  });
  const { buffer, byteOffset, byteLength } = model.params;
  const weights = createHash("sha256").update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex");
  const common = JSON.stringify({ weights, config, nullClass, size, steps, cfgScale, seed });
  const found: { job: SamplingJob; path: string; image: Float32Array | null }[] = [];
  for (const job of jobs) {
    const { lungMask, classMap } = await job.slice();
    const { prefix, number, classValue } = job;
    const path = kept.path(
      common,
      JSON.stringify({ prefix, number, classValue }),
      lungMask,
      classMap,
    );
    found.push({ job, path, image: await kept.read(path, pixels) });
  }
  const wanted = options.shard ? takeShard(found, options.shard) : found;
  const missing = wanted.filter(({ image }) => !image);
  if (missing.length) {
    const sampler = await Sampler.create(gpu, {
      ...{ config, layout: model.layout, height, width },
      batch: Math.min(options.batch, jobs.length),
      guided: cfgScale !== 1,
      choose: await tunedChoice(gpu),
      ahead: true,
    });
    sampler.setParameters(model.params);
    let at = 0;
    await generate(
      sampler,
      missing.map(({ job }) => job),
      {
        ...{ steps, cfgScale, nullClass, seed },
        condition: "nodule-mask",
        onStep: (done, total) => show("sampling", done, total),
      },
      async (_, image) => {
        const one = missing[at++];
        await kept.write(one.path, one.image = image);
      },
    );
    sampler.destroy();
  }
  const slices: PoolSlice[] = [];
  for (const { job, image } of found) {
    if (!image) continue;
    const { lungMask, classMap } = await job.slice();
    const label = job.classValue > 0 ? 1 : 0;
    const patient = job.prefix.split("_")[0];
    const id = `${job.prefix}_slice_${job.number}`;
    slices.push({ id, patient, label, ct: image, lungMask, noduleMask: classMap });
  }
  return { slices, missing: found.length - slices.length, made: missing.length };
}
