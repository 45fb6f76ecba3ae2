/** Every scheduler, spacing, prediction type and noise schedule against diffusers, step by step. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { alphasCumprod, betas } from "../../lib/diffusion/noise_schedule.ts";
import { reverseSteps } from "../../lib/diffusion/scheduler.ts";
import { schedulerConfig } from "../../lib/diffusion/scheduler_config.ts";
import { inferenceTimesteps } from "../../lib/diffusion/timesteps.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { schedulerStep } from "../../lib/ops/diffusion/op.ts";
import { STEP_COEFFICIENTS } from "../../lib/ops/diffusion/shared.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { floats, ints, readCase, type ReferenceCase, relative } from "../../lib/verify/case.ts";
import { TOLERANCES } from "../../lib/verify/tolerances.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures/reference", import.meta.url));
const all = await readCase(`${FIXTURES}/schedules.safetensors`);
const more = await readCase(`${FIXTURES}/thresholding.safetensors`);
const cases = { ...all.config, ...more.config } as Record<string, Record<string, unknown>>;

/** One case of the file, its tensors without the prefix. */
function part(name: string): ReferenceCase {
  const tensors = [...all.tensors, ...more.tensors].filter(([key]) => key.startsWith(`${name}.`))
    .map(([key, tensor]) => [key.slice(name.length + 1), tensor] as const);
  return { ...all, config: cases[name], tensors: new Map(tensors) };
}

const named = (prefix: string) => Object.keys(cases).filter((name) => name.startsWith(prefix));

/** The case's own options as a scheduler_config.json, and what is not part of one. */
function configOf(name: string) {
  const { scheduler, num_inference_steps = 1, eta = 0, ...rest } = cases[name];
  return {
    config: schedulerConfig({ ...rest, _class_name: scheduler }, name),
    steps: Number(num_inference_steps),
    eta: Number(eta),
  };
}

Deno.test("β and ᾱ of every noise schedule", () => {
  assert.equal(named("beta_").length, 4);
  for (const name of named("beta_")) {
    const { beta_schedule, beta_start, beta_end } = cases[name];
    const expected = part(name), count = floats(expected, "betas").length;
    const got = betas(beta_schedule as "linear", Number(beta_start), Number(beta_end), count);
    assert.ok(relative(got, floats(expected, "betas")) <= 1e-7, `${name}: β`);
    const error = relative(alphasCumprod(got), floats(expected, "alphas_cumprod"));
    assert.ok(error <= TOLERANCES.alphas, `${name}: ᾱ is off by ${error}`);
  }
});

Deno.test("timesteps of every scheduler, spacing and offset", () => {
  assert.equal(named("timesteps_").length, 12);
  for (const name of named("timesteps_")) {
    const { config } = configOf(name), expected = part(name);
    for (const steps of expected.tensors.keys()) {
      const got = inferenceTimesteps(config, Number(steps));
      assert.deepEqual(got, [...ints(expected, steps)], `${name}, ${steps} steps`);
    }
  }
});

Deno.test("one reverse step at a time on the GPU, from the recorded x", async (t) => {
  const gpu = await openGpu();
  const graph = new Graph();
  const image = { shape: [2, 1, 2, 3], dtype: "f32" } as const;
  const size = 12;
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
  assert.equal(named("step_").length, 35);
  for (const name of named("step_")) {
    await t.step(name, async () => {
      const { config, steps: count, eta } = configOf(name), expected = part(name);
      const steps = reverseSteps(config, count, eta);
      assert.deepEqual(steps.map((s) => s.t), [...ints(expected, "timesteps")]);
      const [xs, outputs, noises] = ["x", "output", "noise"].map((key) => floats(expected, key));
      for (const [i, step] of steps.entries()) {
        const at = (all: Float32Array<ArrayBuffer>, k: number) =>
          all.slice(k * size, (k + 1) * size);
        exe.write("x", at(xs, i));
        exe.write("e", at(outputs, i));
        exe.write("noise", at(noises, i));
        exe.write("coefficients", step.coefficients);
        exe.run();
        const error = relative(await exe.read("x"), at(xs, i + 1));
        const most = step.t < 20 ? TOLERANCES.schedulerStepSmallT : TOLERANCES.schedulerStep;
        assert.ok(error <= most, `step ${i}, t = ${step.t}: off by ${error.toExponential(2)}`);
      }
    });
  }
  exe.destroy();
  gpu.destroy();
});
