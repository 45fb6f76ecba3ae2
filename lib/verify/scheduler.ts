/** Kinds `scheduler` (each step from the recorded x) and `sample` (a guided trajectory). */

import { InputError } from "../errors.ts";
import { Graph } from "../graph/graph.ts";
import type { Gpu } from "../gpu/device.ts";
import { plan } from "../plan/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import { samplingGraph } from "../diffusion/sampling_graph.ts";
import { addNoiseTable, reverseSteps, schedulerAlphas } from "../diffusion/scheduler.ts";
import { schedulerConfig } from "../diffusion/scheduler_config.ts";
import { unet2DConfig } from "../nn/config.ts";
import { flattenParameters } from "../nn/state_dict.ts";
import { unet2DParameters } from "../nn/unet_2d.ts";
import { qSample, schedulerStep } from "../ops/diffusion/op.ts";
import { STEP_COEFFICIENTS } from "../ops/diffusion/shared.ts";
import { OPS } from "../ops/mod.ts";
import {
  type Check,
  floats,
  ints,
  type ReferenceCase,
  relative,
  row,
  tensorOf,
  type VerifyOptions,
} from "./case.ts";
import { PARAMETERS, TOLERANCES, tolerances } from "./tolerances.ts";

/** The last line of a table: the worst of many alike. */
function worst(name: string, errors: readonly number[], tolerance: number): Check {
  return { name, error: Math.max(0, ...errors), tolerance, measure: "relative" };
}

export async function verifyScheduler(gpu: Gpu, reference: ReferenceCase): Promise<Check[]> {
  const { scheduler, num_inference_steps, eta = 0, ...rest } = reference.config;
  const config = schedulerConfig({ ...rest, _class_name: scheduler }, reference.file);
  const steps = reverseSteps(config, Number(num_inference_steps), Number(eta));
  const times = ints(reference, "timesteps");
  if (times.length !== steps.length || times.some((t, i) => t !== steps[i].t)) {
    throw new InputError(
      `${reference.file}: timesteps are [${times}], ` +
        `this scheduler gives [${steps.map((s) => s.t)}]`,
    );
  }
  const alphas = schedulerAlphas(config);
  const checks: Check[] = [
    worst(
      "alphas_cumprod",
      [relative(alphas, floats(reference, "alphas_cumprod"))],
      TOLERANCES.alphas,
    ),
  ];

  const { shape } = tensorOf(reference, "add_noise.sample");
  const forward = new Graph();
  const image = { shape, dtype: "f32" } as const;
  const noised = qSample(
    forward.input("sample", image),
    forward.input("noise", image),
    forward.input("timesteps", { shape: [shape[0]], dtype: "i32" }),
    forward.input("table", { shape: [alphas.length, 2], dtype: "f32" }),
  );
  forward.output("output", noised);
  const qExe = await Executable.load(gpu, plan(forward, OPS, { device: gpu.profile }), {
    poison: true,
  });
  qExe.write("sample", floats(reference, "add_noise.sample"));
  qExe.write("noise", floats(reference, "add_noise.noise"));
  qExe.write("timesteps", ints(reference, "add_noise.timesteps"));
  qExe.write("table", addNoiseTable(config, steps.length));
  qExe.run();
  const expected = floats(reference, "add_noise.output");
  const error = relative(await qExe.read("output"), expected);
  checks.push(worst("add_noise.output", [error], TOLERANCES.schedulerStep));
  qExe.destroy();

  const graph = new Graph();
  const [x, previous] = [graph.state("x", image), graph.state("previous", image)];
  const next = schedulerStep(
    graph.input("e", image),
    graph.input("noise", image),
    graph.input("coefficients", { shape: [STEP_COEFFICIENTS], dtype: "f32" }),
    x,
    previous,
  );
  graph.update("x", next[0]);
  graph.update("previous", next[1]);
  const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
  const xs = floats(reference, "x"), eps = floats(reference, "eps");
  const noises = floats(reference, "noise");
  const [xShape, eShape] = [tensorOf(reference, "x").shape, tensorOf(reference, "eps").shape];
  const large: number[] = [], small: number[] = [];
  for (const [i, step] of steps.entries()) {
    exe.write("x", row(xs, xShape, i));
    exe.write("e", row(eps, eShape, i));
    exe.write("noise", row(noises, eShape, i));
    exe.write("coefficients", step.coefficients);
    exe.run();
    const error = relative(await exe.read("x"), row(xs, xShape, i + 1));
    (step.t < 20 ? small : large).push(error);
  }
  exe.destroy();
  checks.push(worst("steps, t ≥ 20", large, TOLERANCES.schedulerStep));
  checks.push(worst("steps, t < 20", small, TOLERANCES.schedulerStepSmallT));
  return checks;
}

export async function verifySample(
  gpu: Gpu,
  reference: ReferenceCase,
  { exact, choose, precision }: VerifyOptions,
): Promise<Check[]> {
  const { unet, num_inference_steps, cfg_scale, scheduler = "DDPMScheduler" } = reference.config;
  const config = unet2DConfig(unet, reference.file);
  const layout = unet2DParameters(config);
  const params = flattenParameters(layout, reference.tensors, reference.file, PARAMETERS);
  const steps = reverseSteps(
    schedulerConfig({ _class_name: scheduler }, reference.file),
    Number(num_inference_steps),
  );
  const [batch, , height, width] = tensorOf(reference, "x_T").shape;
  const graph = samplingGraph({
    config,
    layout,
    batch,
    height,
    width,
    guided: true,
    noise: "input",
    precision,
    device: gpu.profile,
  });
  const exe = await Executable.load(
    gpu,
    plan(graph, OPS, { device: gpu.profile, exact, choose }),
    { poison: true },
  );
  exe.write("params", params);
  exe.write("x", floats(reference, "x_T"));
  exe.write("lung_mask", floats(reference, "lung_mask"));
  exe.write("class_map", floats(reference, "class_map"));
  exe.write("null_map", new Float32Array(batch * height * width));
  exe.write("strength", new Float32Array([Number(cfg_scale)]));
  const trajectory = floats(reference, "trajectory"), noise = floats(reference, "noise");
  const { shape } = tensorOf(reference, "trajectory");
  const errors: number[] = [];
  let last = new Float32Array();
  for (const [i, step] of steps.entries()) {
    exe.write("t", new Int32Array(2 * batch).fill(step.t));
    exe.write("noise", row(noise, shape, i));
    exe.write("coefficients", step.coefficients);
    exe.run();
    last = await exe.read("x");
    errors.push(relative(last, row(trajectory, shape, i)));
  }
  exe.destroy();
  const output = relative(
    last.map((v) => Math.min(1, Math.max(-1, v))),
    floats(reference, "output"),
  );
  return [
    worst("trajectory", errors, tolerances(precision).trajectory),
    worst("output", [output], tolerances(precision).trajectory),
  ];
}
