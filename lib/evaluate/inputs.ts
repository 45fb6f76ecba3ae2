/** What is scored: a fixed choice of real slices, and slices generated for their conditions. */

import { createHash } from "node:crypto";
import type { Dataset, PreparedSlice, SliceRecord } from "../data/dataset.ts";
import { type Shard, takeShard } from "../diffusion/jobs.ts";
import type { SamplingModel } from "../diffusion/sampling_model.ts";
import { Sampler } from "../diffusion/sampler.ts";
import type { ReverseStep } from "../diffusion/scheduler.ts";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { RowCache } from "../io/row_cache.ts";
import { PhiloxStream } from "../random/philox.ts";
import { tunedChoice } from "../tune/choice_files.ts";
import type { EvalSlice } from "./slices.ts";

/** Keeps the choice of test slices apart from other draws with the same seed. */
const CHOICE_STREAM = 8 * 2 ** 32;

/**
 * About `limit` of the records (0: all), evenly over their order and over both classes: steps of one
 * width through slices of which every other one has a nodule may meet those of one class alone.
 */
export function spread<T extends Pick<SliceRecord, "label">>(
  records: readonly T[],
  limit = 0,
): T[] {
  if (limit <= 0 || records.length <= limit) return [...records];
  const chosen = new Set<T>();
  for (const label of [0, 1]) {
    const own = records.filter((record) => record.label === label);
    const count = own.length && Math.max(1, Math.round(limit * own.length / records.length));
    for (let k = 0; k < count; k++) chosen.add(own[Math.floor(k * own.length / count)]);
  }
  return records.filter((record) => chosen.has(record));
}

export interface TestSet {
  records: SliceRecord[];
  split: "test" | "val" | "train";
  notes: string[];
}

/**
 * `count` slices of each class (0: all there are), the same for the same data and seed. From the
 * test split; where that is empty from the validation split, and at last from the training split.
 *
 * @throws InputError where there is no slice at all.
 */
export function chooseTestSet(
  dataset: Pick<Dataset, "train" | "val" | "test">,
  count: number,
  seed: number,
): TestSet {
  const split = (["test", "val", "train"] as const).find((name) => dataset[name].length > 0);
  if (!split) throw new InputError("the data holds no slice to compare with");
  const notes: string[] = [];
  if (split === "val") notes.push("there is no test split: validation slices are compared with");
  if (split === "train") {
    notes.push(
      "there is neither a test nor a validation split: slices the model may have been trained on " +
        "are compared with",
    );
  }
  const random = new PhiloxStream(seed, CHOICE_STREAM);
  const records = [1, 0].flatMap((label) => {
    // Sorted first: the choice must not hang on the order in which a folder was read.
    const all = dataset[split].filter((record) => record.label === label)
      .sort((a, b) => a.id < b.id ? -1 : 1);
    const order = random.shuffle(Uint32Array.from(all, (_, i) => i));
    const taken = count === 0 ? order : order.subarray(0, count);
    if (taken.length < count) {
      notes.push(
        `${count} slices ${
          label ? "with" : "without"
        } a nodule were asked for, the ${split} split ` +
          `has ${taken.length}`,
      );
    }
    return Array.from(taken, (i) => all[i]);
  });
  return { records, split, notes };
}

const hashOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  createHash("sha256").update(new Uint8Array(buffer, byteOffset, byteLength)).digest("hex");

export interface GenerateOptions {
  model: SamplingModel;
  height: number;
  width: number;
  steps: readonly ReverseStep[];
  cfgScale: number;
  seed: number;
  batch: number;
  /** Which of the slices; all by default. */
  shard?: Shard;
  /** Where slices already made are found, and those made here are put. */
  kept: RowCache;
  onStep: (done: number, total: number) => void;
}

export interface Generated {
  slices: EvalSlice[];
  /** How many were made now, not found. */
  made: number;
  /** Their files in `kept`. */
  paths: string[];
}

/**
 * A slice generated for the lung mask and class of each real one, or of a shard of them. What was
 * made before is known by all that decides it: weights, sampler, guidance, seed, place in the test
 * set, class and mask.
 */
export async function generateFor(
  gpu: Gpu,
  real: readonly PreparedSlice[],
  options: GenerateOptions,
): Promise<Generated> {
  const { model, height, width, steps, cfgScale, seed, kept } = options;
  const pixels = height * width;
  const { config, nullClass } = model;
  const weights = hashOf(model.params);
  const common = JSON.stringify({
    weights,
    config,
    nullClass,
    height,
    width,
    steps,
    cfgScale,
    seed,
  });
  const all = Array.from(real, (_, i) => i);
  const wanted = options.shard ? takeShard(all, options.shard) : all;
  // Of a model that is told where nodules are, the real slice's own are asked for.
  const isPlaced = model.preparation.condition === "nodule-mask";
  const nameOf = (i: number) => ({
    image: i,
    class: real[i].label,
    ...isPlaced ? { nodules: hashOf(real[i].noduleMask) } : {},
  });
  const paths = wanted.map((i) => kept.path(common, JSON.stringify(nameOf(i)), real[i].lungMask));
  const images: (Float32Array | null)[] = [];
  for (const path of paths) images.push(await kept.read(path, pixels));
  const missing = images.flatMap((image, k) => image ? [] : [k]);
  if (missing.length) {
    // The same in every shard: another batch may mean other kernels, and so another rounding.
    const batch = Math.min(options.batch, real.length);
    const sampler = await Sampler.create(gpu, {
      config,
      layout: model.layout,
      batch,
      height,
      width,
      guided: cfgScale !== 1,
      choose: await tunedChoice(gpu),
    });
    sampler.setParameters(model.params);
    const rounds = Math.ceil(missing.length / batch);
    for (let round = 0; round < rounds; round++) {
      const part = missing.slice(round * batch, (round + 1) * batch);
      // The last batch is filled up with its own last slice; what is too much is dropped.
      const names = Array.from({ length: batch }, (_, i) => wanted[part[i] ?? part.at(-1)!]);
      const lungMask = new Float32Array(batch * pixels);
      names.forEach((name, i) => lungMask.set(real[name].lungMask, i * pixels));
      const classMap = isPlaced ? new Float32Array(batch * pixels) : undefined;
      names.forEach((name, i) => classMap?.set(real[name].noduleMask, i * pixels));
      const result = await sampler.sample({
        lungMask,
        classes: names.map((name) => real[name].label),
        classMap,
        steps,
        cfgScale,
        nullClass,
        seed,
        images: names,
        onStep: (done) => options.onStep(round * steps.length + done, rounds * steps.length),
      });
      for (const [i, k] of part.entries()) {
        const image = result.slice(i * pixels, (i + 1) * pixels);
        await kept.write(paths[k], images[k] = image);
      }
    }
    sampler.destroy();
  }
  const slices = wanted.map((i, k): EvalSlice => {
    const { id, patient, label, lungMask } = real[i];
    return { id, patient, label, lungMask, ct: images[k]! };
  });
  return { slices, made: missing.length, paths };
}
