/** Brings a step's inputs and states onto the GPU as a real run has them. */

import { openPhantomDataset, prepareSlice, SliceCache } from "../data/dataset.ts";
import { Sampler } from "../diffusion/sampler.ts";
import { reverseSteps } from "../diffusion/scheduler.ts";
import { schedulerConfig } from "../diffusion/scheduler_config.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Executable } from "../gpu/runtime.ts";
import { PhiloxStream } from "../random/philox.ts";
import type { RunConfig } from "../train/config.ts";
import { Trainer } from "../train/trainer.ts";
import { trainingScheduler } from "../train/training_step.ts";
import { tunedChoice } from "../tune/choice_files.ts";
import { SAMPLE_BATCH, samplerOptions, type StepKind } from "./steps.ts";

export interface LiveStep {
  /** Has run once for real; its inputs are still in their buffers. */
  readonly executable: Executable;
  destroy(): void;
}

/** Trains one optimizer step on the phantom, or makes two reverse steps with fresh weights. */
export async function liveStep(gpu: Gpu, kind: StepKind, config: RunConfig): Promise<LiveStep> {
  const [height, width] = config.resolution;
  const size = { height, width };
  const batch = config.train_batch_size;
  const { train } = openPhantomDataset({
    seed: config.seed,
    count: Math.max(2 * batch, SAMPLE_BATCH),
    size: 2 * Math.max(height, width),
  });
  const window = { level: config.window_level, width: config.window_width };
  if (kind === "train") {
    const cache = new SliceCache(size, window, config);
    const trainer = await Trainer.create(gpu, config, train, cache);
    await trainer.runStep();
    await gpu.idle();
    return { executable: trainer.executable, destroy: () => trainer.executable.destroy() };
  }
  const options = { ...samplerOptions(config), choose: await tunedChoice(gpu) };
  const sampler = await Sampler.create(gpu, options);
  sampler.setParameters(options.layout.initialise(new PhiloxStream(config.seed, 4 * 2 ** 32)));
  const lungMask = new Float32Array(SAMPLE_BATCH * height * width);
  for (let i = 0; i < SAMPLE_BATCH; i++) {
    lungMask.set((await prepareSlice(train[i], size, window)).lungMask, i * height * width);
  }
  const scheduler = schedulerConfig(trainingScheduler(config), `preset`);
  await sampler.sample({
    lungMask,
    classes: Array.from({ length: SAMPLE_BATCH }, (_, i) => i % 2),
    steps: reverseSteps(scheduler, 50).slice(0, 2),
    cfgScale: config.cfg_scale,
    seed: config.seed,
    images: Array.from({ length: SAMPLE_BATCH }, (_, i) => i),
  });
  return { executable: sampler.executable, destroy: () => sampler.destroy() };
}
