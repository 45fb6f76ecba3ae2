/** From a configuration to a finished run: device, trainer, resume, and one new try if it is lost. */

import type { Dataset, SliceCache } from "../data/dataset.ts";
import { DeviceLostError, InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { BalancedSampler } from "../data/sampler.ts";
import { latestCheckpoint, listCheckpoints, type TrainingState } from "./checkpoint.ts";
import type { RunConfig } from "./config.ts";
import { type RunEvents, trainRun } from "./run.ts";
import type { ProcessGroup } from "./process_group.ts";
import { Trainer } from "./trainer.ts";

export interface SessionOptions {
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly cache: SliceCache;
  readonly out: string;
  /** Go on from the newest checkpoint, if there is one. */
  readonly resume: boolean;
  readonly openGpu: () => Promise<Gpu>;
  readonly group?: ProcessGroup;
  /** A packed file of the training slices, see `TrainerOptions`. */
  readonly packed?: string;
  /** A checkpoint made with other slices begins their next epoch; else it is refused. */
  readonly acceptNewData?: boolean;
  /** See `LoadOptions`. */
  readonly ahead?: boolean;
}

export interface SessionEvents {
  readonly onPipeline?: (done: number, total: number) => void;
  /** Ready to train; called again after a lost device. */
  onReady(trainer: Trainer): Promise<void>;
  onWarning(text: string): void;
}

/** Milliseconds that a lost device may take to say so. */
const LOSS_NOTICE = 200;

/**
 * Trains. A device that is lost is opened anew once, and the run goes on from its last checkpoint.
 *
 * @returns whether the run is complete (false: it was asked to stop), and where it stands.
 * @throws DeviceLostError when the device is lost again.
 */
export async function trainSession(
  options: SessionOptions,
  events: SessionEvents,
  runEvents: RunEvents,
): Promise<{ complete: boolean; step: number }> {
  for (let lost = 0;; lost++) {
    const gpu = await options.openGpu();
    let trainer: Trainer | undefined;
    try {
      trainer = await start(gpu, options, events, options.resume || lost > 0);
      const { dataset, cache, out } = options;
      const leads = !options.group || options.group.rank === 0;
      const complete = leads
        ? await trainRun(trainer, dataset, cache, out, runEvents)
        : await followRun(trainer, runEvents);
      return { complete, step: trainer.step };
    } catch (error) {
      if (options.group) throw error; // the others wait: they must be told, not made to wait longer
      await new Promise((resolve) => setTimeout(resolve, LOSS_NOTICE));
      if (!gpu.isLost && !(error instanceof DeviceLostError)) throw error;
      const message = error instanceof Error ? error.message : String(error);
      if (lost > 0) throw new DeviceLostError(`the GPU was lost twice: ${message}`);
      events.onWarning(`the GPU was lost (${message}); going on from the last checkpoint`);
    } finally {
      trainer?.batches.close();
      gpu.destroy();
    }
  }
}

/** The part in a run of a group's members but the first: steps alone. */
async function followRun(trainer: Trainer, events: RunEvents): Promise<boolean> {
  while (trainer.step < trainer.totalSteps && !trainer.stopAgreed) {
    trainer.stopWanted = events.stopRequested();
    await trainer.runStep();
    if (trainer.mustRead) await trainer.losses();
  }
  return trainer.step >= trainer.totalSteps;
}

async function start(
  gpu: Gpu,
  { config, dataset, cache, out, group, packed, ahead, acceptNewData }: SessionOptions,
  events: SessionEvents,
  resume: boolean,
): Promise<Trainer> {
  const { onPipeline } = events;
  const options = { onPipeline, group, packed, ahead };
  const trainer = await Trainer.create(gpu, config, dataset.train, cache, options);
  // A run killed before its first checkpoint begins again; being a function of its seed, it is the
  // same run.
  if (resume && (await listCheckpoints(out)).length > 0) {
    const state = await latestCheckpoint(
      out,
      trainer.layout,
      (reason) => events.onWarning(`damaged checkpoint passed over: ${reason}`),
    );
    trainer.restore(acceptNewData ? withOwnOrder(state, trainer.sampler) : state);
    if (state.progress.kernels !== trainer.kernels) {
      events.onWarning(
        "the kernels are not those that the checkpoint was made with (another adapter, driver, " +
          "tuning, version or number of processes): the run goes on, but not to the same bytes",
      );
    }
  }
  if (group) {
    const steps = new Float32Array([trainer.step]);
    await group.sum(steps);
    if (steps[0] !== trainer.step * group.size) {
      throw new InputError(`${out}: the processes do not see the same checkpoints there`);
    }
  }
  await events.onReady(trainer);
  return trainer;
}

/** The state with the order of batches of `sampler`, where that has other slices. */
function withOwnOrder(state: TrainingState, sampler: BalancedSampler): TrainingState {
  const before = state.progress.sampler, own = sampler.state();
  const isSame = before.positives === own.positives && before.negatives === own.negatives &&
    before.weights === own.weights;
  if (isSame) return state;
  const { positives, negatives, weights } = own;
  const next = { ...before, positives, negatives, weights, epoch: before.epoch + 1, batch: 0 };
  return { ...state, progress: { ...state.progress, sampler: next } };
}
