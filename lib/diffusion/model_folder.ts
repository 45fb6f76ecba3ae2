/** Finds a model to sample from: in a training run, or in a diffusers folder. */

import { basename, dirname, join, relative } from "node:path";
import { InputError } from "../errors.ts";
import { checkedReader, type ReadBytes } from "../io/checked.ts";
import { readFileBounded } from "../io/read.ts";
import { CONFIG_NAME, loadPretrained, readJsonObject, WEIGHTS_NAME } from "../nn/pretrained.ts";
import { schedulerPlaces } from "./model_layout.ts";
import {
  ASSUMED_SCHEDULER,
  type SamplingModel,
  samplingModel,
  slicePreparation,
  TRAINED,
} from "./sampling_model.ts";
import { ignoredKeys, type SchedulerConfig, schedulerConfig } from "./scheduler_config.ts";
import { readSchedulerFile } from "./scheduler_file.ts";

/** Which checkpoint of a run: the newest, the best by its own metric, or that of a step. */
export type WhichCheckpoint = "newest" | "best" | number;

/** Of a command line. @throws InputError. */
export function parseCheckpoint(text: string): WhichCheckpoint {
  if (text === "newest" || text === "best") return text;
  if (/^\d{1,8}$/.test(text)) return Number(text);
  throw new InputError(`--checkpoint ${text}: newest, best or a step needed`);
}

/** What `--run`, `--model`, `--checkpoint` and `--no-ema` of a command line name. */
export interface ModelOptions {
  readonly run?: string;
  readonly model?: string;
  /** undefined: the newest. */
  readonly checkpoint?: string;
  /** undefined: not asked for, the averaged weights where there are two sets. */
  readonly ema?: boolean;
}

/** @throws InputError, also where an option says nothing about the model that is named. */
export async function openModel(o: ModelOptions): Promise<SamplingModel> {
  if (Boolean(o.run) === Boolean(o.model)) throw new InputError("give either --run or --model");
  if (o.run) {
    return await loadRunModel(o.run, o.ema ?? true, parseCheckpoint(o.checkpoint ?? "newest"));
  }
  if (o.checkpoint !== undefined) {
    throw new InputError(
      `--checkpoint ${o.checkpoint} is of a --run; --model names the folder itself`,
    );
  }
  return await loadModelFolder(o.model!, o.ema);
}

const STEP = /^step-\d+$/;
const STATE = "state.json";

/** Whether there is something of that name. @throws what is no "not found". */
async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await exists(path)) return path;
}

/** Names of the checkpoints of a run, oldest first. */
async function checkpointsOf(run: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(join(run, "checkpoints"))) {
      if (STEP.test(name)) names.push(name);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return [];
    }
    throw error;
  }
  return names.sort();
}

/** A checkpoint of a run, its averaged weights (or the plain ones). @throws InputError. */
export async function loadRunModel(
  run: string,
  ema: boolean,
  which: WhichCheckpoint = "newest",
): Promise<SamplingModel> {
  const root = join(run, "checkpoints");
  const names = await checkpointsOf(run);
  const newest = names.at(-1);
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
  const folder = join(root, name);
  return await load(folder, join(folder, ema ? "unet_ema" : "unet"));
}

/**
 * A diffusers folder: the network itself, a pipeline with `unet/` (or all in one folder), or a
 * checkpoint of a run. What was taken, and what was assumed, is in the model's notes.
 *
 * @param ema of a checkpoint's two sets of weights: the averaged ones. undefined: those, if there.
 * @throws InputError.
 */
export async function loadModelFolder(folder: string, ema?: boolean): Promise<SamplingModel> {
  const has = (part: string) => exists(join(folder, part, CONFIG_NAME));
  const [averaged, plain] = [await has("unet_ema"), await has("unet")];
  if (averaged && plain) {
    const [unet, other] = ema ?? true ? ["unet_ema", "unet"] : ["unet", "unet_ema"];
    const model = await load(folder, join(folder, unet));
    const [taken, left] = unet === "unet_ema" ? ["averaged", "plain"] : ["plain", "averaged"];
    const note = `${folder}: the ${taken} weights (${unet}); the ${left} ones are in ${other}`;
    return { ...model, notes: [note, ...model.notes] };
  }
  if (ema !== undefined) {
    throw new InputError(
      `${folder}: --${ema ? "" : "no-"}ema chooses between the unet and unet_ema of a ` +
        `checkpoint; here is one set of weights`,
    );
  }
  if (averaged || plain) return await load(folder, join(folder, averaged ? "unet_ema" : "unet"));
  if ((await checkpointsOf(folder)).length) {
    throw new InputError(`${folder}: a training run, no model: give it as --run`);
  }
  if (!await exists(join(folder, CONFIG_NAME))) {
    throw new InputError(
      `${folder}: no model: it has neither ${CONFIG_NAME} nor unet/${CONFIG_NAME}`,
    );
  }
  return await load(folder, folder);
}

/** @param folder what was named or found. @param unet where the network is: the same, or in it. */
async function load(folder: string, unet: string): Promise<SamplingModel> {
  const notes: string[] = [];
  const real = await Deno.realPath(unet);
  const checkpoint = await checkpointOf(unet, real);
  const read = checkpoint ? await readerOf(checkpoint, notes) : readFileBounded;
  const { weightsPath, ...pretrained } = await loadPretrained(unet, read);
  if (basename(weightsPath) !== WEIGHTS_NAME) notes.push(`weights from ${weightsPath}`);
  const path = await firstThere([...schedulerPlaces(folder, unet), ...schedulerPlaces(real)]);
  const raw = path ? await readSchedulerFile(path, read) : undefined;
  if (path && relative(folder, path).startsWith("..")) notes.push(`scheduler from ${path}`);
  if (raw) notes.push(...ignoredKeys(raw, path!));
  const model = samplingModel(unet, pretrained, raw ?? ASSUMED_SCHEDULER);
  const config = checkpoint && join(dirname(dirname(await Deno.realPath(checkpoint))), CONFIG_NAME);
  const ofRun = !model.preparationKnown && config && await exists(config)
    ? slicePreparation(await readJsonObject(config))
    : undefined;
  return {
    ...model,
    ...(ofRun ? { preparation: ofRun, preparationKnown: true } : {}),
    schedulerKnown: raw !== undefined,
    notes,
  };
}

/** The checkpoint of a run that a network is part of. */
async function checkpointOf(unet: string, real: string): Promise<string | undefined> {
  for (const folder of [join(unet, ".."), dirname(real)]) {
    if (STEP.test(basename(folder)) || await isRecorded(folder)) return folder;
  }
}

/** Whether a state.json lies there that says the SHA-256 of files; other programs have one too. */
async function isRecorded(folder: string): Promise<boolean> {
  const path = join(folder, STATE);
  return await exists(path) && "sha256" in await readJsonObject(path);
}

/** Checks files of a checkpoint against its state.json, as --resume does. */
async function readerOf(checkpoint: string, notes: string[]): Promise<ReadBytes> {
  const path = join(checkpoint, STATE);
  if (!await exists(path)) {
    notes.push(`${path} is missing: its SHA-256 sums cannot be checked`);
    return readFileBounded;
  }
  const { sha256 } = await readJsonObject(path);
  if (typeof sha256 !== "object" || sha256 === null) {
    throw new InputError(`${path}: sha256 is missing`);
  }
  return checkedReader(checkpoint, sha256 as Record<string, unknown>, STATE);
}

/**
 * A sampler from a `scheduler_config.json` of the user's; what it does not say about the noise
 * schedule comes from the model.
 *
 * @throws InputError where it contradicts the model's training.
 */
export async function schedulerFromFile(
  model: SamplingModel,
  path: string,
): Promise<{ config: SchedulerConfig; notes: string[] }> {
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
  return { config, notes: ignoredKeys(raw, path) };
}
