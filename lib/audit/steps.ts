/** The steps that can be audited: a preset's training step or reverse step, planned for a device. */

import { initialNoiseGraph, samplingGraph } from "../diffusion/sampling_graph.ts";
import { InputError } from "../errors.ts";
import type { Plan } from "../plan/plan.ts";
import { plan } from "../plan/planner.ts";
import type { PlanOptions } from "../plan/lower.ts";
import type { Graph } from "../graph/graph.ts";
import type { DeviceProfile } from "../graph/op.ts";
import type { Precision } from "../graph/tensor.ts";
import { unet2DParameters } from "../nn/unet_2d.ts";
import { OPS } from "../ops/mod.ts";
import { PRESETS, type RunConfig, runConfig } from "../train/config.ts";
import { trainingStep } from "../train/training_step.ts";

export const STEP_KINDS = ["train", "sample"] as const;
export type StepKind = typeof STEP_KINDS[number];

/** Images of an audited sampling step, as `deno task sample` takes them by default. */
export const SAMPLE_BATCH = 8;

export interface AuditedStep {
  readonly kind: StepKind;
  readonly preset: string;
  readonly config: Pick<RunConfig, "unet" | "resolution">;
  readonly graph: Graph;
  readonly plan: Plan;
}

/** @throws InputError naming the presets there are. */
export function presetConfig(preset: string, precision: Precision = "f32"): RunConfig {
  const raw = PRESETS[preset];
  if (!raw) {
    throw new InputError(`--preset ${preset}: there is ${Object.keys(PRESETS).join(", ")}`);
  }
  return runConfig({ ...structuredClone(raw), precision }, `preset ${preset}`);
}

/** What a preset's sampler is made with: guided, whole batches. */
export function samplerOptions(config: RunConfig, batch = SAMPLE_BATCH) {
  const [height, width] = config.resolution;
  const layout = unet2DParameters(config.unet);
  return {
    config: config.unet,
    layout,
    batch,
    height,
    width,
    guided: true,
    exact: config.exact,
    precision: config.precision,
  };
}

/**
 * The very graph and Plan that training or sampling would run on the device.
 *
 * @param choose as `tunedChoice` has it for a real adapter; none for the profiles of the lock.
 */
export function auditedStep(
  kind: StepKind,
  preset: string,
  config: RunConfig,
  device: DeviceProfile,
  choose?: PlanOptions["choose"],
): AuditedStep {
  if (kind === "train") {
    const { graph, plan } = trainingStep(config, device, 1, choose);
    return { kind, preset, config, graph, plan };
  }
  const graph = samplingGraph({
    ...samplerOptions(config),
    noise: "device",
    device,
  });
  const laidOut = plan(graph, OPS, { device, exact: config.exact, choose });
  return { kind, preset, config, graph, plan: laidOut };
}

/** What a sampler runs once before the first reverse step. */
export function noisePlan(config: RunConfig, device: DeviceProfile): Plan {
  const [height, width] = config.resolution;
  return plan(initialNoiseGraph(SAMPLE_BATCH, height, width), OPS, { device });
}
