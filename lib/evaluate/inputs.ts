/** What is scored: a fixed choice of real slices, and slices generated for their conditions. */

import type { Dataset, PreparedSlice, SliceRecord } from "../data/dataset.ts";
import type { SamplingModel } from "../diffusion/model_folder.ts";
import { Sampler } from "../diffusion/sampler.ts";
import type { ReverseStep } from "../diffusion/scheduler.ts";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { PhiloxStream } from "../random/philox.ts";
import type { EvalSlice } from "./evaluation.ts";

/** Keeps the choice of test slices apart from other draws with the same seed. */
const CHOICE_STREAM = 8 * 2 ** 32;

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

/** Pairs slices by id. @returns null where a generated slice has no real one of its name. */
export function pairById(
  generated: readonly EvalSlice[],
  real: readonly EvalSlice[],
): EvalSlice[] | null {
  const byId = new Map(real.map((slice) => [slice.id, slice]));
  const found = generated.map(({ id }) => byId.get(id));
  return found.every((slice) => slice !== undefined) ? found : null;
}

export interface GenerateOptions {
  model: SamplingModel;
  height: number;
  width: number;
  steps: readonly ReverseStep[];
  cfgScale: number;
  seed: number;
  batch: number;
  onStep: (done: number, total: number) => void;
}

/** A slice generated for the lung mask and class of each real one. */
export async function generateFor(
  gpu: Gpu,
  real: readonly PreparedSlice[],
  options: GenerateOptions,
): Promise<EvalSlice[]> {
  const { model, height, width, steps, cfgScale, seed } = options;
  const batch = Math.min(options.batch, real.length), pixels = height * width;
  const sampler = await Sampler.create(gpu, {
    config: model.config,
    layout: model.layout,
    batch,
    height,
    width,
    guided: cfgScale !== 1,
  });
  sampler.setParameters(model.params);
  const rounds = Math.ceil(real.length / batch);
  const generated: EvalSlice[] = [];
  for (let round = 0; round < rounds; round++) {
    // The last batch is filled up with its own last slice; what is too much is dropped.
    const names = Array.from(
      { length: batch },
      (_, i) => Math.min(round * batch + i, real.length - 1),
    );
    const lungMask = new Float32Array(batch * pixels);
    names.forEach((name, i) => lungMask.set(real[name].lungMask, i * pixels));
    const images = await sampler.sample({
      lungMask,
      classes: names.map((name) => real[name].label),
      steps,
      cfgScale,
      nullClass: model.nullClass,
      seed,
      images: names,
      onStep: (done) => options.onStep(round * steps.length + done, rounds * steps.length),
    });
    for (const [i, name] of names.entries()) {
      if (round * batch + i !== name) continue;
      const { id, patient, label, lungMask: mask } = real[name];
      const ct = images.slice(i * pixels, (i + 1) * pixels);
      generated.push({ id, patient, label, lungMask: mask, ct });
    }
  }
  sampler.destroy();
  return generated;
}
