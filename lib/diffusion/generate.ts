/** From jobs to images: batches through the sampler, results handed out one by one. */

import type { Condition, PreparedSlice } from "../data/dataset.ts";
import type { SamplingJob } from "./jobs.ts";
import type { Sampler, SampleRequest } from "./sampler.ts";

export interface GenerateOptions extends
  Pick<
    SampleRequest,
    "steps" | "cfgScale" | "guidedAt" | "rescale" | "nullClass" | "seed"
  > {
  /** `nodule-mask`: the second plane is each slice's own, not the job's class value. */
  readonly condition?: Condition;
  /** Class value at a step, the same for all images, instead of the jobs' own. */
  readonly classAt?: (step: number) => number;
  /** Shown the first batch. */
  readonly watch?: SampleRequest["watch"];
  readonly onStep: (done: number, total: number) => void;
}

/** Makes the images of all jobs, in order. @param take is given each with the slice of its mask. */
export async function generate(
  sampler: Sampler,
  jobs: readonly SamplingJob[],
  options: GenerateOptions,
  take: (job: SamplingJob, image: Float32Array, slice: PreparedSlice) => Promise<void>,
): Promise<void> {
  const { batch, height, width } = sampler.options;
  const { watch, classAt, condition, onStep, ...request } = options;
  const pixels = height * width, rounds = Math.ceil(jobs.length / batch);
  for (let round = 0; round < rounds; round++) {
    // The last batch is filled up with its own last job; what is too much is dropped.
    const part = Array.from(
      { length: batch },
      (_, i) => jobs[Math.min(round * batch + i, jobs.length - 1)],
    );
    const slices = await Promise.all(part.map((job) => job.slice()));
    const lungMask = new Float32Array(batch * pixels);
    slices.forEach((slice, i) => lungMask.set(slice.lungMask, i * pixels));
    const classMap = condition === "nodule-mask" ? new Float32Array(batch * pixels) : undefined;
    slices.forEach((slice, i) => classMap?.set(slice.classMap, i * pixels));
    const result = await sampler.sample({
      ...request,
      lungMask,
      classes: part.map((job) => job.classValue),
      classMap,
      classesAt: classAt && ((step) => part.map(() => classAt(step))),
      images: part.map((job) => job.number),
      watch: round === 0 ? watch : undefined,
      onStep: (done) => onStep(round * request.steps.length + done, rounds * request.steps.length),
    });
    const kept = Math.min(batch, jobs.length - round * batch);
    for (let i = 0; i < kept; i++) {
      await take(part[i], result.slice(i * pixels, (i + 1) * pixels), slices[i]);
    }
  }
}
