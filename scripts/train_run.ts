/** A training run as its user sees it: progress, notes, report; alone or as one of a group. */

import { join, resolve } from "node:path";
import { shownPath } from "../lib/cli/command.ts";
import { type Progress, progressBar } from "../lib/cli/main.ts";
import { type Dataset, prepareAll } from "../lib/data/dataset.ts";
import { sourceText } from "../lib/data/joined.ts";
import { isAugmenting } from "../lib/data/augment.ts";
import { asWriteError, CheckFailedError, InputError, shown } from "../lib/errors.ts";
import { lockGuard, readLock } from "../lib/audit/lock.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { lockFolder } from "../lib/io/output_folder.ts";
import { datasetHash } from "../lib/train/provenance.ts";
import { readProvenance } from "../lib/train/provenance_file.ts";
import { estimateRun, estimateText } from "../lib/train/estimate.ts";
import { REPORT_NAME, writeReport } from "../lib/train/report.ts";
import { DivergedError, RUN_CONFIG_NAME } from "../lib/train/run.ts";
import { abandonRun, clearRun } from "../lib/train/run_folder.ts";
import { trainSession } from "../lib/train/session.ts";
import { trainingStep } from "../lib/train/training_step.ts";
import { smallConfig } from "../lib/bench/small.ts";
import { firstUse } from "./first_use.ts";
import { augmentation, fittingStep, samplerOf, type Trainer } from "../lib/train/trainer.ts";
import type { ProcessGroup } from "../lib/train/process_group.ts";
import {
  openTrainingData,
  packTrainingData,
  stretchEpochs,
  type TrainRequest,
} from "./train_options.ts";

/** Pixels of a batch from which a step may be too large for a device. */
const LARGE = 2 ** 19;

/** Signals that end a run after its step, and 128 + their number. */
const STOPS: readonly (readonly [Deno.Signal, number])[] = Deno.build.os === "windows"
  ? [["SIGINT", 130]]
  : [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]];

const ROOT = new URL("../", import.meta.url);

/** A progress bar that shows nothing. */
const SILENT: Progress = { update() {}, stop() {} };

/** Says what the run would take; nothing is written. */
async function estimate(request: TrainRequest, count: number, group?: ProcessGroup): Promise<void> {
  if (group) throw new InputError("--estimate is of one process: leave out mpirun");
  const { config } = request;
  const { dataset, cache } = await openTrainingData(request);
  for (const note of dataset.notes) console.log(shown(`data: ${note}`));
  const stretched = stretchEpochs(request, samplerOf(dataset.train, config).batchesPerEpoch);
  if (stretched) console.log(shown(`data: ${stretched}`));
  const gpu = await openGpu(request.locked ? lockGuard(await readLock(ROOT)) : undefined);
  let bar: Progress | undefined;
  const isPacked = request.data !== undefined || isAugmenting(augmentation(config));
  const estimate = await estimateRun(gpu, config, dataset, cache, count, {
    isPacked,
    onStep(done, total) {
      bar ??= progressBar("steps   ", total);
      bar.update(done);
    },
  });
  bar?.stop();
  console.log(estimateText(estimate));
  gpu.destroy();
}

/** Trains as asked; of a group only the first speaks and writes. */
export async function runTraining(request: TrainRequest, group?: ProcessGroup): Promise<void> {
  if (group && group.rank > 0) return await train(request, group);
  if (request.estimate !== undefined) return await estimate(request, request.estimate, group);
  const { out } = request;
  const isNew = await Deno.stat(out).then(() => false, () => true);
  using _lock = lockFolder(out);
  try {
    await train(request, group);
  } catch (error) {
    if (isNew) await abandonRun(out);
    throw error;
  }
}

async function train(request: TrainRequest, group: ProcessGroup | undefined): Promise<void> {
  const leads = !group || group.rank === 0;
  const say = (text: string) => leads && console.log(text);
  const showProgress: typeof progressBar = (...args) => leads ? progressBar(...args) : SILENT;
  const { config, out, data, resume } = request;
  const accept = request.locked ? lockGuard(await readLock(ROOT)) : undefined;
  await requireFits(config, group?.size);
  let cropping: Progress | undefined;
  const { dataset, cache } = await openTrainingData(request, (done, total) => {
    cropping ??= showProgress("patches ", total);
    cropping.update(done);
  });
  cropping?.stop();
  for (const note of dataset.notes) say(shown(`data: ${note}`));
  if (resume) await requireSameData(request, dataset, say);
  const loading = showProgress("slices  ", dataset.train.length + dataset.val.length);
  await prepareAll(dataset.val, cache, (done) => loading.update(done));
  const inTrain = (done: number) => loading.update(dataset.val.length + done);
  if (group && isAugmenting(augmentation(config))) {
    throw new InputError("augmentation is not supported where several processes share the batch");
  }
  // Members of a group share a folder: they read slices themselves.
  const packed = group ? undefined : await packTrainingData(request, dataset, inTrain);
  if (!packed) await prepareAll(dataset.train, cache, inTrain);
  loading.stop();
  const positives = dataset.train.filter((r) => r.label === 1).length;
  say(
    `data: ${dataset.train.length} training slices, ${positives} with a nodule; ` +
      `${dataset.val.length} for validation`,
  );

  const classes = new Set(dataset.val.map(({ label }) => label));
  if (classes.size < 2) {
    say(
      "data: PSNR, SSIM, MSE and the best checkpoint are measured on training slices: " + (
        classes.size ? "the validation split lacks one of the classes" : "no validation split"
      ),
    );
  }

  const { batchesPerEpoch } = samplerOf(dataset.train, config);
  const stretched = stretchEpochs(request, batchesPerEpoch);
  if (stretched) say(shown(`data: ${stretched}`));

  // The exit code that a shell expects of a process stopped by the signal.
  let stop: number | undefined;
  const listeners = STOPS.map(([signal, code]) => {
    const listener = () => {
      if (stop !== undefined) Deno.exit(stop);
      stop = code;
      console.error("\nfinishing the step and saving; press Ctrl-C again to leave at once");
    };
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });

  const open = async () => {
    const gpu = await openGpu(accept);
    // Members of a group must run the same kernels, and a run that goes on those that it began with.
    if (request.tune && !group && !resume) {
      const graphOf = (c: typeof config) => trainingStep(c, gpu.profile).graph;
      const steps = () => [{ graph: graphOf(config), small: graphOf(smallConfig(config)) }];
      await firstUse(gpu, steps, () => stop !== undefined);
    }
    return gpu;
  };
  let overwrite = request.overwrite;
  let compiling: Progress | undefined;
  let bar: Progress | undefined;
  let started = performance.now();
  let running: Trainer | undefined;
  const notes: string[] = [];
  let rate = 0, begun = 0;
  try {
    const { complete, step } = await trainSession(
      {
        ...{ config, dataset, cache, out, resume, openGpu: open, group, packed, ahead: !group },
        acceptNewData: request.acceptNewData,
      },
      {
        onPipeline(done, total) {
          compiling ??= showProgress("kernels ", 1);
          compiling.update(done / total);
        },
        async onReady(trainer) {
          compiling?.stop();
          compiling = undefined;
          const mebibytes = (trainer.executable.bytes / 2 ** 20).toFixed(1);
          const seconds = ((performance.now() - started) / 1000).toFixed(1);
          say(
            `adapter: ${trainer.gpu.name}\nmodel: ${trainer.layout.count} parameters, ` +
              `${config.resolution.join("×")}, ` +
              `batch ${config.train_batch_size}×${config.gradient_accumulation_steps}, ` +
              `${config.precision}; ` +
              `peak GPU memory of a training step ${mebibytes} MiB; ready in ${seconds} s`,
          );
          if (group) say(`processes: ${group.size}`);
          running = trainer;
          begun = trainer.step;
          if (trainer.step > 0 && trainer.step < trainer.totalSteps) {
            say(`going on from step ${trainer.step}`);
          } else if (trainer.step > 0) requireNoLess(trainer, out, say);
          else if (leads && overwrite) {
            const left = await clearRun(out, packed !== undefined);
            if (left.length) say(`not of the run, and left in ${out}: ${left.join(", ")}`);
          }
          overwrite = false;
          if (leads) await writeConfig(request);
          bar?.stop();
          const shown = "loss {loss} {speed} steps/s {what}";
          bar = showProgress("training", trainer.totalSteps, shown, trainer.step);
        },
        onWarning(text) {
          console.warn(`warning: ${text}`);
          started = performance.now();
        },
      },
      {
        onStep(step, loss, speed, skipped) {
          rate = speed;
          const what = skipped ? `${skipped} skipped` : "";
          bar!.update(step, { loss: loss?.toFixed(4) ?? "…", speed: speed.toFixed(2), what });
        },
        onNote: (text) => notes.push(text),
        onSampling: (done, total) =>
          bar!.update(running!.step, { what: `sampling ${done}/${total}` }),
        stopRequested: () => stop !== undefined,
        onEpoch: async ({ rows }) => {
          await writeReport({ out, trainer: running!, dataset, data: dataText(data) }, rows);
        },
      },
    );
    bar?.stop();
    for (const note of notes) say(note);
    if (complete && step === begun) {
      say(`nothing was trained: ${out}; see ${join(out, REPORT_NAME)}`);
    } else if (complete) {
      say(`done at ${rate.toFixed(2)} steps/s: ${out}; see ${join(out, REPORT_NAME)}`);
      say(nextSteps(out, config));
    } else {
      say(`stopped at step ${step}; go on with: ./run train --resume --out ${out}`);
      Deno.exitCode = stop ?? 0; // so that what a script does next is not done
    }
  } catch (error) {
    bar?.stop();
    for (const note of notes) say(note);
    if (error instanceof DivergedError) throw new CheckFailedError(error.message);
    throw error;
  }
  for (const remove of listeners) remove();
}

/** What a model is for, as commands. */
function nextSteps(out: string, { condition }: TrainRequest["config"]): string {
  const quoted = shownPath(out);
  const asked = condition === "nodule-mask" ? " --nodules random:1" : "";
  return [
    "next:",
    `  ./run sample --run ${quoted}${asked}    slices, as PNG and HU`,
    `  ./run evaluate --run ${quoted}    scores against held-out slices`,
    `  ./run share ${quoted} --out DIR    the model alone, for others`,
  ].join("\n");
}

/**
 * Large steps are laid out once before the slices are read, which may take minutes.
 *
 * @throws InputError where the device cannot hold them.
 */
async function requireFits(config: TrainRequest["config"], teamSize?: number): Promise<void> {
  const [height, width] = config.resolution;
  if (height * width * config.train_batch_size < LARGE) return;
  const gpu = await openGpu();
  try {
    fittingStep(config, gpu, teamSize);
  } finally {
    gpu.destroy();
  }
}

/** Of a run with no step left to do. @throws InputError where fewer are asked for than it has. */
function requireNoLess({ step, totalSteps }: Trainer, out: string, say: (text: string) => void) {
  if (totalSteps < step) {
    throw new InputError(
      `${out} is at step ${step}, and ${totalSteps} are asked for: give more by --steps or --epochs`,
    );
  }
  say(`the run is complete: it has its ${step} steps; --steps or --epochs give it more`);
}

/**
 * A run goes on with the slices that it began with, or with others where the user says so.
 *
 * @throws InputError where they are others and the user has not said so.
 */
async function requireSameData(
  { out, data, acceptNewData }: TrainRequest,
  dataset: Dataset,
  say: (text: string) => void,
): Promise<void> {
  const known = (await readProvenance(out))?.data;
  if (known === undefined || known === datasetHash(dataset)) return;
  if (!acceptNewData) {
    throw new InputError(
      `--resume: the slices of ${
        dataText(data) ?? "the phantom"
      } are not those that the run began with ` +
        "(names, splits or labels differ): give the data it began with, or --accept-new-data",
    );
  }
  say("data: other slices than the run began with (--accept-new-data; noted in provenance.json)");
}

const dataText = (data: TrainRequest["data"]) => data?.map(sourceText).join(", ");

async function writeConfig({ config, data, out }: TrainRequest): Promise<void> {
  const path = join(out, RUN_CONFIG_NAME);
  // Absolute: the run may be resumed and evaluated from anywhere.
  const places = data?.map(({ folder, weight }) => sourceText({ folder: resolve(folder), weight }));
  const saved = places?.length === 1 ? places[0] : places ?? null;
  const json = JSON.stringify({ data: saved, ...config }, null, 2) + "\n";
  await writeFileAtomic(path, json).catch((error) => {
    throw asWriteError(error, `Cannot write ${path}`);
  });
}
