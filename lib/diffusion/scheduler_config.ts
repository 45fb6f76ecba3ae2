/**
 * Scheduler configurations as diffusers writes them (`scheduler_config.json`): their keys, defaults
 * and what is refused.
 */

import { InputError } from "../errors.ts";
import type { BetaSchedule } from "./noise_schedule.ts";

/** Classes of diffusers. */
export type SchedulerName = "DDPMScheduler" | "DDIMScheduler" | "DPMSolverMultistepScheduler";
/** What the model predicts: the noise, v or the clean image. */
export type PredictionType = "epsilon" | "v_prediction" | "sample";
/** How `set_timesteps` spreads the timesteps. */
export type TimestepSpacing = "leading" | "linspace" | "trailing";

/** Keys and defaults of diffusers' schedulers, those that change the numbers. */
export interface SchedulerConfig {
  /** Which scheduler. */
  _class_name: SchedulerName;
  /** T. */
  num_train_timesteps: number;
  /** β of the first timestep. */
  beta_start: number;
  /** β of the last timestep. */
  beta_end: number;
  /** How β goes from one to the other. */
  beta_schedule: BetaSchedule;
  /** What the model predicts. */
  prediction_type: PredictionType;
  /** How `set_timesteps` spreads the timesteps. */
  timestep_spacing: TimestepSpacing;
  /** Added to the timesteps of "leading". */
  steps_offset: number;
  /** DDPM and DDIM. */
  clip_sample: boolean;
  /** DDPM and DDIM. */
  clip_sample_range: number;
  /** With sample_max_value 1, as here: x0 is clipped to ±1. The only clipping of DPM-Solver++. */
  thresholding: boolean;
  /** DDPM. */
  variance_type: "fixed_small" | "fixed_large";
  /** DDIM. */
  set_alpha_to_one: boolean;
  /** DPM-Solver++. */
  solver_order: 1 | 2;
  /** DPM-Solver++. */
  lower_order_final: boolean;
  /** DPM-Solver++. */
  final_sigmas_type: "zero" | "sigma_min";
  /** DPM-Solver++. */
  euler_at_final: boolean;
}

const COMMON = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: "linear",
  prediction_type: "epsilon",
  timestep_spacing: "leading",
  steps_offset: 0,
  clip_sample: true,
  clip_sample_range: 1,
  thresholding: false,
  variance_type: "fixed_small",
  set_alpha_to_one: true,
  solver_order: 2,
  lower_order_final: true,
  final_sigmas_type: "zero",
  euler_at_final: false,
} as const;

const SHARED = [
  "num_train_timesteps",
  "beta_start",
  "beta_end",
  "beta_schedule",
  "prediction_type",
  "timestep_spacing",
  "steps_offset",
  "thresholding",
] as const;
const CLIP = ["clip_sample", "clip_sample_range"] as const;

/** The keys that each class has in diffusers and that change the numbers. */
export const CLASS_KEYS: Record<SchedulerName, readonly (keyof SchedulerConfig)[]> = {
  DDPMScheduler: [...SHARED, ...CLIP, "variance_type"],
  DDIMScheduler: [...SHARED, ...CLIP, "set_alpha_to_one"],
  DPMSolverMultistepScheduler: [
    ...SHARED,
    "solver_order",
    "lower_order_final",
    "final_sigmas_type",
    "euler_at_final",
  ],
};

type Harmless = Record<string, (value: unknown, raw: Record<string, unknown>) => boolean>;
const among = (...values: unknown[]) => (value: unknown) => values.includes(value);

/** Keys of all three classes, and the values that leave the numbers as they are here. */
const HARMLESS: Harmless = {
  trained_betas: among(null),
  // s of dynamic thresholding is held between 1 and sample_max_value: at 1 the quantile says nothing.
  dynamic_thresholding_ratio: () => true,
  sample_max_value: (value, raw) => value === 1 || !raw.thresholding,
  rescale_betas_zero_snr: among(false),
};

const OF_CLASS: Record<SchedulerName, Harmless> = {
  DDPMScheduler: { ...HARMLESS, variance_type: among(null) }, // as fixed_small
  DDIMScheduler: HARMLESS,
  DPMSolverMultistepScheduler: {
    ...HARMLESS,
    algorithm_type: among("dpmsolver++"),
    solver_type: among("midpoint"),
    use_karras_sigmas: among(false, null),
    use_exponential_sigmas: among(false, null),
    use_beta_sigmas: among(false, null),
    use_lu_lambdas: among(false, null),
    use_flow_sigmas: among(false, null),
    use_dynamic_shifting: (value, raw) => value === false || !raw.use_flow_sigmas,
    flow_shift: (value, raw) => value === 1 || !raw.use_flow_sigmas,
    time_shift_type: among("exponential"),
    lambda_min_clipped: among(null, "-Infinity", -Infinity),
    variance_type: (value) => value !== "learned" && value !== "learned_range",
  },
};

const CHOICES: Record<string, readonly unknown[]> = {
  beta_schedule: ["linear", "scaled_linear", "squaredcos_cap_v2"],
  prediction_type: ["epsilon", "v_prediction", "sample"],
  timestep_spacing: ["leading", "linspace", "trailing"],
  variance_type: ["fixed_small", "fixed_large"],
  clip_sample: [true, false],
  thresholding: [true, false],
  set_alpha_to_one: [true, false],
  solver_order: [1, 2],
  lower_order_final: [true, false],
  final_sigmas_type: ["zero", "sigma_min"],
  euler_at_final: [true, false],
};

/** What is done with a key: as diffusers' `from_pretrained` of the class does with it. */
function fateOf(
  name: SchedulerName,
  key: string,
  raw: Record<string, unknown>,
): "honoured" | "harmless" | "ignored" | "refused" {
  if (key === "_class_name" || key.startsWith("_")) return "harmless";
  if (OF_CLASS[name][key]?.(raw[key], raw)) return "harmless";
  if ((CLASS_KEYS[name] as readonly string[]).includes(key)) return "honoured";
  return Object.hasOwn(OF_CLASS[name], key) ? "refused" : "ignored";
}

function classOf(raw: Record<string, unknown>, name: string): SchedulerName {
  const value = raw._class_name;
  if (value === undefined) throw new InputError(`${name}: _class_name is missing`);
  if (typeof value === "string" && Object.hasOwn(CLASS_KEYS, value)) return value as SchedulerName;
  throw new InputError(
    `${name}: _class_name is ${JSON.stringify(value)}, it must be ${
      Object.keys(CLASS_KEYS).map((c) => JSON.stringify(c)).join(" or ")
    }`,
  );
}

/** Says which keys the file has that its class does not: diffusers passes over them as well. */
export function ignoredKeys(raw: Record<string, unknown>, name: string): string[] {
  const of = classOf(raw, name);
  const keys = Object.keys(raw).filter((key) => fateOf(of, key, raw) === "ignored");
  if (keys.length === 0) return [];
  return [`${name}: ${keys.join(", ")} ignored: ${of} has no such key, in diffusers neither`];
}

/**
 * Checks a scheduler configuration and fills in diffusers' defaults. Keys that the class does not
 * have are passed over: see {@link ignoredKeys}.
 *
 * @throws InputError naming the file, the key and what it may be.
 *
 * @example
 * ```ts
 * import { schedulerConfig } from "@lung-ddpm/webgpu";
 * const config = schedulerConfig({ _class_name: "DDIMScheduler" }, "scheduler_config.json");
 * config.num_train_timesteps; // 1000, diffusers' default
 * ```
 */
export function schedulerConfig(raw: Record<string, unknown>, name: string): SchedulerConfig {
  const of = classOf(raw, name);
  const solver = of === "DPMSolverMultistepScheduler";
  const config: Record<string, unknown> = {
    ...COMMON,
    _class_name: of,
    timestep_spacing: solver ? "linspace" : "leading",
    clip_sample: !solver,
  };
  for (const [key, value] of Object.entries(raw)) {
    const fate = fateOf(of, key, raw);
    if (fate === "refused") {
      throw new InputError(
        `${name}: ${JSON.stringify(value)} of scheduler key "${key}" is not supported`,
      );
    }
    if (fate !== "honoured") continue;
    const choices = CHOICES[key];
    const numeric = typeof value === "number" && Number.isFinite(value) && value >= 0;
    if (choices ? !choices.includes(value) : !numeric) {
      throw new InputError(
        `${name}: ${key} is ${JSON.stringify(value)}, it must be ` +
          (choices ? choices.map((c) => JSON.stringify(c)).join(" or ") : "a number from 0"),
      );
    }
    config[key] = value;
  }
  const { num_train_timesteps: timesteps, steps_offset: offset } = config;
  if (!Number.isInteger(timesteps) || Number(timesteps) < 2 || Number(timesteps) > 100_000) {
    throw new InputError(
      `${name}: num_train_timesteps is ${timesteps}, it must be a whole number from 2 to 100000`,
    );
  }
  if (!Number.isInteger(offset)) {
    throw new InputError(`${name}: steps_offset is ${offset}, it must be a whole number`);
  }
  const { beta_schedule: schedule, beta_start: start, beta_end: end } = config;
  // The cosine schedule does not read them.
  if (schedule !== "squaredcos_cap_v2") {
    if (!(Number(start) > 0 && Number(end) < 1)) {
      throw new InputError(
        `${name}: beta_start is ${start} and beta_end ${end}, both must lie between 0 and 1`,
      );
    }
    if (Number(start) > Number(end)) {
      throw new InputError(
        `${name}: beta_start is ${start}, above beta_end ${end}: noise must grow with the timestep`,
      );
    }
  }
  return config as unknown as SchedulerConfig;
}
