/** A training run in a folder: epochs, checkpoints, metrics, pictures. */

import { asWriteError } from "../errors.ts";
import { join } from "node:path";
import type { Dataset, SliceCache } from "../data/dataset.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { mean } from "../metrics/statistics.ts";
import {
  latestCheckpoint,
  listCheckpoints,
  removeLeftovers,
  saveCheckpoint,
} from "./checkpoint.ts";
import { describeBadTensor, DivergedError, DivergenceWatch, firstBadTensor } from "./divergence.ts";
import { Garbage } from "./garbage.ts";
import { describeData, modelCard } from "./model_card.ts";
import { MetricsFile, type ScoredOn } from "./metrics_file.ts";
import { Preview } from "./preview.ts";
import { type Provenance, provenanceHash, writeProvenance } from "./provenance_file.ts";
import { isBetter, prune, readBest, writeBest } from "./retention.ts";
import type { LossRecord, Trainer } from "./trainer.ts";
import { trainingScheduler } from "./training_step.ts";

export { DivergedError };
export const RUN_CONFIG_NAME = "config.json";
/** Optimizer steps between rows of metrics.csv. */
const ROW_STEPS = 10;
/** Milliseconds between looks at the losses. */
const LOOK = 500;
const STATES = ["params", "ema", "m", "v"] as const;

export interface RunEvents {
  /** Progress within the run; `loss` is the mean of the last steps known; `skipped` with f16. */
  onStep(step: number, loss: number | undefined, stepsPerSecond: number, skipped?: number): void;
  /** Something worth a line of its own. */
  onNote(text: string): void;
  /** A sample grid is being made. */
  onSampling(done: number, total: number): void;
  /** Whether the user asked to stop after the step at hand. */
  stopRequested(): boolean;
  /** An epoch's files are written; `metrics` are all rows so far. */
  onEpoch?(metrics: MetricsFile): Promise<void>;
}

/**
 * Trains from where the trainer stands to its last step.
 *
 * @returns true when the run is complete, false when it was asked to stop.
 * @throws DivergedError at a loss that is NaN, infinite or grows without bound, with the step, the
 * first bad tensor and what to go back to; InputError where a file cannot be written.
 */
export async function trainRun(
  trainer: Trainer,
  dataset: Dataset,
  cache: SliceCache,
  out: string,
  events: RunEvents,
): Promise<boolean> {
  try {
    const run = await Run.open(trainer, dataset, cache, out, events);
    return await run.train();
  } catch (error) {
    if (error instanceof DivergedError) throw await explain(error, trainer, out, events);
    const [newest] = await listCheckpoints(out);
    throw asWriteError(
      error,
      `Cannot go on at step ${trainer.step}, writing a file in ${out}`,
      newest ? `${newest} is intact` : "",
    );
  }
}

/** Adds to the message where it began, and what there is to go back to. */
async function explain(
  error: DivergedError,
  trainer: Trainer,
  out: string,
  events: RunEvents,
): Promise<DivergedError> {
  events.onNote(`${error.message}; looking for where it began`);
  const [newest] = await listCheckpoints(out);
  const state = newest ? await latestCheckpoint(out, trainer.layout, () => {}) : null;
  const bad = trainer.group ? undefined : await firstBadTensor(trainer, state, error.step);
  const parts = [
    error.message,
    bad ? describeBadTensor(bad) : "no single tensor is to blame",
    state ? `the checkpoint of step ${state.progress.step} is good` : "no checkpoint was made yet",
    "lower --learning-rate or set --max-grad-norm 1",
  ];
  return new DivergedError(parts.join("; "), error.step);
}

/**
 * Gives the memory back here and now. V8 would do it at a time of its own, and what is allocated in
 * between would keep the C library's heap from shrinking: the process would grow with each checkpoint.
 */
function release(state: Awaited<ReturnType<Trainer["state"]>>): void {
  for (const name of STATES) state[name].buffer.transfer(0);
}

/** What changes from step to step of a run. */
class Run {
  readonly #watch = new DivergenceWatch();
  readonly #start = performance.now();
  /** Milliseconds spent on checkpoints and pictures, which no speed counts. */
  #aside = 0;
  /** From where speed is measured. */
  #mark: { time: number; microStep: number };
  /** Images a second when last measured. */
  #speed: number | undefined;
  #row: LossRecord[] = [];
  readonly #recent: number[] = [];
  readonly #garbage = new Garbage();
  /** With f16: optimizer steps skipped, as far as is known. */
  #skipped: number | undefined;
  #saved: number;

  private constructor(
    readonly trainer: Trainer,
    readonly out: string,
    readonly events: RunEvents,
    readonly metrics: MetricsFile,
    readonly preview: Preview,
    readonly scoredOn: ScoredOn,
    /** What the model card says of the data. */
    readonly data: string,
    readonly provenance: Provenance,
    private best: Awaited<ReturnType<typeof readBest>>,
  ) {
    this.#saved = trainer.step > 0 ? trainer.step : -1;
    this.#mark = { time: performance.now(), microStep: trainer.microStep };
  }

  static async open(
    trainer: Trainer,
    dataset: Dataset,
    cache: SliceCache,
    out: string,
    events: RunEvents,
  ): Promise<Run> {
    await removeLeftovers(out);
    const provenance = await writeProvenance(out, trainer, dataset);
    const metrics = await MetricsFile.open(out, trainer.step);
    const withBoth = (records: Dataset["val"]) =>
      records.some((r) => r.label === 1) && records.some((r) => r.label === 0);
    const scoredOn = withBoth(dataset.val) ? "val" : "train";
    const preview = await Preview.create(trainer, dataset[scoredOn], cache);
    const best = await readBest(out);
    // A best one from after this point will be found again.
    const known = best && best.step <= trainer.step ? best : undefined;
    return new Run(
      trainer,
      out,
      events,
      metrics,
      preview,
      scoredOn,
      describeData(dataset),
      provenance,
      known,
    );
  }

  async train(): Promise<boolean> {
    const { trainer, events } = this;
    const { config, totalSteps: total } = trainer;
    const firstStep = trainer.step;
    // A run killed between a checkpoint and the picture that belongs to it.
    if (this.#epochEnded && !this.metrics.rows.some((r) => r.step === trainer.step && r.psnr)) {
      await this.#endEpoch();
    }
    let looked = performance.now();
    const stops = () => trainer.group ? trainer.stopAgreed : events.stopRequested();
    while (trainer.step < total && !stops()) {
      trainer.stopWanted = events.stopRequested();
      await trainer.runStep();
      // What a checkpoint takes of memory, now: a run that gets here gets to its end. Not before: what
      // compiling has left could not be given back then.
      if (trainer.step === firstStep + 1) {
        release(await trainer.state());
        this.#garbage.collect();
      }
      if (trainer.mustRead || performance.now() - looked > LOOK) {
        await this.#take(await trainer.losses());
        looked = performance.now();
      }
      this.#garbage.collectNowAndThen();
      const spent = performance.now() - this.#start - this.#aside;
      const speed = (trainer.step - firstStep) / (spent / 1000);
      events.onStep(trainer.step, this.#loss, speed, this.#skipped);

      const begun = performance.now();
      if (trainer.step % (config.checkpointing_steps ?? Infinity) === 0) await this.#save();
      if (this.#epochEnded || trainer.step >= total) await this.#endEpoch();
      const aside = performance.now() - begun;
      this.#aside += aside;
      this.#mark.time += aside;
    }
    await this.#take(await trainer.flushLosses());
    await this.#save();
    if (this.#skipped) events.onNote(`${this.#skipped} optimizer steps skipped for an overflow`);
    return trainer.step >= total;
  }

  #epochOf(microSteps: number): number {
    return Math.floor(microSteps / this.trainer.batchesPerEpoch);
  }

  /** Whether the last optimizer step was the last of an epoch. */
  get #epochEnded(): boolean {
    const { microStep, config } = this.trainer;
    const before = microStep - config.gradient_accumulation_steps;
    return before >= 0 && this.#epochOf(microStep) !== this.#epochOf(before);
  }

  /** Mean of the last losses; just after a restart, what metrics.csv says. */
  get #loss(): number | undefined {
    if (this.#recent.length) return mean(this.#recent);
    return this.metrics.rows.findLast((row) => row.loss !== undefined)?.loss;
  }

  /** Notes losses as they come from the device, those of many steps at a time. */
  async #take(losses: readonly LossRecord[]): Promise<void> {
    if (losses.length === 0) return;
    const { config, microStep: done } = this.trainer;
    const now = performance.now();
    if (done > this.#mark.microStep) {
      const images = (done - this.#mark.microStep) * config.train_batch_size;
      this.#speed = images / ((now - this.#mark.time) / 1000);
      this.#mark = { time: now, microStep: done };
    }
    const accumulation = config.gradient_accumulation_steps;
    for (const record of losses) {
      const { microStep, loss, lossScale, skippedSteps } = record;
      const step = Math.floor(microStep / accumulation) + 1;
      this.#skipped = skippedSteps;
      this.#watch.checkScale(lossScale, step);
      this.#watch.check(loss, step);
      this.#row.push(record);
      this.#recent.push(loss);
      if (this.#recent.length > 20 * accumulation) this.#recent.shift();
      if ((microStep + 1) % (ROW_STEPS * accumulation)) continue;
      const norms = this.#row.flatMap((r) => r.gradientNorm ?? []).filter(Number.isFinite);
      await this.metrics.append({
        step,
        epoch: this.#epochOf(microStep + 1),
        loss: mean(this.#row.map((r) => r.loss)),
        learning_rate: this.trainer.rateAt(step - 1),
        gradient_norm: norms.length ? mean(norms) : undefined,
        images_per_second: this.#speed,
        loss_scale: lossScale,
        skipped_steps: skippedSteps,
        seconds: (now - this.#start) / 1000,
      });
      this.#row = [];
    }
  }

  async #save(): Promise<void> {
    if (this.#saved === this.trainer.step) return;
    await this.#writeCheckpoint();
    this.#garbage.collect();
  }

  async #writeCheckpoint(): Promise<void> {
    const { trainer, out } = this;
    const { config, layout, step } = trainer;
    await this.#take(await trainer.flushLosses());
    const state = await trainer.state();
    for (const name of STATES) {
      if (state[name].every(Number.isFinite)) continue;
      throw new DivergedError(`${name} holds NaN or infinite values after step ${step}`, step);
    }
    const facts = { step, parameters: layout.count, data: this.data };
    const card = (sha256: Record<string, string>) => modelCard(config, { ...facts, sha256 });
    await saveCheckpoint(
      out,
      config.unet,
      layout,
      trainingScheduler(config),
      state,
      card,
      this.provenance,
    );
    release(state);
    this.#saved = step;
    await prune(out, config.keep, this.best);
  }

  /** Checkpoint, sample grid and scores, as far as this epoch is due to have them. */
  async #endEpoch(): Promise<void> {
    const { trainer, out, events, preview } = this;
    const { config, step } = trainer;
    const ends = step >= trainer.totalSteps;
    const epoch = this.#epochOf(trainer.microStep);
    await this.#take(await trainer.flushLosses());
    if (ends || epoch % config.save_model_epochs === 0) await this.#save();
    if (ends || epoch % config.save_images_epochs === 0) {
      const loss = this.#loss;
      const shown = loss?.toFixed(4) ?? "not known";
      const caption = `epoch ${epoch}, step ${step}, loss ${shown}`;
      const { grid, scores } = await preview.make(
        caption,
        (done) => events.onSampling(done, preview.steps.length),
      );
      const picture = join(out, "samples", `epoch-${String(epoch).padStart(4, "0")}.png`);
      const source = await provenanceHash(this.out);
      await writeFileAtomic(picture, grid.toPng(source ? { Provenance: source } : undefined));
      const row = {
        step,
        epoch,
        loss,
        learning_rate: trainer.rateAt(step - 1),
        seconds: (performance.now() - this.#start) / 1000,
        ...scores,
        scored_on: this.scoredOn,
      };
      const value = row[config.best_metric];
      if (value !== undefined && isBetter(config.best_metric, value, this.best)) {
        await this.#save();
        this.best = { step, metric: config.best_metric, value };
        await writeBest(out, this.best);
        await prune(out, config.keep, this.best);
      }
      await this.metrics.append(row);
      events.onNote(
        `epoch ${epoch}: loss ${shown}, PSNR ${scores.psnr.toFixed(2)} dB` +
          `${this.scoredOn === "train" ? " on training slices" : ""}, ${picture}`,
      );
    }
    await events.onEpoch?.(this.metrics);
    this.#mark = { time: performance.now(), microStep: trainer.microStep };
  }
}
