/** Everything that decides a training run, in one JSON file; every key is a command-line flag too. */

import { InputError } from "../errors.ts";
import { type Condition, CONDITIONS } from "../data/dataset.ts";
import type { Precision } from "../graph/tensor.ts";
import type { BetaSchedule } from "../diffusion/noise_schedule.ts";
import type { PredictionType } from "../diffusion/scheduler_config.ts";
import { type UNet2DConfig, unet2DConfig } from "../nn/config.ts";
import { LR_SCHEDULERS, type LrScheduler } from "./learning_rate.ts";

/** Names as in diffusers' examples/unconditional_image_generation/train_unconditional.py. */
export interface RunConfig {
  /** Height and width of the images, multiples of 2^(levels − 1). */
  resolution: [number, number];
  train_batch_size: number;
  gradient_accumulation_steps: number;
  num_epochs: number;
  /** Optimizer steps; overrides num_epochs unless null. */
  max_train_steps: number | null;
  learning_rate: number;
  lr_scheduler: LrScheduler;
  /** Optimizer steps. */
  lr_warmup_steps: number;
  /** Gradients are scaled down to this global norm; null: not. */
  max_grad_norm: number | null;
  adam_beta1: number;
  adam_beta2: number;
  adam_weight_decay: number;
  adam_epsilon: number;
  ema_decay: number;
  ddpm_num_steps: number;
  ddpm_beta_schedule: BetaSchedule;
  beta_start: number;
  beta_end: number;
  prediction_type: PredictionType;
  /** γ of Min-SNR loss weights; null: all timesteps weigh the same. */
  snr_gamma: number | null;
  /** What the second plane holds: the class in every pixel, or the nodules' mask. */
  condition: Condition;
  /** Share of slices trained with no class, so that guidance has a true unconditional model. */
  label_dropout: number;
  /** Steps of the sample grids made during training (DDIM). */
  ddpm_num_inference_steps: number;
  cfg_scale: number;
  /** Pairs of generated slices in a grid: one with a nodule, one without. */
  eval_pairs: number;
  save_images_epochs: number;
  save_model_epochs: number;
  /** Optimizer steps between checkpoints, besides those of epochs; null: none. */
  checkpointing_steps: number | null;
  /** Newest checkpoints that are kept; the best is kept besides. */
  keep: number;
  /** By which the best checkpoint is chosen. */
  best_metric: BestMetric;
  /** HU. */
  window_level: number;
  window_width: number;
  /** Look at all pixels when shrinking the CT; the original does not. */
  antialias: boolean;
  /** Take a CT whose values are no HU as it is. */
  any_values: boolean;
  /** Train on patches of so many pixels a side, which is then the resolution; null: whole slices. */
  crop: number | null;
  /** mm between the pixels of patches. */
  spacing: number | null;
  /** Patches of a slice anywhere in its lungs; as many more around its nodules. */
  crops_per_slice: number;
  /** mm from left to right of slices whose pixel spacing is not known. */
  field_mm: number | null;
  /** Mirror left and right at random. */
  augment_flip: boolean;
  /** Turn by up to so many degrees. */
  augment_rotate: number;
  /** Move by up to this share of the size. */
  augment_shift: number;
  seed: number;
  /** Slices of the built-in phantom, where no data folder is given. */
  phantom_slices: number;
  /** Leave out kernels that round differently from the plain sum. */
  exact: boolean;
  /** Compute cheap activations again for the backward pass: half of their memory, a little slower. */
  recompute: boolean;
  /** How activations and their gradients are stored; weights, moments and sums are always f32. */
  precision: Precision;
  /** diffusers' UNet2DModel configuration. */
  unet: UNet2DConfig;
}

/** Columns of metrics.csv that tell a better model from a worse one. */
export const BEST_METRICS = ["psnr", "ssim", "mse", "loss"] as const;
export type BestMetric = (typeof BEST_METRICS)[number];

export interface Rule {
  readonly help: string;
  /** What the value must be, if it is not. */
  readonly check: (v: unknown) => string | undefined;
  /** Where the value is one of a few words. */
  readonly choices?: readonly string[];
}

const whole = (help: string, least = 1, most = 2 ** 31): Rule => ({
  help,
  check: (v) =>
    Number.isInteger(v) && (v as number) >= least && (v as number) <= most
      ? undefined
      : `a whole number from ${least} to ${most}`,
});
const real = (help: string, least: number, most: number): Rule => ({
  help,
  check: (v) =>
    typeof v === "number" && v >= least && v <= most
      ? undefined
      : `a number from ${least} to ${most}`,
});
const choice = (help: string, choices: readonly string[]): Rule => ({
  help,
  choices,
  check: (v) => choices.includes(v as string) ? undefined : `one of ${choices.join(", ")}`,
});
const orNull = (rule: Rule): Rule => ({
  ...rule,
  check: (v) => {
    const required = v === null ? undefined : rule.check(v);
    return required && `${required}, or null`;
  },
});
const flag = (help: string): Rule => ({
  help,
  check: (v) => typeof v === "boolean" ? undefined : "true or false",
});

/** Keys that are numbers or switches, with what they mean and may hold. */
export const RUN_RULES: Readonly<Record<Exclude<keyof RunConfig, "unet" | "resolution">, Rule>> = {
  train_batch_size: whole("slices in a micro-batch", 1, 4096),
  gradient_accumulation_steps: whole("micro-batches in an optimizer step", 1, 4096),
  num_epochs: whole("passes over the balanced data"),
  max_train_steps: orNull(whole("optimizer steps, instead of epochs")),
  learning_rate: real("AdamW's learning rate", 0, 1),
  lr_scheduler: choice("how the learning rate goes over the run", LR_SCHEDULERS),
  lr_warmup_steps: whole("optimizer steps over which the learning rate rises", 0),
  max_grad_norm: orNull(real("clip gradients to this global norm", 1e-9, 1e9)),
  adam_beta1: real("AdamW's β1", 0, 0.999999),
  adam_beta2: real("AdamW's β2", 0, 0.9999999),
  adam_weight_decay: real("decoupled weight decay", 0, 10),
  adam_epsilon: real("AdamW's ε", 1e-16, 1),
  ema_decay: real("decay of the averaged weights, per micro-batch", 0, 1),
  ddpm_num_steps: whole("timesteps of the forward process", 2, 100_000),
  ddpm_beta_schedule: choice("noise schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"]),
  beta_start: real("β of the first timestep", 1e-9, 0.999),
  beta_end: real("β of the last timestep", 1e-9, 0.999),
  prediction_type: choice("what the model predicts", ["epsilon", "v_prediction", "sample"]),
  snr_gamma: orNull(real("γ of Min-SNR loss weights, usually 5", 1e-9, 1e9)),
  condition: choice("what the model is told: the class alone, or where nodules are", CONDITIONS),
  label_dropout: real("share of slices trained with no class, for true guidance", 0, 1),
  ddpm_num_inference_steps: whole("DDIM steps of the grids made while training", 1, 100_000),
  cfg_scale: real("classifier-free guidance scale of the grids", 0, 100),
  eval_pairs: whole("generated pairs (nodule, no nodule) in a grid", 1, 64),
  save_images_epochs: whole("epochs between sample grids"),
  save_model_epochs: whole("epochs between checkpoints"),
  checkpointing_steps: orNull(whole("optimizer steps between checkpoints, besides epochs")),
  // Two at least: where the newest is damaged, the one before must be there.
  keep: whole("newest checkpoints kept, besides the best", 2),
  best_metric: choice("what the best checkpoint is chosen by", BEST_METRICS),
  window_level: real("centre of the HU window", -2000, 4000),
  window_width: real("width of the HU window", 1, 8000),
  antialias: flag("antialiased resize of the CT (the original has none)"),
  any_values: flag("train on a CT whose values are no HU"),
  crop: orNull(whole("train on patches of so many pixels a side, not on whole slices", 8, 1024)),
  spacing: orNull(real("mm between the pixels of patches", 0.1, 20)),
  crops_per_slice: whole("patches of a slice in its lungs, and as many around its nodules", 1, 256),
  field_mm: orNull(real("width in mm of slices whose pixel spacing is not known", 10, 2000)),
  augment_flip: flag("mirror slices left and right at random"),
  augment_rotate: real("turn slices at random by up to so many degrees", 0, 180),
  augment_shift: real("move slices at random by up to this share of the size", 0, 0.5),
  seed: whole("what weights, order, timesteps and noise follow from", 0, 2 ** 32 - 1),
  phantom_slices: whole("slices of the built-in phantom, without --data", 4, 1_000_000),
  exact: flag("only kernels that sum as written (no Winograd)"),
  recompute: flag("less memory, a little slower: cheap activations are computed twice"),
  precision: choice("how activations and their gradients are stored", ["f32", "f16"]),
};

/** Keys that came later, with what files from before them mean. */
const NEWER: Partial<RunConfig> = {
  any_values: false,
  recompute: false,
  precision: "f32",
  condition: "class",
  crop: null,
  spacing: null,
  crops_per_slice: 4,
  field_mm: null,
};

const SEED_UNET = {
  in_channels: 3,
  out_channels: 1,
  block_out_channels: [32, 64, 96],
  layers_per_block: 1,
  down_block_types: ["DownBlock2D", "DownBlock2D", "DownBlock2D"],
  up_block_types: ["UpBlock2D", "UpBlock2D", "UpBlock2D"],
};

const SHARED = {
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_weight_decay: 0.01,
  adam_epsilon: 1e-8,
  max_train_steps: null,
  lr_scheduler: "constant",
  lr_warmup_steps: 0,
  max_grad_norm: null,
  ddpm_num_steps: 1000,
  ddpm_beta_schedule: "linear",
  beta_start: 0.0001,
  beta_end: 0.02,
  prediction_type: "epsilon",
  snr_gamma: null,
  condition: "class",
  label_dropout: 0,
  checkpointing_steps: null,
  keep: 3,
  best_metric: "psnr",
  cfg_scale: 2,
  window_level: -600,
  window_width: 1500,
  antialias: false,
  any_values: false,
  crop: null,
  spacing: null,
  crops_per_slice: 4,
  field_mm: null,
  augment_flip: false,
  augment_rotate: 0,
  augment_shift: 0,
  seed: 42,
  exact: false,
  recompute: false,
  precision: "f32",
};

/** `seed` is the original project's setting; `demo` shows lungs within minutes on two CPU cores. */
export const PRESETS: Readonly<Record<string, Record<string, unknown>>> = {
  seed: {
    ...SHARED,
    resolution: [128, 128],
    train_batch_size: 8,
    gradient_accumulation_steps: 2,
    num_epochs: 200,
    learning_rate: 1e-5,
    ema_decay: 0.999,
    ddpm_num_inference_steps: 50,
    eval_pairs: 4,
    save_images_epochs: 1,
    save_model_epochs: 1,
    phantom_slices: 256,
    unet: SEED_UNET,
  },
  demo: {
    ...SHARED,
    // Where the nodule is, not that there is one: then it shows within minutes, without guidance.
    condition: "nodule-mask",
    cfg_scale: 1,
    resolution: [32, 32],
    train_batch_size: 8,
    gradient_accumulation_steps: 1,
    num_epochs: 8,
    learning_rate: 2e-3,
    // Learns clean pictures in a third of the steps that the noise as target takes.
    prediction_type: "v_prediction",
    lr_scheduler: "cosine",
    lr_warmup_steps: 20,
    ema_decay: 0.97,
    ddpm_num_inference_steps: 50,
    eval_pairs: 4,
    save_images_epochs: 4,
    save_model_epochs: 1,
    antialias: true,
    phantom_slices: 320,
    // Eight groups, not 32: with one channel a group the first level would not feel the time.
    unet: { ...SEED_UNET, norm_num_groups: 8 },
  },
};

/**
 * Checks a run configuration. Missing keys are an error too, but for the newest: a saved file says
 * everything.
 *
 * @throws InputError naming the file, the key, what it holds and what it may hold.
 */
export function runConfig(raw: Record<string, unknown>, name: string): RunConfig {
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(raw)) {
    if (key !== "unet" && key !== "resolution" && !Object.hasOwn(RUN_RULES, key)) {
      throw new InputError(`${name}: unknown configuration key "${key}"`);
    }
  }
  for (const [key, rule] of Object.entries(RUN_RULES)) {
    const value = Object.hasOwn(raw, key) ? raw[key] : NEWER[key as keyof RunConfig];
    if (value === undefined) throw new InputError(`${name}: key "${key}" is missing`);
    const required = rule.check(value);
    if (required) {
      throw new InputError(`${name}: ${key} is ${JSON.stringify(value)}, it must be ${required}`);
    }
    result[key] = value;
  }
  const size = raw.resolution;
  const side = (v: unknown) => Number.isInteger(v) && (v as number) > 0 && (v as number) <= 4096;
  if (!Array.isArray(size) || size.length !== 2 || !size.every(side)) {
    throw new InputError(
      `${name}: resolution is ${JSON.stringify(size)}, it must be [height, width]`,
    );
  }
  result.resolution = size;
  const unet = unet2DConfig(raw.unet, `${name}: unet`);
  if (unet.in_channels !== 3 || unet.out_channels !== 1) {
    throw new InputError(
      `${name}: unet: in_channels ${unet.in_channels} and out_channels ` +
        `${unet.out_channels} must be 3 (lung mask, class map, noisy CT) and 1 (noise)`,
    );
  }
  const { beta_start, beta_end, ddpm_num_steps, ddpm_num_inference_steps, crop, spacing } =
    result as unknown as RunConfig;
  if ((crop === null) !== (spacing === null)) {
    throw new InputError(
      `${name}: crop is ${crop} and spacing ${spacing}: patches need both, whole slices neither`,
    );
  }
  if (crop !== null && size.some((side) => side !== crop)) {
    throw new InputError(`${name}: crop is ${crop}, the resolution ${size.join("×")}: one alone`);
  }
  if (result.ddpm_beta_schedule !== "squaredcos_cap_v2" && beta_start > beta_end) {
    throw new InputError(`${name}: beta_start is ${beta_start}, above beta_end ${beta_end}`);
  }
  if (ddpm_num_inference_steps > ddpm_num_steps) {
    throw new InputError(
      `${name}: ddpm_num_inference_steps is ${ddpm_num_inference_steps}, above the ` +
        `${ddpm_num_steps} timesteps of ddpm_num_steps`,
    );
  }
  const levels = unet.block_out_channels.length;
  const step = 2 ** (levels - 1);
  if (size.some((v: number) => v % step)) {
    throw new InputError(
      `${name}: resolution ${size.join("×")}: both sides must be multiples of ` +
        `${step} for a model of ${levels} levels`,
    );
  }
  result.unet = { ...unet, sample_size: size[0] === size[1] ? size[0] : size };
  return result as unknown as RunConfig;
}
