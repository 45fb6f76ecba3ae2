/** Sample grids made while training, and what they score against the slices they imitate. */

import type { PreparedSlice, SliceCache, SliceRecord } from "../data/dataset.ts";
import { InputError } from "../errors.ts";
import { Sampler } from "../diffusion/sampler.ts";
import { type ReverseStep, reverseSteps } from "../diffusion/scheduler.ts";
import { schedulerConfig } from "../diffusion/scheduler_config.ts";
import type { Canvas } from "../io/canvas.ts";
import { mse } from "../metrics/mse.ts";
import { psnr } from "../metrics/psnr.ts";
import { ssim, SSIM_PADDING } from "../metrics/ssim.ts";
import { mean } from "../metrics/statistics.ts";
import { PhiloxStream } from "../random/philox.ts";
import { tunedChoice } from "../tune/choice_files.ts";
import { drawGrid } from "./grid.ts";
import type { Trainer } from "./trainer.ts";
import { nullClass, trainingScheduler } from "./training_step.ts";

/** Keeps the choice of slices apart from other draws with the run's seed. */
const CHOICE_STREAM = 5 * 2 ** 32;

export interface PreviewScores {
  readonly psnr: number;
  readonly ssim?: number;
  readonly mse: number;
}

export class Preview {
  private constructor(
    readonly trainer: Trainer,
    readonly sampler: Sampler,
    readonly positives: readonly PreparedSlice[],
    readonly negatives: readonly PreparedSlice[],
    readonly steps: readonly ReverseStep[],
  ) {}

  /** Chooses the slices to imitate (seeded, of both classes) and compiles the sampler. */
  static async create(
    trainer: Trainer,
    records: readonly SliceRecord[],
    cache: SliceCache,
    onPipeline?: (done: number, total: number) => void,
  ): Promise<Preview> {
    const { config, layout, gpu } = trainer;
    const random = new PhiloxStream(config.seed, CHOICE_STREAM);
    const chosen = async (label: 0 | 1) => {
      const all = records.filter((r) => r.label === label);
      const order = random.shuffle(Uint32Array.from(all, (_, i) => i));
      const slices: PreparedSlice[] = [];
      for (let i = 0; i < order.length && slices.length < config.eval_pairs; i++) {
        const slice = await cache.get(all[order[i]]);
        // A small lung may be lost at a low resolution: then there is nothing to score.
        if (slice.lungMask.includes(1)) slices.push(slice);
      }
      if (slices.length === 0) {
        throw new InputError(
          `Cannot make sample grids: no slice ${label ? "with" : "without"} a nodule has a lung ` +
            `left at ${config.resolution.join("×")}: train at a higher --resolution`,
        );
      }
      return Array.from({ length: config.eval_pairs }, (_, i) => slices[i % slices.length]);
    };
    const [positives, negatives] = [await chosen(1), await chosen(0)];
    const [height, width] = config.resolution;
    const sampler = await Sampler.create(gpu, {
      config: config.unet,
      layout,
      batch: 2 * config.eval_pairs,
      height,
      width,
      guided: config.cfg_scale !== 1,
      exact: config.exact,
      precision: config.precision,
      choose: await tunedChoice(gpu),
      share: { from: trainer.executable, state: "ema" },
      onPipeline,
    });
    const scheduler = schedulerConfig(
      { ...trainingScheduler(config), _class_name: "DDIMScheduler", variance_type: null },
      "run configuration",
    );
    const steps = reverseSteps(scheduler, config.ddpm_num_inference_steps);
    return new Preview(trainer, sampler, positives, negatives, steps);
  }

  /** Samples with the averaged weights. @param onStep called after each reverse step. */
  async make(
    caption: string,
    onStep?: (done: number) => void,
    steps: readonly ReverseStep[] = this.steps,
  ): Promise<{ grid: Canvas; scores: PreviewScores }> {
    const { config } = this.trainer;
    const [height, width] = config.resolution;
    const pixels = height * width;
    const slices = [...this.positives, ...this.negatives];
    const lungMask = new Float32Array(slices.length * pixels);
    const classMap = new Float32Array(slices.length * pixels);
    slices.forEach((s, i) => lungMask.set(s.lungMask, i * pixels));
    slices.forEach((s, i) => classMap.set(s.classMap, i * pixels));
    const generated = await this.sampler.sample({
      lungMask,
      classes: slices.map((s) => s.label),
      classMap,
      steps,
      cfgScale: config.cfg_scale,
      nullClass: nullClass(config),
      seed: config.seed,
      images: slices.map((_, i) => i),
      onStep,
    });
    const image = (i: number) => generated.subarray(i * pixels, (i + 1) * pixels);
    const n = this.positives.length;
    const isPlaced = config.condition === "nodule-mask";
    const grid = drawGrid(
      [
        { title: "real, nodule", images: this.positives.map((s) => s.ct), nodules: true },
        {
          title: isPlaced ? "generated, nodule where outlined" : "generated, nodule",
          images: this.positives.map((_, i) => image(i)),
          nodules: isPlaced,
        },
        { title: "real, no nodule", images: this.negatives.map((s) => s.ct) },
        { title: "generated, no nodule", images: this.negatives.map((_, i) => image(n + i)) },
      ].map((row, i) => ({ ...row, conditions: i < 2 ? this.positives : this.negatives })),
      height,
      width,
      caption,
    );
    // As the original: both images multiplied by the lung mask, the range 2.
    const pairs = slices.map((s, i) => {
      const masked = (x: Float32Array) => x.map((v, k) => v * s.lungMask[k]);
      return [masked(image(i)), masked(s.ct)] as const;
    });
    const large = Math.min(height, width) > SSIM_PADDING;
    return {
      grid,
      scores: {
        psnr: mean(pairs.map(([a, b]) => psnr(a, b, 2))),
        ssim: large
          ? mean(pairs.map(([a, b]) => ssim(a, b, { height, width, dataRange: 2 })))
          : undefined,
        mse: mean(pairs.map(([a, b]) => mse(a, b))),
      },
    };
  }
}
