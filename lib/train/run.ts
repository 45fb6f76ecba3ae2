/** A training run in a folder: epochs, checkpoints, metrics, pictures. */

import { join } from "node:path";
import type { Dataset, SliceCache } from "../data/dataset.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { mean } from "../metrics/statistics.ts";
import { removeLeftovers, saveCheckpoint } from "./checkpoint.ts";
import { MetricsFile } from "./metrics_file.ts";
import { Preview } from "./preview.ts";
import { type LossRecord, type Trainer, trainingScheduler } from "./trainer.ts";

export const RUN_CONFIG_NAME = "config.json";
/** Optimizer steps between rows of metrics.csv. */
const ROW_STEPS = 10;
/** Milliseconds between looks at the losses. */
const LOOK = 500;

export interface RunEvents {
  /** Progress within the run; `loss` is the mean of the last steps known. */
  onStep(step: number, loss: number | undefined, stepsPerSecond: number): void;
  /** Something worth a line of its own. */
  onNote(text: string): void;
  /** A sample grid is being made. */
  onSampling(done: number, total: number): void;
  /** Whether the user asked to stop after the step at hand. */
  stopRequested(): boolean;
}

/** The loss is no number any more. */
export class DivergedError extends Error {
  override name = "DivergedError";
}

/**
 * Trains from where the trainer stands to its last step.
 *
 * @returns true when the run is complete, false when it was asked to stop.
 * @throws DivergedError at a loss that is NaN or infinite, with the step and what to go back to.
 */
export async function trainRun(
  trainer: Trainer,
  dataset: Dataset,
  cache: SliceCache,
  out: string,
  events: RunEvents,
): Promise<boolean> {
  const { config } = trainer;
  const accumulation = config.gradient_accumulation_steps;
  const total = trainer.totalSteps;
  await removeLeftovers(out);
  const metrics = await MetricsFile.open(out, trainer.step);
  const withBoth = (records: Dataset["val"]) =>
    records.some((r) => r.label === 1) && records.some((r) => r.label === 0);
  const shown = withBoth(dataset.val) ? dataset.val : dataset.train;
  const preview = await Preview.create(trainer, shown, cache);

  const start = performance.now();
  const firstStep = trainer.step;
  let saved = -1;
  let row: number[] = [];
  let rowStart = performance.now();
  const recent: number[] = [];

  const take = async (losses: readonly LossRecord[]) => {
    for (const { microStep, loss } of losses) {
      const step = Math.floor(microStep / accumulation) + 1;
      if (!Number.isFinite(loss)) {
        throw new DivergedError(
          `the loss is ${loss} at step ${step}: lower --learning-rate; ` +
            (saved >= 0 ? `the checkpoint of step ${saved} is good` : `no checkpoint was made yet`),
        );
      }
      row.push(loss);
      recent.push(loss);
      if (recent.length > 20 * accumulation) recent.shift();
      if (row.length === ROW_STEPS * accumulation) {
        const seconds = (performance.now() - rowStart) / 1000;
        await metrics.append({
          step,
          epoch: epochOf(microStep + 1),
          loss: mean(row),
          learning_rate: config.learning_rate,
          images_per_second: row.length * config.train_batch_size / seconds,
          seconds: (performance.now() - start) / 1000,
        });
        row = [];
        rowStart = performance.now();
      }
    }
  };
  const epochOf = (microSteps: number) => Math.floor(microSteps / trainer.batchesPerEpoch);
  const save = async () => {
    if (saved === trainer.step) return;
    const scheduler = trainingScheduler(config);
    await saveCheckpoint(out, config.unet, trainer.layout, scheduler, await trainer.state());
    saved = trainer.step;
  };

  let looked = performance.now();
  while (trainer.step < total && !events.stopRequested()) {
    const epochBefore = epochOf(trainer.microStep);
    await trainer.runStep();
    if (trainer.mustRead || performance.now() - looked > LOOK) {
      await take(await trainer.losses());
      looked = performance.now();
    }
    const speed = (trainer.step - firstStep) / ((performance.now() - start) / 1000);
    events.onStep(trainer.step, recent.length ? mean(recent) : undefined, speed);

    const epoch = epochOf(trainer.microStep);
    const ends = trainer.step >= total;
    if (epoch === epochBefore && !ends) continue;
    await take(await trainer.flushLosses());
    if (ends || epoch % config.save_model_epochs === 0) await save();
    if (ends || epoch % config.save_images_epochs === 0) {
      const name = `epoch-${String(epoch).padStart(4, "0")}`;
      const caption = `epoch ${epoch}, step ${trainer.step}, loss ${mean(recent).toFixed(4)}`;
      const { grid, scores } = await preview.make(
        caption,
        (done) => events.onSampling(done, preview.steps.length),
      );
      await writeFileAtomic(join(out, "samples", `${name}.png`), grid.toPng());
      await metrics.append({
        step: trainer.step,
        epoch,
        loss: mean(recent),
        learning_rate: config.learning_rate,
        seconds: (performance.now() - start) / 1000,
        ...scores,
      });
      events.onNote(
        `epoch ${epoch}: loss ${mean(recent).toFixed(4)}, PSNR ` +
          `${scores.psnr.toFixed(2)} dB, ${join(out, "samples", `${name}.png`)}`,
      );
    }
    rowStart = performance.now();
  }
  await take(await trainer.flushLosses());
  await save();
  return trainer.step >= total;
}
