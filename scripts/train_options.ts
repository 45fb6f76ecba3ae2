/** Command line of `train` and `train:mpi`: from flags to a configuration and its data. */

import { Command, InvalidArgumentError, Option } from "commander";
import { join } from "node:path";
import { givenOptions, refuseGiven, sizeIn } from "../lib/cli/command.ts";
import { parseArguments, repeatable } from "../lib/cli/main.ts";
import { type Dataset, SliceCache } from "../lib/data/dataset.ts";
import { isAugmenting } from "../lib/data/augment.ts";
import { type DataSource, openSources, parseSource, savedSources } from "../lib/data/joined.ts";
import { openFolder } from "../lib/data/open_folder.ts";
import { folderState, openPacked } from "../lib/data/packed/writer.ts";
import { InputError } from "../lib/errors.ts";
import { privateFolder, removeStrays } from "../lib/io/atomic.ts";
import { checkOutputFolder } from "../lib/io/output_folder.ts";
import { readJsonObject } from "../lib/nn/pretrained.ts";
import { cropsOf, phantomOf } from "../lib/train/data.ts";
import { SSIM_PADDING } from "../lib/metrics/ssim.ts";
import { listCheckpoints } from "../lib/train/checkpoint.ts";
import { PRESETS, RUN_RULES, type RunConfig, runConfig } from "../lib/train/config.ts";
import { changedConfig, type Given } from "../lib/train/resume.ts";
import { RUN_CONFIG_NAME } from "../lib/train/run.ts";
import { PRIVATE_FOLDER, requireRunFolder } from "../lib/train/run_folder.ts";
import { augmentation } from "../lib/train/trainer.ts";
import { NO_TUNE } from "./first_use.ts";

const number = (text: string) => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("not a number");
  return value;
};
const list = (text: string) => text.split(",").map(number);

export const program = new Command("train")
  .description("Trains the conditional diffusion model. Without --data, on the built-in phantom.")
  .option(
    "--preset <name>",
    `demo (minutes on two CPU cores) or seed (the original setting)`,
    "demo",
  )
  .addOption(repeatable(
    new Option(
      "--data <folder[:weight]>",
      "slices in the .npy layout, or pairs of images and masks (see docs/data.md); may be given " +
        "several times, with weights: syn:0.5 is seen half as often",
    ),
  ))
  .option("--out <folder>", "where the run goes", "runs/<preset>")
  .option(
    "--resume",
    "go on from the newest checkpoint in --out, with the settings saved there; of others only those " +
      "of the optimizer and of what is written may be given anew",
  )
  .option("--accept-new-data", "go on although the slices are not those that the run began with")
  .option("--config <file>", "JSON to take settings from, over the preset")
  .option("--steps <n>", "optimizer steps (max_train_steps)", number)
  .option("--epochs <n>", "epochs (num_epochs), in place of --steps", number)
  .option("--resolution <HxW>", "image size, e.g. 64 or 48x64", sizeIn(1, 4096))
  .option("--channels <list>", "block_out_channels of the UNet, e.g. 32,64,96", list)
  .option("--overwrite", "start anew although --out holds a run")
  .option(
    "--estimate [steps]",
    "take some steps (10), say how long the run would take and what memory and disk; writes nothing",
  )
  .option("--locked", "refuse kernels that are not in audit.lock.json")
  .option(...NO_TUNE);
for (const [key, { help, choices }] of Object.entries(RUN_RULES)) {
  if (key === "num_epochs" || key === "max_train_steps") continue;
  const name = `--${key.replaceAll("_", "-")}`;
  const isFlag = typeof PRESETS.demo[key] === "boolean";
  if (isFlag) program.option(name, help);
  else if (choices) program.addOption(new Option(`${name} <name>`, help).choices([...choices]));
  else program.option(`${name} <n>`, help, number);
}
program.addHelpText(
  "after",
  `
Examples:
  ./run train                                  the demo on the phantom, then a picture
  ./run train --data DIR --epochs 20           on your slices
  ./run train --data DIR --data SYNTHETIC:0.5  and on generated ones, seen half as often
  ./run train --preset seed --data DIR         the original setting: 128², 200 epochs
  ./run train --resume --out runs/demo         go on after a stop
  ./run train --preset seed --data DIR --estimate   how long it would take
  ./run train --resolution 64 --steps 300 --learning-rate 5e-4

Ctrl-C (SIGTERM, SIGHUP) finishes the step, saves a checkpoint and says how to go on.
Exit code: 0 done, 1 the loss diverged, 2 wrong use or input, 3 no usable GPU; stopped and saved:
130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.`,
);

/** As commander names the option of a key. */
const camel = (key: string) => key.replace(/_(\w)/g, (_, c) => c.toUpperCase());

type Options = Record<string, unknown>;

function presetOf(name: unknown): Record<string, unknown> {
  const preset = PRESETS[name as string];
  if (!preset) {
    throw new InputError(`--preset ${name}: there is ${Object.keys(PRESETS).join(", ")}`);
  }
  return structuredClone(preset);
}

/** Settings of an object like a preset or a configuration file. */
function settingsOf(name: string, { unet, ...rest }: Record<string, unknown>): Given[] {
  const ofUnet = Object.entries(unet ?? {}).map(([key, value]) => [`unet.${key}`, value]);
  return [...Object.entries(rest), ...ofUnet].map(([key, value]) => ({
    name,
    key: key as string,
    value,
  }));
}

/** Settings that the user gave by flags of their own. */
function flagsOf(options: Options): Given[] {
  const given = givenOptions(program);
  const out: Given[] = [];
  const add = (flag: string, key: string, value: unknown) => out.push({ name: flag, key, value });
  for (const key of Object.keys(RUN_RULES)) {
    const option = given.get(camel(key));
    if (option) add(option, key, options[camel(key)]);
  }
  if (given.has("steps")) add("--steps", "max_train_steps", options.steps);
  if (given.has("epochs")) {
    if (given.has("steps")) throw new InputError("--steps and --epochs exclude each other");
    add("--epochs", "num_epochs", options.epochs);
    add("--epochs", "max_train_steps", null); // steps that a file says would win
  }
  if (options.resolution) add("--resolution", "resolution", options.resolution);
  if (given.has("crop")) {
    if (options.resolution) throw new InputError("--crop says the resolution: give one of the two");
    add("--crop", "resolution", [options.crop, options.crop]);
  }
  if (options.channels) {
    const channels = options.channels as number[];
    add("--channels", "unet.block_out_channels", channels);
    add("--channels", "unet.down_block_types", channels.map(() => "DownBlock2D"));
    add("--channels", "unet.up_block_types", channels.map(() => "UpBlock2D"));
  }
  return out;
}

/** Refuses flags that would change nothing beside the others. */
function refuseIdle(config: RunConfig, data: unknown): void {
  const refuse = (isIdle: boolean, why: string, ...names: string[]) =>
    isIdle && refuseGiven(program, names, why);
  refuse(data !== undefined, "slices of the phantom, and --data is given", "phantomSlices");
  refuse(data === undefined, "the phantom's values are HU: it goes with --data", "anyValues");
  refuse(config.crop === null, "goes with --crop and --spacing", "cropsPerSlice", "fieldMm");
  refuse(data === undefined, "the phantom's size is known: it goes with --data", "fieldMm");
  const { ddpm_beta_schedule: betas, lr_scheduler: rate } = config;
  refuse(betas === "squaredcos_cap_v2", `${betas} has no such end`, "betaStart", "betaEnd");
  refuse(rate === "constant", "--lr-scheduler constant has no warm-up", "lrWarmupSteps");
  if (config.best_metric === "ssim" && Math.min(...config.resolution) <= SSIM_PADDING) {
    throw new InputError(
      `--best-metric ssim: SSIM needs sides above ${SSIM_PADDING}, the resolution is ` +
        config.resolution.join("×"),
    );
  }
}

/** Preset, then --config, then flags. */
async function readConfig(options: Options): Promise<RunConfig> {
  const raw = presetOf(options.preset);
  const file = options.config as string | undefined;
  const settings = file ? settingsOf(file, await readJsonObject(file)) : [];
  for (const { key, value } of [...settings, ...flagsOf(options)]) {
    if (key.startsWith("unet.")) Object.assign(raw.unet as object, { [key.slice(5)]: value });
    else raw[key] = value;
  }
  return runConfig(raw, file ?? "flags");
}

/** The settings of a run that goes on: saved ones, and what may be given anew. */
async function resumedConfig(
  options: Options,
  path: string,
  saved: Record<string, unknown>,
): Promise<RunConfig> {
  // Older files lack newer keys; runConfig says what those mean.
  const before = runConfig(saved, path) as unknown as Record<string, unknown>;
  const file = options.config as string | undefined;
  const given = givenOptions(program);
  const settings = file ? settingsOf(`--config ${file}`, await readJsonObject(file)) : [];
  // Without --out the preset only says in which folder the run is.
  const preset = given.has("preset") && given.has("out") ? presetOf(options.preset) : undefined;
  const flags = flagsOf(options);
  if (preset) {
    const own = new Set([...settings, ...flags].map(({ key }) => key));
    const others = settingsOf("--preset", preset).filter(({ key }) => !own.has(key));
    const { name, key } = others.find(({ key, value }) => {
      const now = key.startsWith("unet.") ? (before.unet as Options)[key.slice(5)] : before[key];
      return JSON.stringify(now) !== JSON.stringify(value);
    }) ?? {};
    if (name) {
      throw new InputError(
        `--resume: ${name} ${options.preset} has another ${key} than the run: leave it out, for the ` +
          "run's own settings hold",
      );
    }
  }
  return runConfig(changedConfig(before, [...settings, ...flags]), path);
}

/** What a training command was asked to do. */
export interface TrainRequest {
  readonly config: RunConfig;
  /** Undefined: the built-in phantom. */
  readonly data: readonly DataSource[] | undefined;
  readonly out: string;
  readonly resume: boolean;
  /** Remove what is in `out` first. */
  readonly overwrite: boolean;
  /** Refuse kernels that are not in audit.lock.json. */
  readonly locked: boolean;
  /** Take so many steps, say what the run would take, and write nothing. */
  readonly estimate?: number;
  /** Choose kernels where the GPU is new. */
  readonly tune?: boolean;
  /** Go on although the slices are not those that the run began with. */
  readonly acceptNewData?: boolean;
  /** Settings in epochs of the phantom that nobody gave, see {@link stretchEpochs}. */
  readonly epochKeys: readonly EpochKey[];
}

type EpochKey = "num_epochs" | "save_images_epochs" | "save_model_epochs";

/**
 * The demo counts epochs of its phantom. A folder with fewer slices gets as many more of them, that
 * it is trained as long.
 *
 * @returns what to tell of it.
 */
export function stretchEpochs(
  { config, epochKeys }: TrainRequest,
  batchesPerEpoch: number,
): string | undefined {
  const usual = Math.floor(config.phantom_slices / config.train_batch_size);
  const times = Math.floor(usual / batchesPerEpoch);
  if (epochKeys.length === 0 || times < 2) return undefined;
  for (const key of epochKeys) config[key] *= times;
  return `an epoch has ${batchesPerEpoch} batches here, not ${usual} as with the phantom: ` +
    `${config.num_epochs} epochs (--epochs or --steps for others)`;
}

/** Parses the command line. @throws InputError */
export async function parseTrainRequest(args?: readonly string[]): Promise<TrainRequest> {
  parseArguments(program, args);
  const options = program.opts();
  const out = options.out === "runs/<preset>"
    ? join("runs", options.preset)
    : options.out as string;
  const overwrite = Boolean(options.overwrite);
  const locked = Boolean(options.locked);
  const tune = Boolean(options.tune);
  const given = (options.data as string[] | undefined)?.map(parseSource);
  for (const { folder } of given ?? []) checkOutputFolder("--out", out, { "--data": folder });
  const estimate = stepsOf(options.estimate);
  if (options.resume) {
    refuseGiven(program, ["estimate"], "it is of a run that begins: leave out --resume");
    const path = join(out, RUN_CONFIG_NAME);
    const known = await Deno.stat(path).then(() => true, () => false);
    if (!known) throw new InputError(`--resume: ${out} holds no run (no ${RUN_CONFIG_NAME})`);
    refuseGiven(program, ["overwrite"], "--resume goes on with what --overwrite would remove");
    const { data: before, ...saved } = await readJsonObject(path);
    const config = await resumedConfig(options, path, saved);
    const data = given ?? savedSources(before, path);
    refuseIdle(config, data);
    const acceptNewData = Boolean(options.acceptNewData);
    return {
      config,
      out,
      overwrite,
      locked,
      tune,
      resume: true,
      data,
      epochKeys: [],
      acceptNewData,
    };
  }
  refuseGiven(program, ["acceptNewData"], "goes with --resume");
  const config = await readConfig(options);
  refuseIdle(config, options.data);
  const isFree = overwrite || estimate !== undefined;
  if (!isFree) await requireRunFolder(out);
  if (!isFree && (await listCheckpoints(out)).length) {
    throw new InputError(
      `${out} holds a run already: give --resume, --overwrite or another --out`,
    );
  }
  const isOpen = options.data && options.preset === "demo" && !options.config &&
    options.steps === undefined && options.epochs === undefined;
  const keys = ["num_epochs", "save_images_epochs", "save_model_epochs"] as const;
  const epochKeys = isOpen ? keys.filter((key) => options[camel(key)] === undefined) : [];
  return { config, out, overwrite, locked, tune, resume: false, data: given, epochKeys, estimate };
}

/** Of `--estimate [steps]`. */
function stepsOf(given: unknown): number | undefined {
  if (given === undefined) return undefined;
  const steps = given === true ? 10 : Number(given);
  if (Number.isInteger(steps) && steps >= 1 && steps <= 10_000) return steps;
  throw new InputError(`--estimate ${given}: a whole number of steps from 1 to 10000 needed`);
}

/** The slices of a request, and a cache that prepares them as its configuration says. */
export async function openTrainingData(
  { config, data }: Pick<TrainRequest, "config" | "data">,
  onCrop?: (done: number, total: number) => void,
): Promise<{ dataset: Dataset; cache: SliceCache }> {
  const [height, width] = config.resolution;
  const window = { level: config.window_level, width: config.window_width };
  const whole = data
    ? await openSources(
      data,
      (folder) => openFolder(folder, window, { checkHu: !config.any_values }),
    )
    : phantomOf(config);
  const dataset = await cropsOf(whole, config, onCrop);
  const cache = new SliceCache({ height, width }, window, config);
  return { dataset, cache };
}

/**
 * Packs the training slices into one checksummed file in the run's folder, to be read ahead by a
 * worker: where they come from disk, or are augmented. @returns its path.
 */
export async function packTrainingData(
  { config, data, out }: Pick<TrainRequest, "config" | "data" | "out">,
  dataset: Dataset,
  onDone: (done: number) => void,
): Promise<string | undefined> {
  if (!data && !isAugmenting(augmentation(config))) return undefined;
  const folder = join(out, PRIVATE_FOLDER), path = join(folder, "slices.pack");
  const [height, width] = config.resolution;
  await privateFolder(folder);
  await removeStrays(folder);
  await Deno.remove(join(out, "slices.pack")).catch(() => {}); // earlier versions': readable by all
  const { crop, spacing, field_mm, seed } = config;
  const patches = crop === null ? "" : JSON.stringify([crop, spacing, field_mm, seed]);
  const cache = await openPacked({
    path,
    records: dataset.train,
    size: { height, width },
    window: { level: config.window_level, width: config.window_width },
    prepare: config,
    state: `${
      data ? data.map(({ folder }) => folderState(folder)).join() : `phantom ${config.seed}`
    }${patches}`,
    onDone,
  });
  cache.close();
  return path;
}
