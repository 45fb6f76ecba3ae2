/** A training run's step as graph and Plan, and what its models are told. Opens nothing. */

import { preparationNotes } from "../diffusion/sampling_model.ts";
import { InputError } from "../errors.ts";
import type { Plan } from "../plan/plan.ts";
import { plan } from "../plan/planner.ts";
import type { PlanOptions } from "../plan/lower.ts";
import type { Graph } from "../graph/graph.ts";
import type { DeviceProfile } from "../graph/op.ts";
import type { ParameterLayout } from "../nn/parameters.ts";
import { unet2DParameters } from "../nn/unet_2d.ts";
import { OPS } from "../ops/mod.ts";
import type { RunConfig } from "./config.ts";
import { trainingGraph } from "./training_graph.ts";

/** Losses kept on the device: two windows, so that one can be read while the other fills. */
export const LOG_SIZE = 256;

/** The class map's value for slices that were given no class (label dropout). */
export const NO_CLASS = -1;

/**
 * The graph and the Plan of one micro-batch of a run: what trains, and what audits look at.
 *
 * @param teamSize processes that share the batch.
 * @param choose picks among variants, as `tunedChoice` has it for a real adapter.
 */
export function trainingStep(
  config: RunConfig,
  device: DeviceProfile,
  teamSize = 1,
  choose?: PlanOptions["choose"],
): TrainingStep {
  if (config.train_batch_size % teamSize) {
    throw new InputError(
      `train_batch_size ${config.train_batch_size} must be a multiple of the ${teamSize} processes`,
    );
  }
  const layout = unet2DParameters(config.unet);
  const [height, width] = config.resolution;
  const graph = trainingGraph({
    config: config.unet,
    layout,
    batch: config.train_batch_size / teamSize,
    height,
    width,
    timesteps: config.ddpm_num_steps,
    accumulation: config.gradient_accumulation_steps,
    noise: "device",
    logSize: LOG_SIZE,
    predictsNoise: config.prediction_type === "epsilon",
    weighted: config.snr_gamma !== null,
    maxGradNorm: config.max_grad_norm,
    exposeGradient: teamSize > 1,
    recompute: config.recompute,
    precision: config.precision,
    device,
  });
  return { layout, graph, plan: plan(graph, OPS, { device, exact: config.exact, choose }) };
}

export interface TrainingStep {
  readonly layout: ParameterLayout;
  readonly graph: Graph;
  readonly plan: Plan;
}

/** What the class map of a run's models holds where no class is meant. */
export function nullClass(config: RunConfig): number {
  return config.label_dropout > 0 ? NO_CLASS : 0;
}

/**
 * The forward process of a run, as diffusers' scheduler_config.json says it. `_null_class` and
 * `_condition`, of which diffusers takes no notice, say what the class map holds where guidance asks
 * for no class, and what else.
 */
export function trainingScheduler(config: RunConfig): Record<string, unknown> {
  return {
    _class_name: "DDPMScheduler",
    _diffusers_version: "0.40.0",
    num_train_timesteps: config.ddpm_num_steps,
    _null_class: nullClass(config),
    ...preparationNotes(config),
    beta_start: config.beta_start,
    beta_end: config.beta_end,
    beta_schedule: config.ddpm_beta_schedule,
    prediction_type: config.prediction_type,
    variance_type: "fixed_small",
    clip_sample: true,
    clip_sample_range: 1,
    timestep_spacing: "leading",
    steps_offset: 0,
  };
}
