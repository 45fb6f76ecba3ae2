/** A trained model as samplers take it: weights, noise schedule, how slices become planes. */

import { type Condition, CONDITIONS } from "../data/dataset.ts";
import { type HuWindow, LUNG_WINDOW } from "../data/window.ts";
import { InputError } from "../errors.ts";
import type { PretrainedModel } from "../nn/state_dict.ts";
import { type SchedulerConfig, schedulerConfig } from "./scheduler_config.ts";

export const ORIGINAL_PREPARATION: SlicePreparation = {
  window: LUNG_WINDOW,
  antialias: false,
  condition: "class",
};

/** How slices become the network's planes. */
export interface SlicePreparation {
  readonly window: HuWindow;
  /** Look at every CT pixel when shrinking. */
  readonly antialias: boolean;
  /** What the second plane holds. */
  readonly condition: Condition;
  /** mm between the network's pixels, of a model of patches; none of one of whole slices. */
  readonly spacing?: number;
}

/** What a run's config.json says about it. */
export function slicePreparation(config: Record<string, unknown>): SlicePreparation {
  const { window_level: level, window_width: width, antialias } = config;
  const isWindow = typeof level === "number" && typeof width === "number" && width > 0;
  return {
    window: isWindow ? { level, width } : LUNG_WINDOW,
    antialias: antialias === true,
    condition: config.condition === "nodule-mask" ? "nodule-mask" : "class",
    ...typeof config.spacing === "number" ? { spacing: config.spacing } : {},
  };
}

/** The same as notes in a scheduler_config.json, of which diffusers takes no notice. */
export const preparationNotes = (config: {
  readonly window_level: number;
  readonly window_width: number;
  readonly antialias: boolean;
  readonly condition: Condition;
  readonly spacing: number | null;
}): Record<string, unknown> => ({
  _window_level: config.window_level,
  _window_width: config.window_width,
  _antialias: config.antialias,
  // Files of the original condition stay as they were.
  ...config.condition === "class" ? {} : { _condition: config.condition },
  ...config.spacing === null ? {} : { _spacing: config.spacing },
});

/** Stands in where nothing says what a model was trained for: diffusers' own defaults. */
export const ASSUMED_SCHEDULER = { _class_name: "DDPMScheduler" };

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
  /** Whether something said so. */
  readonly preparationKnown: boolean;
  /** What the user should know about how it was read. */
  readonly notes: readonly string[];
  /** Height and width it was trained at. */
  readonly resolution: readonly [number, number];
}

/**
 * A model that was read, as samplers take it.
 *
 * @param folder where from, for messages.
 * @throws InputError where it is no model of [lung mask, class map, noisy CT].
 */
export function samplingModel(
  folder: string,
  model: PretrainedModel,
  scheduler: Record<string, unknown>,
): SamplingModel {
  const { sample_size: size, in_channels, out_channels } = model.config;
  if (in_channels !== 3 || out_channels !== 1) {
    throw new InputError(
      `${folder}: in_channels ${in_channels} and out_channels ${out_channels} ` +
        `must be 3 (lung mask, class map, noisy CT) and 1 (noise)`,
    );
  }
  const { _window_level: level, _window_width: width, _antialias: antialias } = scheduler;
  const said = { window_level: level, window_width: width, antialias };
  const isSaid = typeof level === "number" && typeof width === "number";
  const resolution = Array.isArray(size) ? size : [size ?? 128, size ?? 128] as const;
  return {
    ...model,
    folder,
    scheduler,
    schedulerKnown: true,
    nullClass: typeof scheduler._null_class === "number" ? scheduler._null_class : 0,
    preparation: {
      ...isSaid ? slicePreparation(said) : ORIGINAL_PREPARATION,
      condition: conditionOf(scheduler, folder),
      ...spacingOf(scheduler, folder),
    },
    preparationKnown: isSaid,
    notes: [],
    resolution: [resolution[0], resolution[1]],
  };
}

/**
 * What is to be said about a model before it is sampled from: how it was read, and what is assumed
 * where nothing in its folder said it.
 *
 * @param ownScheduler the user gave a scheduler's configuration: none is assumed.
 */
export function modelNotes(model: SamplingModel, ownScheduler = false): string[] {
  const { level, width } = model.preparation.window;
  const assumed = [
    ...(model.schedulerKnown || ownScheduler
      ? []
      : ["DDPM with ε-prediction and linear β 0.0001 to 0.02 over 1000 timesteps"]),
    ...(model.preparationKnown ? [] : [`HU window of level ${level} and width ${width}`]),
  ];
  if (assumed.length === 0) return [...model.notes];
  return [
    ...model.notes,
    `${model.folder}: what it was trained with is not all said; assumed: ${assumed.join("; ")}`,
  ];
}

/** What the model's own scheduler_config.json says of its second plane. */
function conditionOf({ _condition = "class" }: Record<string, unknown>, folder: string): Condition {
  if (CONDITIONS.includes(_condition as Condition)) return _condition as Condition;
  throw new InputError(
    `${folder}: its scheduler_config.json says _condition ${JSON.stringify(_condition)}; ` +
      `known are ${CONDITIONS.join(", ")}`,
  );
}

/** And of patches, of which size its pixels are. */
function spacingOf({ _spacing: spacing }: Record<string, unknown>, folder: string) {
  if (spacing === undefined) return {};
  if (typeof spacing === "number" && spacing >= 0.1 && spacing <= 20) return { spacing };
  throw new InputError(
    `${folder}: its scheduler_config.json says _spacing ${
      JSON.stringify(spacing)
    }, mm from 0.1 to 20 ` +
      "needed",
  );
}

const SCHEDULERS = {
  ddpm: "DDPMScheduler",
  ddim: "DDIMScheduler",
  "dpm++": "DPMSolverMultistepScheduler",
} as const;
export type SchedulerChoice = keyof typeof SCHEDULERS;
export const SCHEDULER_CHOICES = Object.keys(SCHEDULERS) as SchedulerChoice[];

/** What the training decided, which no sampler may change. */
export const TRAINED = [
  "num_train_timesteps",
  "beta_start",
  "beta_end",
  "beta_schedule",
  "prediction_type",
] as const;

/** What the model's own scheduler says about clipping, where the sampler clips too. */
const CLIPPING = ["clip_sample", "clip_sample_range", "thresholding"] as const;

/**
 * The model's noise schedule under a sampler. Where that is the model's own, it keeps all that its file
 * says (`steps_offset`, `set_alpha_to_one`, …), as diffusers' pipelines do.
 */
export function chooseScheduler(
  model: SamplingModel,
  choice: SchedulerChoice,
  spacing?: string,
): SchedulerConfig {
  const name = `${model.folder}/../scheduler/scheduler_config.json`;
  const trained = schedulerConfig(model.scheduler, name);
  if (trained._class_name === SCHEDULERS[choice]) {
    return spacing
      ? schedulerConfig({ ...model.scheduler, timestep_spacing: spacing }, name)
      : trained;
  }
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
