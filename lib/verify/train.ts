/** Kind `train`: AdamW, gradient accumulation and EMA over recorded batches. */

import { type After, interpret } from "../graph/interpret.ts";
import type { Gpu } from "../gpu/device.ts";
import { plan } from "../plan/planner.ts";
import { Executable, type TypedData } from "../gpu/runtime.ts";
import { qSampleTable } from "../diffusion/noise_schedule.ts";
import { schedulerAlphas } from "../diffusion/scheduler.ts";
import { type PredictionType, schedulerConfig } from "../diffusion/scheduler_config.ts";
import { unet2DConfig } from "../nn/config.ts";
import { zeroGradients } from "../nn/lost.ts";
import { flattenParameters } from "../nn/state_dict.ts";
import { unet2DParameters } from "../nn/unet_2d.ts";
import { CLIP_BLOCK } from "../ops/gradient_clip/shared.ts";
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
import { withRounding } from "./rounding.ts";
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
  const fixed: Record<string, TypedData> = { table: qSampleTable(alphas) };
  const scaling: Record<string, Float32Array<ArrayBuffer>> = {};
  if (precision === "f16") {
    scaling.loss_scale = fromLossScale(INITIAL_LOSS_SCALE);
    fixed.log_betas = logBetas(...options.betas);
  } else fixed.loss_gradient = new Float32Array([1]);
  if (predictionType !== "epsilon") fixed.targets = targetTable(predictionType, alphas);
  if (options.snr_gamma !== undefined) {
    const weights = minSnrWeights(predictionType, alphas, options.snr_gamma);
    fixed.root_weights = Float32Array.from(weights, Math.sqrt);
  }
  if (graph.inputs.has("filled")) fixed.filled = layout.filledBlocks(CLIP_BLOCK);
  const data = Object.fromEntries(
    ["ct", "lung_mask", "class_map", "noise"].map((n) => [n, floats(reference, n)]),
  );
  const t = ints(reference, "t");
  const adamw = {
    betas: options.betas,
    eps: options.eps,
    weightDecay: options.weight_decay,
  };
  const inputsOf = (i: number): Record<string, TypedData> => {
    const within = i % options.grad_acc, step = Math.floor(i / options.grad_acc) + 1;
    const lr = learningRate({
      scheduler: options.lr_scheduler ?? "constant",
      lr: options.lr,
      warmupSteps: options.lr_warmup_steps ?? 0,
      totalSteps: Math.floor(steps / options.grad_acc),
    }, step - 1);
    const apply = within === options.grad_acc - 1;
    const rows = Object.entries(data).map(([name, values]) => [name, row(values, shape, i)]);
    return {
      ...Object.fromEntries(rows),
      t: row(t, [steps, batch], i),
      log_index: new Int32Array([i]),
      ...(options.grad_acc > 1
        ? { control: new Float32Array([within > 0 ? 1 : 0, 1 / options.grad_acc]) }
        : {}),
      hyper: adamwHyper({ ...adamw, lr }, step, options.ema_decay, apply),
    };
  };
  const begin = { ...scaling, params: start, ema: start };
  for (const [name, values] of Object.entries({ ...begin, ...fixed })) exe.write(name, values);
  for (let i = 0; i < steps; i++) {
    for (const [name, values] of Object.entries(inputsOf(i))) exe.write(name, values);
    exe.run();
  }
  const got: Trained = {
    losses: await exe.read("losses"),
    params: await exe.read("params"),
    ema: await exe.read("ema"),
  };
  exe.destroy();

  // AdamW turns the rounding noise of these into steps of up to the learning rate.
  const zero = zeroGradients(config, height, width).parameters;
  const counted = layout.specs.filter(({ name }) => !zero.has(name)).map(({ name }) => name);
  const STATES = [["params", "final."], ["ema", "ema."]] as const;
  const wanted: Goal = {
    losses: floats(reference, "loss"),
    part: (state, name) => floats(reference, (state === "ema" ? "ema." : "final.") + name),
  };
  /** ‖a − b‖ / ‖b‖ of the updates of all weights, and ‖b‖² of the weights over that of the updates. */
  const updates = (state: "params" | "ema", flat: Floats, goal: Goal) => {
    let [difference, norm, size] = [0, 0, 0];
    for (const name of counted) {
      const from = layout.part(start, name), made = layout.part(flat, name);
      const to = goal.part(state, name);
      const [d, n] = distance(
        Array.from(made, (v, i) => v - from[i]),
        Array.from(to, (v, i) => v - from[i]),
      );
      difference += d;
      norm += n;
      size += distance(to, to)[1];
    }
    const error = Math.sqrt(difference / norm);
    return { error: Number.isFinite(error) ? error : Infinity, share: size / norm };
  };
  const lossError = (losses: Floats, { losses: goal }: Goal) => {
    const error = Math.max(...Array.from(losses, (v, i) => Math.abs(v / goal[i] - 1)));
    return Number.isFinite(error) ? error : Infinity;
  };
  const errors = (run: Trained, goal: Goal) => [
    lossError(run.losses, goal),
    ...STATES.map(([state]) => updates(state, run[state], goal).error),
  ];
  const found = errors(got, wanted);
  const checks: Check[] = [{
    name: "losses",
    error: found[0],
    tolerance: allowed.loss,
    measure: "relative",
  }];
  for (const [i, [state, prefix]] of STATES.entries()) {
    // Each step rounds a weight once, by up to 2^-25 of it: what float32 can know of a small update.
    const rounding = Math.sqrt(steps * updates(state, got[state], wanted).share) * 2 ** -25;
    checks.push({
      name: `${prefix}* (total update)`,
      error: found[1 + i],
      tolerance: allowed.update + rounding,
      measure: "relative",
    });
  }
  if (precision === "f16" || checks.every((c) => c.error <= c.tolerance)) return checks;
  // PyTorch has the optimizer's numbers and the noise schedule's in float64.
  const nudge = (values: ArrayLike<number>) =>
    Array.from(values, (v, i) => v * (1 + NUDGES[i % 2]));
  const run = (after: After, change: typeof nudge = (values) => Array.from(values)): Trained => {
    let states: Record<string, ArrayLike<number>> = {
      ...Object.fromEntries([...graph.states].map(([n, { size }]) => [n, new Float64Array(size)])),
      ...begin,
    };
    for (let i = 0; i < steps; i++) {
      const inputs = { ...fixed, ...inputsOf(i) };
      const [table, hyper] = [change(inputs.table), change(inputs.hyper)];
      const feeds = { ...states, ...inputs, table, hyper };
      states = Object.fromEntries(interpret(graph, OPS, feeds, after).states);
    }
    return states as unknown as Trained;
  };
  const asGoal = (of: Trained): Goal => ({
    losses: of.losses,
    part: (state, name) => layout.part(of[state] as Float64Array, name),
  });
  return withRounding(
    checks,
    (after) => run(after),
    (of, goal) => errors(of, goal ? asGoal(goal) : wanted),
    (after) => run(after, nudge),
  );
}

/** Half a float32 place, up and down. */
const NUDGES = [2 ** -24, -(2 ** -24)];

type Floats = Float32Array | Float64Array;
/** States of the graph at the end. */
type Trained = Record<"losses" | "params" | "ema", Floats>;
/** What a run is compared with. */
interface Goal {
  readonly losses: Floats;
  readonly part: (state: "params" | "ema", name: string) => Floats;
}
