/** Finds a model to sample from: in a training run, or in a diffusers folder. */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import { loadPretrained, readJsonObject } from "../nn/pretrained.ts";
import {
  ORIGINAL_PREPARATION,
  type SamplingModel,
  samplingModel,
  type SlicePreparation,
  slicePreparation,
  TRAINED,
} from "./sampling_model.ts";
import { type SchedulerConfig, schedulerConfig } from "./scheduler.ts";
import { readSchedulerFile } from "./scheduler_file.ts";

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
  if (!await Deno.stat(path).then(() => true, () => false)) return ORIGINAL_PREPARATION;
  return slicePreparation(await readJsonObject(path));
}

/** A diffusers folder: the UNet itself, or a pipeline with `unet/` and `scheduler/`. */
export async function loadModelFolder(folder: string): Promise<SamplingModel> {
  const exists = (path: string) => Deno.stat(path).then(() => true, () => false);
  const unet = await exists(join(folder, "unet", "config.json")) ? join(folder, "unet") : folder;
  const path = join(folder, "scheduler", "scheduler_config.json");
  if (await exists(path)) return await describe(unet, await readSchedulerFile(path));
  return { ...await describe(unet, { _class_name: "DDPMScheduler" }), schedulerKnown: false };
}

const describe = async (folder: string, scheduler: Record<string, unknown>) =>
  samplingModel(folder, await loadPretrained(folder), scheduler);

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
