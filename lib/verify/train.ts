/** Kind `train`: AdamW, gradient accumulation and EMA over recorded batches. */

import type { Gpu } from "../gpu/device.ts";
import { plan } from "../gpu/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import { qSampleTable } from "../diffusion/noise_schedule.ts";
import { type PredictionType, schedulerAlphas, schedulerConfig } from "../diffusion/scheduler.ts";
import { unet2DConfig } from "../nn/config.ts";
import type { ParameterLayout } from "../nn/parameters.ts";
import { flattenParameters } from "../nn/state_dict.ts";
import { unet2DParameters } from "../nn/unet_2d.ts";
import { CLIP_BLOCK } from "../ops/gradient_clip.ts";
import { OPS } from "../ops/mod.ts";
import { adamwHyper } from "../train/adamw.ts";
import { fromLossScale, INITIAL_LOSS_SCALE, logBetas } from "../train/loss_scale.ts";
import { learningRate, type LrScheduler } from "../train/learning_rate.ts";
import { minSnrWeights, targetTable } from "../train/target.ts";
import { trainingGraph } from "../train/training_graph.ts";
import {
  type Check,
  distance,
  floats,
  ints,
  type ReferenceCase,
  row,
  tensorOf,
  type VerifyOptions,
} from "./case.ts";
import { PARAMETERS, tolerances } from "./tolerances.ts";

export async function verifyTrain(
  gpu: Gpu,
  reference: ReferenceCase,
  { exact, choose, precision }: VerifyOptions,
): Promise<Check[]> {
  const options = reference.config as {
    unet: unknown;
    lr: number;
    grad_acc: number;
    ema_decay: number;
    weight_decay: number;
    betas: [number, number];
    eps: number;
    // Where they are not the default.
    prediction_type?: PredictionType;
    snr_gamma?: number;
    max_grad_norm?: number;
    lr_scheduler?: LrScheduler;
    lr_warmup_steps?: number;
  };
  const allowed = tolerances(precision);
  const predictionType = options.prediction_type ?? "epsilon";
  const config = unet2DConfig(options.unet, reference.file);
  const layout = unet2DParameters(config);
  const start = flattenParameters(layout, reference.tensors, reference.file, PARAMETERS);
  const { shape } = tensorOf(reference, "ct");
  const [steps, batch, , height, width] = shape;
  const alphas = schedulerAlphas(schedulerConfig({ _class_name: "DDPMScheduler" }, reference.file));
  const graph = trainingGraph({
    config,
    layout,
    batch,
    height,
    width,
    timesteps: alphas.length,
    accumulation: options.grad_acc,
    noise: "input",
    logSize: steps,
    predictsNoise: predictionType === "epsilon",
    weighted: options.snr_gamma !== undefined,
    maxGradNorm: options.max_grad_norm,
    precision,
    device: gpu.profile,
  });
  const exe = await Executable.load(
    gpu,
    plan(graph, OPS, { device: gpu.profile, exact, choose }),
    { poison: true },
  );
  exe.write("params", start);
  exe.write("ema", start);
  exe.write("table", qSampleTable(alphas));
  if (precision === "f16") {
    exe.write("loss_scale", fromLossScale(INITIAL_LOSS_SCALE));
    exe.write("log_betas", logBetas(...options.betas));
  } else exe.write("loss_gradient", new Float32Array([1]));
  if (predictionType !== "epsilon") exe.write("targets", targetTable(predictionType, alphas));
  if (options.snr_gamma !== undefined) {
    const weights = minSnrWeights(predictionType, alphas, options.snr_gamma);
    exe.write("root_weights", Float32Array.from(weights, Math.sqrt));
  }
  if (exe.plan.inputs.filled) exe.write("filled", layout.filledBlocks(CLIP_BLOCK));
  const data = Object.fromEntries(
    ["ct", "lung_mask", "class_map", "noise"].map((n) => [n, floats(reference, n)]),
  );
  const t = ints(reference, "t");
  const adamw = {
    betas: options.betas,
    eps: options.eps,
    weightDecay: options.weight_decay,
  };
  for (let i = 0; i < steps; i++) {
    for (const [name, values] of Object.entries(data)) exe.write(name, row(values, shape, i));
    exe.write("t", row(t, [steps, batch], i));
    exe.write("log_index", new Int32Array([i]));
    const within = i % options.grad_acc;
    if (options.grad_acc > 1) {
      exe.write("control", new Float32Array([within > 0 ? 1 : 0, 1 / options.grad_acc]));
    }
    const apply = within === options.grad_acc - 1;
    const step = Math.floor(i / options.grad_acc) + 1;
    const lr = learningRate({
      scheduler: options.lr_scheduler ?? "constant",
      lr: options.lr,
      warmupSteps: options.lr_warmup_steps ?? 0,
      totalSteps: Math.floor(steps / options.grad_acc),
    }, step - 1);
    exe.write("hyper", adamwHyper({ ...adamw, lr }, step, options.ema_decay, apply));
    exe.run();
  }
  const losses = await exe.read("losses");
  const expected = floats(reference, "loss");
  const lossError = Math.max(...losses.map((v, i) => Math.abs(v / expected[i] - 1)));
  const checks: Check[] = [{
    name: "losses",
    error: Number.isFinite(lossError) ? lossError : Infinity,
    tolerance: allowed.loss,
    measure: "relative",
  }];
  const zero = zeroGradients(layout, config);
  for (const [state, prefix] of [["params", "final."], ["ema", "ema."]]) {
    const flat = await exe.read(state);
    let [difference, norm, size] = [0, 0, 0];
    for (const { name } of layout.specs) {
      if (zero(name)) continue;
      const goal = floats(reference, prefix + name);
      const from = layout.part(start, name);
      const got = layout.part(flat, name);
      const [d, n] = distance(got.map((v, i) => v - from[i]), goal.map((v, i) => v - from[i]));
      difference += d;
      norm += n;
      size += distance(goal, goal)[1];
    }
    // Each step rounds a weight once, by up to 2^-25 of it: what float32 can know of a small update.
    const rounding = Math.sqrt(steps * size / norm) * 2 ** -25;
    const error = Math.sqrt(difference / norm);
    checks.push({
      name: `${prefix}* (total update)`,
      error: Number.isFinite(error) ? error : Infinity,
      tolerance: allowed.update + rounding,
      measure: "relative",
    });
  }
  exe.destroy();
  return checks;
}

/**
 * Parameters whose gradient is zero in exact arithmetic, where AdamW turns rounding noise into steps
 * of up to the learning rate: `to_k.bias` (softmax ignores a constant), and per-channel constants in
 * front of a group norm with one channel a group.
 */
function zeroGradients(
  layout: ParameterLayout,
  config: { norm_num_groups: number },
): (name: string) => boolean {
  return (name) => {
    if (name.endsWith("to_k.bias")) return true;
    const match = name.match(/^(.*resnets\.\d+)\.(conv1\.bias|time_emb_proj\.(weight|bias))$/);
    if (!match) return false;
    return layout.get(`${match[1]}.norm2.weight`).shape[0] === config.norm_num_groups;
  };
}
