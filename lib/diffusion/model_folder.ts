/** Finds a model to sample from: in a training run, or in a diffusers folder. */

import { join } from "node:path";
import { type HuWindow, LUNG_WINDOW } from "../data/window.ts";
import { InputError } from "../errors.ts";
import { loadPretrained, type PretrainedModel, readJsonObject } from "../nn/pretrained.ts";
import { type SchedulerConfig, schedulerConfig } from "./scheduler.ts";
import { readSchedulerFile } from "./scheduler_file.ts";

const ORIGINAL: SlicePreparation = { window: LUNG_WINDOW, antialias: false };

/** How slices become the network's planes. */
export interface SlicePreparation {
  readonly window: HuWindow;
  /** Look at every CT pixel when shrinking. */
  readonly antialias: boolean;
}

export interface SamplingModel extends PretrainedModel {
  /** Where the weights came from. */
  readonly folder: string;
  /** What it was trained for: noise schedule and prediction type. */
  readonly scheduler: Record<string, unknown>;
  /** Whether the folder said so, or diffusers' defaults stand in. */
  readonly schedulerKnown: boolean;
  /** The class map's value that means "no class": the original's 0, or what dropout trained. */
  readonly nullClass: number;
  /** What a run's configuration says, or the original's. */
  readonly preparation: SlicePreparation;
  /** Height and width it was trained at. */
  readonly resolution: readonly [number, number];
}

/** Which checkpoint of a run: the newest, the best by its own metric, or that of a step. */
export type WhichCheckpoint = "newest" | "best" | number;

/** Of a command line. @throws InputError. */
export function parseCheckpoint(text: string): WhichCheckpoint {
  if (text === "newest" || text === "best") return text;
  if (/^\d{1,8}$/.test(text)) return Number(text);
  throw new InputError(`--checkpoint ${text}: newest, best or a step needed`);
}

/** A checkpoint of a run, its averaged weights (or the plain ones). @throws InputError. */
export async function loadRunModel(
  run: string,
  ema: boolean,
  which: WhichCheckpoint = "newest",
): Promise<SamplingModel> {
  const root = join(run, "checkpoints");
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(root)) if (/^step-\d+$/.test(name)) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const newest = names.sort().at(-1);
  if (!newest) throw new InputError(`${run}: no training run: ${root} holds no checkpoint`);
  const step = which === "best" ? (await readJsonObject(join(root, "best.json"))).step : which;
  const name = which === "newest" ? newest : names.find((n) => Number(n.slice(5)) === step);
  if (!name) {
    throw new InputError(
      `${run}: no checkpoint of step ${step}; there are ${
        names.map((n) => Number(n.slice(5))).join(", ")
      }`,
    );
  }
  const folder = join(root, name, ema ? "unet_ema" : "unet");
  const scheduler = join(root, name, "scheduler", "scheduler_config.json");
  const model = await describe(folder, await readSchedulerFile(scheduler));
  return { ...model, preparation: await readPreparation(join(run, "config.json")) };
}

async function readPreparation(path: string): Promise<SlicePreparation> {
  if (!await Deno.stat(path).then(() => true, () => false)) return ORIGINAL;
  const { window_level: level, window_width: width, antialias } = await readJsonObject(path);
  const isWindow = typeof level === "number" && typeof width === "number" && width > 0;
  return { window: isWindow ? { level, width } : LUNG_WINDOW, antialias: antialias === true };
}

/** A diffusers folder: the UNet itself, or a pipeline with `unet/` and `scheduler/`. */
export async function loadModelFolder(folder: string): Promise<SamplingModel> {
  const exists = (path: string) => Deno.stat(path).then(() => true, () => false);
  const unet = await exists(join(folder, "unet", "config.json")) ? join(folder, "unet") : folder;
  const path = join(folder, "scheduler", "scheduler_config.json");
  if (await exists(path)) return await describe(unet, await readSchedulerFile(path));
  return { ...await describe(unet, { _class_name: "DDPMScheduler" }), schedulerKnown: false };
}

async function describe(
  folder: string,
  scheduler: Record<string, unknown>,
): Promise<SamplingModel> {
  const model = await loadPretrained(folder);
  const { sample_size: size, in_channels, out_channels } = model.config;
  if (in_channels !== 3 || out_channels !== 1) {
    throw new InputError(
      `${folder}: in_channels ${in_channels} and out_channels ${out_channels} ` +
        `must be 3 (lung mask, class map, noisy CT) and 1 (noise)`,
    );
  }
  const resolution = Array.isArray(size) ? size : [size ?? 128, size ?? 128] as const;
  return {
    ...model,
    folder,
    scheduler,
    schedulerKnown: true,
    nullClass: typeof scheduler._null_class === "number" ? scheduler._null_class : 0,
    preparation: ORIGINAL,
    resolution: [resolution[0], resolution[1]],
  };
}

const SCHEDULERS = {
  ddpm: "DDPMScheduler",
  ddim: "DDIMScheduler",
  "dpm++": "DPMSolverMultistepScheduler",
} as const;
export type SchedulerChoice = keyof typeof SCHEDULERS;
export const SCHEDULER_CHOICES = Object.keys(SCHEDULERS) as SchedulerChoice[];

/** What the training decided, which no sampler may change. */
const TRAINED = [
  "num_train_timesteps",
  "beta_start",
  "beta_end",
  "beta_schedule",
  "prediction_type",
] as const;

/**
 * A sampler from a `scheduler_config.json` of the user's; what it does not say about the noise
 * schedule comes from the model.
 *
 * @throws InputError where it contradicts the model's training.
 */
export async function schedulerFromFile(
  model: SamplingModel,
  path: string,
): Promise<SchedulerConfig> {
  const raw = await readSchedulerFile(path);
  const trained = schedulerConfig(model.scheduler, model.folder);
  const inherited = Object.fromEntries(TRAINED.map((key) => [key, trained[key]]));
  const config = schedulerConfig({ ...inherited, ...raw }, path);
  for (const key of model.schedulerKnown ? TRAINED : []) {
    if (config[key] !== trained[key]) {
      throw new InputError(
        `${path}: ${key} is ${JSON.stringify(config[key])}, ` +
          `the model was trained with ${JSON.stringify(trained[key])}`,
      );
    }
  }
  return config;
}

/** What the model's own scheduler says about clipping, where the sampler clips too. */
const CLIPPING = ["clip_sample", "clip_sample_range", "thresholding"] as const;

/** The model's noise schedule under another sampler. */
export function chooseScheduler(
  model: SamplingModel,
  choice: SchedulerChoice,
  spacing?: string,
): SchedulerConfig {
  const name = join(model.folder, "..", "scheduler", "scheduler_config.json");
  const trained = schedulerConfig(model.scheduler, name);
  return schedulerConfig({
    _class_name: SCHEDULERS[choice],
    ...Object.fromEntries(TRAINED.map((key) => [key, trained[key]])),
    ...(choice === "dpm++"
      // It has no clip_sample; without clipping the error of the first x0, which √ᾱ divides by
      // 0.006, grows from step to step.
      ? { thresholding: trained.thresholding || trained.clip_sample }
      : trained._class_name === SCHEDULERS["dpm++"]
      ? {}
      : Object.fromEntries(CLIPPING.map((key) => [key, trained[key]]))),
    ...(spacing ? { timestep_spacing: spacing } : {}),
  }, name);
}
