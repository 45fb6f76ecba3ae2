/**
 * DDPM, DDIM and DPM-Solver++ 2M as lists of coefficients for the one `scheduler_step` kernel:
 *
 *     x0 = clamp(kx·x + ke·e, ±clip),   ε = lx·x + le·e     (e: the model's output)
 *     x_prev = a·x + b·x0 + c·ε + d·x0_last + s·z           (x0_last: of the step before, z: noise)
 *
 * Names and numbered steps are those of diffusers' `step` methods.
 */

import { InputError } from "../errors.ts";
import { STEP_COEFFICIENTS } from "../ops/diffusion/shared.ts";
import { alphasCumprod, betas, qSampleTable } from "./noise_schedule.ts";
import type { PredictionType, SchedulerConfig, SchedulerName } from "./scheduler_config.ts";
import { checkedTimesteps, inferenceTimesteps } from "./timesteps.ts";

/** ᾱ of each timestep. */
export function schedulerAlphas(config: SchedulerConfig): number[] {
  const { beta_schedule, beta_start, beta_end, num_train_timesteps } = config;
  return alphasCumprod(betas(beta_schedule, beta_start, beta_end, num_train_timesteps));
}

/** One reverse step: the timestep that the model is asked at, and the kernel's coefficients. */
export interface ReverseStep {
  /** The timestep. */
  readonly t: number;
  /** Of the op scheduler_step. */
  readonly coefficients: Float32Array<ArrayBuffer>;
  /** Whether noise is added (its coefficient is not zero). */
  readonly stochastic: boolean;
  /** √ᾱ and √(1 − ᾱ) of x before the step and after it, where the last step leaves clean images. */
  readonly levels: { readonly before: NoiseLevel; readonly after: NoiseLevel };
}

/** √ᾱ and √(1 − ᾱ). */
export type NoiseLevel = readonly [signal: number, noise: number];

/** Coefficients of one step in float64, and the ᾱ that it ends at. */
interface Step {
  readonly t: number;
  /** [kx, ke, lx, le]. */
  readonly conversion: readonly number[];
  readonly alphaProdPrev: number;
  /** x_prev = a·x + b·x0 + c·ε + d·x0_last + s·z; 0 where left out. */
  readonly a?: number;
  readonly b?: number;
  readonly c?: number;
  readonly d?: number;
  readonly s?: number;
}

/** @param alphasCumprod ᾱ of each timestep of training. */
type StepsOf = (
  config: SchedulerConfig,
  timesteps: readonly number[],
  alphasCumprod: readonly number[],
  eta: number,
) => Step[];

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

/** Ho et al. 2020, arXiv:2006.11239. */
const ddpmSteps: StepsOf = (config, timesteps, alphasCumprod) =>
  timesteps.map((t, i) => {
    // 1. ᾱ, α and β. The previous timestep is the next one in the list.
    const prev = timesteps[i + 1] ?? -1;
    const alphaProd = alphasCumprod[t];
    const alphaProdPrev = prev >= 0 ? alphasCumprod[prev] : 1;
    const currentAlpha = alphaProd / alphaProdPrev;
    const currentBeta = 1 - currentAlpha;
    const variance = Math.max((1 - alphaProdPrev) / (1 - alphaProd) * currentBeta, 1e-20);
    return {
      t,
      alphaProdPrev,
      // 2. and 3. The predicted original sample, formula (15), and its clipping: in the kernel.
      conversion: conversion(
        config.prediction_type,
        Math.sqrt(alphaProd),
        Math.sqrt(1 - alphaProd),
      ),
      // 4. and 5. The predicted previous sample, formula (7).
      a: Math.sqrt(currentAlpha) * (1 - alphaProdPrev) / (1 - alphaProd),
      b: Math.sqrt(alphaProdPrev) * currentBeta / (1 - alphaProd),
      // 6. Noise: the variance of formula (7), or β.
      s: t > 0 ? Math.sqrt(config.variance_type === "fixed_large" ? currentBeta : variance) : 0,
    };
  });

/** Song et al. 2021, arXiv:2010.02502. */
const ddimSteps: StepsOf = (config, timesteps, alphasCumprod, eta) =>
  timesteps.map((t) => {
    // 1. and 2. The previous timestep is a constant distance away, and ᾱ at both.
    const prev = t - Math.floor(config.num_train_timesteps / timesteps.length);
    const alphaProd = alphasCumprod[t];
    const alphaProdPrev = prev >= 0
      ? alphasCumprod[prev]
      : config.set_alpha_to_one
      ? 1
      : alphasCumprod[0];
    // 5. σ_t(η), formula (16).
    const variance = (1 - alphaProdPrev) / (1 - alphaProd) * (1 - alphaProd / alphaProdPrev);
    const stdDev = eta * Math.sqrt(Math.max(variance, 0));
    return {
      t,
      alphaProdPrev,
      // 3. and 4. The predicted original sample and its clipping: in the kernel.
      conversion: conversion(
        config.prediction_type,
        Math.sqrt(alphaProd),
        Math.sqrt(1 - alphaProd),
      ),
      // 6. and 7. "Direction pointing to x_t" and x_{t-1}, formula (12).
      b: Math.sqrt(alphaProdPrev),
      c: Math.sqrt(Math.max(1 - alphaProdPrev - stdDev * stdDev, 0)),
      s: stdDev,
    };
  });

/** Lu et al. 2022, arXiv:2211.01095, algorithm 2 (midpoint), with diffusers' lower-order ends. */
const dpmSolverSteps: StepsOf = (config, timesteps, alphasCumprod) => {
  const sigmaOf = (alphaProd: number) => Math.sqrt((1 - alphaProd) / alphaProd);
  const sigmas = timesteps.map((t) => sigmaOf(alphasCumprod[t]));
  sigmas.push(config.final_sigmas_type === "zero" ? 0 : sigmaOf(alphasCumprod[0]));
  const alpha = sigmas.map((s) => 1 / Math.sqrt(s * s + 1));
  const lambda = sigmas.map((s) => -Math.log(s)); // log α − log(σα); ∞ at σ = 0
  return timesteps.map((t, i) => {
    const h = lambda[i + 1] - lambda[i];
    const first = -alpha[i + 1] * Math.expm1(-h);
    const step = {
      t,
      alphaProdPrev: alpha[i + 1] ** 2,
      conversion: conversion(config.prediction_type, alpha[i], sigmas[i] * alpha[i]),
      a: sigmas[i + 1] * alpha[i + 1] / (sigmas[i] * alpha[i]),
    };
    const isLowerOrder = i === timesteps.length - 1 && (config.final_sigmas_type === "zero" ||
      config.euler_at_final || (config.lower_order_final && timesteps.length < 15));
    if (config.solver_order === 1 || i === 0 || isLowerOrder) return { ...step, b: first };
    const half = 0.5 * first * h / (lambda[i] - lambda[i - 1]); // D1 = (x0 − x0_last) / r0
    return { ...step, b: first + half, d: -half };
  });
};

const STEPS: Readonly<Record<SchedulerName, StepsOf>> = {
  DDPMScheduler: ddpmSteps,
  DDIMScheduler: ddimSteps,
  DPMSolverMultistepScheduler: dpmSolverSteps,
};

/** No clipping: larger than any value met, yet finite in float32. */
const NO_CLIP = 3e38;

/**
 * All reverse steps of a run of `steps` steps.
 *
 * @param eta DDIM's η: 0 deterministic, 1 as noisy as DDPM.
 * @throws InputError where a step would ask for a timestep that was not trained, or divide by zero.
 *
 * @example
 * ```ts
 * import { reverseSteps, schedulerConfig } from "@lung-ddpm/webgpu";
 * const config = schedulerConfig({ _class_name: "DDIMScheduler" }, "scheduler_config.json");
 * reverseSteps(config, 10).map(({ t }) => t); // [900, 800, …, 0]
 * ```
 */
export function reverseSteps(config: SchedulerConfig, steps: number, eta = 0): ReverseStep[] {
  const alphasCumprod = schedulerAlphas(config);
  const timesteps = checkedTimesteps(config, steps);
  const clip = config.thresholding ? 1 : config.clip_sample ? config.clip_sample_range : NO_CLIP;
  return STEPS[config._class_name](config, timesteps, alphasCumprod, eta).map((step) => {
    const { t, conversion: [kx, ke, lx, le], a = 0, b = 0, c = 0, d = 0, s = 0 } = step;
    const coefficients = new Float32Array(STEP_COEFFICIENTS);
    coefficients.set([kx, ke, clip, lx, le, a, b, c, d, s]);
    if (coefficients.some((value) => !Number.isFinite(value))) {
      const { beta_schedule, beta_start, beta_end, num_train_timesteps } = config;
      throw new InputError(
        `${config._class_name} divides by zero at timestep ${t}, where ᾱ is ` +
          `${alphasCumprod[t]}: β ${beta_schedule} from ${beta_start} to ${beta_end} over ` +
          `${num_train_timesteps} timesteps`,
      );
    }
    const levels = {
      before: noiseLevel(alphasCumprod[t]),
      after: noiseLevel(step.alphaProdPrev),
    };
    return { t, coefficients, stochastic: s !== 0, levels };
  });
}

const noiseLevel = (alphaProd: number): NoiseLevel => [
  Math.sqrt(alphaProd),
  Math.sqrt(1 - alphaProd),
];

/**
 * The table of q_sample as the scheduler's own `add_noise` uses it after `set_timesteps(steps)`,
 * [T,2]. DDPM and DDIM: √ᾱ and √(1 − ᾱ) of each timestep. DPM-Solver++ knows only the timesteps of
 * its schedule and takes the last one's noise level for any other.
 */
export function addNoiseTable(config: SchedulerConfig, steps: number): Float32Array<ArrayBuffer> {
  const alphasCumprod = schedulerAlphas(config);
  if (config._class_name !== "DPMSolverMultistepScheduler") return qSampleTable(alphasCumprod);
  const timesteps = inferenceTimesteps(config, steps), known = new Set(timesteps);
  return qSampleTable(
    alphasCumprod.map((alpha, t) => known.has(t) ? alpha : alphasCumprod[timesteps.at(-1)!]),
  );
}
