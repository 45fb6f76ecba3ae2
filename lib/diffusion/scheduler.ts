/**
 * DDPM, DDIM and DPM-Solver++ 2M as lists of coefficients for the one `scheduler_step` kernel, from
 * configurations as diffusers writes them (`scheduler_config.json`).
 */

import { InputError } from "../errors.ts";
import { STEP_COEFFICIENTS } from "../ops/diffusion.ts";
import { alphasCumprod, betas, type BetaSchedule, qSampleTable } from "./noise_schedule.ts";

export type SchedulerName = "DDPMScheduler" | "DDIMScheduler" | "DPMSolverMultistepScheduler";
export type PredictionType = "epsilon" | "v_prediction" | "sample";
export type TimestepSpacing = "leading" | "linspace" | "trailing";

/** Keys and defaults of diffusers' schedulers, those that change the numbers. */
export interface SchedulerConfig {
  _class_name: SchedulerName;
  num_train_timesteps: number;
  beta_start: number;
  beta_end: number;
  beta_schedule: BetaSchedule;
  prediction_type: PredictionType;
  timestep_spacing: TimestepSpacing;
  steps_offset: number;
  /** DDPM and DDIM. */
  clip_sample: boolean;
  clip_sample_range: number;
  /** With sample_max_value 1, as here: x0 is clipped to ±1. The only clipping of DPM-Solver++. */
  thresholding: boolean;
  /** DDPM. */
  variance_type: "fixed_small" | "fixed_large";
  /** DDIM. */
  set_alpha_to_one: boolean;
  /** DPM-Solver++. */
  solver_order: 1 | 2;
  lower_order_final: boolean;
  final_sigmas_type: "zero" | "sigma_min";
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

export function schedulerAlphas(config: SchedulerConfig): number[] {
  const { beta_schedule, beta_start, beta_end, num_train_timesteps } = config;
  return alphasCumprod(betas(beta_schedule, beta_start, beta_end, num_train_timesteps));
}

/** One reverse step: the timestep that the model is asked at, and the kernel's coefficients. */
export interface ReverseStep {
  readonly t: number;
  readonly coefficients: Float32Array<ArrayBuffer>;
  /** Whether noise is added (its coefficient is not zero). */
  readonly stochastic: boolean;
  /** √ᾱ and √(1 − ᾱ) of x before the step and after it, where the last step leaves clean images. */
  readonly levels: { readonly before: NoiseLevel; readonly after: NoiseLevel };
}

/** √ᾱ and √(1 − ᾱ). */
export type NoiseLevel = readonly [signal: number, noise: number];

/** numpy's round: halves go to the even neighbour. */
function roundEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The timesteps that `set_timesteps(steps)` of the scheduler picks, from noisy to clean. */
export function inferenceTimesteps(config: SchedulerConfig, steps: number): number[] {
  const total = config.num_train_timesteps;
  if (!Number.isInteger(steps) || steps < 1 || steps > total) {
    throw new InputError(
      `number of sampling steps ${steps} must be a whole number from 1 to ${total}, ` +
        `the model's training timesteps`,
    );
  }
  const solver = config._class_name === "DPMSolverMultistepScheduler";
  const range = (n: number) => Array.from({ length: n }, (_, i) => i);
  switch (config.timestep_spacing) {
    case "linspace": {
      const count = solver ? steps + 1 : steps;
      const step = (total - 1) / Math.max(count - 1, 1);
      const up = range(count).map((i) =>
        roundEven(i === count - 1 && i > 0 ? total - 1 : i * step)
      );
      return up.reverse().slice(0, steps);
    }
    case "leading": {
      const ratio = Math.floor(total / (solver ? steps + 1 : steps));
      const from = solver ? 1 : 0;
      return range(steps).map((i) => (i + from) * ratio + config.steps_offset).reverse();
    }
    case "trailing": {
      const ratio = total / steps;
      return range(steps).map((i) => roundEven(total - i * ratio) - 1);
    }
  }
}

/** Why timesteps are none that a model can be asked at one after the other; undefined: they are. */
function badTimesteps(config: SchedulerConfig, steps: number): string | undefined {
  const times = inferenceTimesteps(config, steps), last = config.num_train_timesteps - 1;
  const outside = times.find((t) => t < 0 || t > last);
  if (outside !== undefined) {
    return `asks for timestep ${outside}, past the end: the last one trained is ${last}`;
  }
  const twice = times.find((t, i) => t === times[i + 1]);
  if (twice !== undefined) return `asks for timestep ${twice} twice`;
}

/** @throws InputError naming the cause and the most steps that do. */
function checkedTimesteps(config: SchedulerConfig, steps: number): number[] {
  const bad = badTimesteps(config, steps);
  if (!bad) return inferenceTimesteps(config, steps);
  let most = steps - 1;
  while (most > 0 && badTimesteps(config, most)) most--;
  const { _class_name, timestep_spacing, steps_offset } = config;
  throw new InputError(
    `${_class_name} with ${steps} steps, timestep_spacing ${timestep_spacing} and steps_offset ` +
      `${steps_offset} ${bad}; ` +
      (most ? `at most ${most} steps are possible` : "take a smaller steps_offset"),
  );
}

/** No clipping: larger than any value met, yet finite in float32. */
const NO_CLIP = 3e38;

/** How x0 and ε follow from the model output: [kx, ke, lx, le] for √ᾱ = alpha, √(1−ᾱ) = sigma. */
function conversion(type: PredictionType, alpha: number, sigma: number): number[] {
  switch (type) {
    case "epsilon":
      return [1 / alpha, -sigma / alpha, 0, 1];
    case "sample":
      return [0, 1, 1 / sigma, -alpha / sigma];
    case "v_prediction":
      return [alpha, -sigma, sigma, alpha];
  }
}

/**
 * All reverse steps of a run of `steps` steps.
 *
 * @param eta DDIM's η: 0 deterministic, 1 as noisy as DDPM.
 * @throws InputError where a step would ask for a timestep that was not trained, or divide by zero.
 */
export function reverseSteps(config: SchedulerConfig, steps: number, eta = 0): ReverseStep[] {
  const bar = schedulerAlphas(config);
  const times = checkedTimesteps(config, steps);
  const clip = config.thresholding ? 1 : config.clip_sample ? config.clip_sample_range : NO_CLIP;
  const make: MakeStep = (t, [kx, ke, lx, le], after, { a = 0, b = 0, c = 0, d = 0, s = 0 }) => {
    const coefficients = new Float32Array(STEP_COEFFICIENTS);
    coefficients.set([kx, ke, clip, lx, le, a, b, c, d, s]);
    if (coefficients.some((value) => !Number.isFinite(value))) {
      const { beta_schedule, beta_start, beta_end, num_train_timesteps } = config;
      throw new InputError(
        `${config._class_name} divides by zero at timestep ${t}, where ᾱ is ${bar[t]}: β ` +
          `${beta_schedule} from ${beta_start} to ${beta_end} over ${num_train_timesteps} timesteps`,
      );
    }
    const levels = { before: noiseLevel(bar[t]), after: noiseLevel(after) };
    return { t, coefficients, stochastic: s !== 0, levels };
  };
  if (config._class_name === "DPMSolverMultistepScheduler") {
    return solverSteps(config, times, bar, make);
  }

  return times.map((t, i) => {
    const at = bar[t];
    const convert = conversion(config.prediction_type, Math.sqrt(at), Math.sqrt(1 - at));
    if (config._class_name === "DDPMScheduler") {
      // Ho et al. 2020, eq. 7; `previous_timestep` is the next one in the list.
      const previous = times[i + 1] ?? -1;
      const before = previous >= 0 ? bar[previous] : 1;
      const alpha = at / before;
      const beta = 1 - alpha;
      const variance = Math.max((1 - before) / (1 - at) * beta, 1e-20);
      return make(t, convert, before, {
        a: Math.sqrt(alpha) * (1 - before) / (1 - at),
        b: Math.sqrt(before) * beta / (1 - at),
        s: t > 0 ? Math.sqrt(config.variance_type === "fixed_large" ? beta : variance) : 0,
      });
    }
    // Song et al. 2021, eq. 12 and 16.
    const previous = t - Math.floor(config.num_train_timesteps / steps);
    const before = previous >= 0 ? bar[previous] : config.set_alpha_to_one ? 1 : bar[0];
    const variance = (1 - before) / (1 - at) * (1 - at / before);
    const s = eta * Math.sqrt(Math.max(variance, 0));
    return make(t, convert, before, {
      b: Math.sqrt(before),
      c: Math.sqrt(Math.max(1 - before - s * s, 0)),
      s,
    });
  });
}

/**
 * The table of q_sample as the scheduler's own `add_noise` uses it after `set_timesteps(steps)`,
 * [T,2]. DDPM and DDIM: √ᾱ and √(1 − ᾱ) of each timestep. DPM-Solver++ knows only the timesteps of
 * its schedule and takes the last one's noise level for any other.
 */
export function addNoiseTable(config: SchedulerConfig, steps: number): Float32Array<ArrayBuffer> {
  const bar = schedulerAlphas(config);
  if (config._class_name !== "DPMSolverMultistepScheduler") return qSampleTable(bar);
  const times = inferenceTimesteps(config, steps);
  const known = new Set(times);
  return qSampleTable(bar.map((alpha, t) => known.has(t) ? alpha : bar[times.at(-1)!]));
}

type Terms = { a?: number; b?: number; c?: number; d?: number; s?: number };
/** @param after ᾱ that the step ends at. */
type MakeStep = (t: number, convert: number[], after: number, terms: Terms) => ReverseStep;

const noiseLevel = (bar: number): NoiseLevel => [Math.sqrt(bar), Math.sqrt(1 - bar)];

/** Lu et al. 2022, arXiv:2211.01095, algorithm 2 (midpoint), with diffusers' lower-order ends. */
function solverSteps(
  config: SchedulerConfig,
  times: number[],
  bar: number[],
  make: MakeStep,
): ReverseStep[] {
  const sigmaOf = (alpha: number) => Math.sqrt((1 - alpha) / alpha);
  const sigmas = times.map((t) => sigmaOf(bar[t]));
  sigmas.push(config.final_sigmas_type === "zero" ? 0 : sigmaOf(bar[0]));
  const alpha = sigmas.map((s) => 1 / Math.sqrt(s * s + 1));
  const lambda = sigmas.map((s) => -Math.log(s)); // log α − log(σα); ∞ at σ = 0
  return times.map((t, i) => {
    const convert = conversion(config.prediction_type, alpha[i], sigmas[i] * alpha[i]);
    const h = lambda[i + 1] - lambda[i];
    const a = sigmas[i + 1] * alpha[i + 1] / (sigmas[i] * alpha[i]);
    const first = -alpha[i + 1] * Math.expm1(-h);
    const last = i === times.length - 1 && (config.final_sigmas_type === "zero" ||
      config.euler_at_final || (config.lower_order_final && times.length < 15));
    if (config.solver_order === 1 || i === 0 || last) {
      return make(t, convert, alpha[i + 1] ** 2, { a, b: first });
    }
    const half = 0.5 * first * h / (lambda[i] - lambda[i - 1]); // D1 = (x0 − previous x0) / r0
    return make(t, convert, alpha[i + 1] ** 2, { a, b: first + half, d: -half });
  });
}
