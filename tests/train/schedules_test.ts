/** Learning rates, targets and loss weights against what diffusers wrote. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { qSampleTable } from "../../lib/diffusion/noise_schedule.ts";
import { schedulerAlphas } from "../../lib/diffusion/scheduler.ts";
import { schedulerConfig } from "../../lib/diffusion/scheduler_config.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { qSample } from "../../lib/ops/diffusion/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { learningRate, LR_SCHEDULERS } from "../../lib/train/learning_rate.ts";
import { minSnrWeights, targetTable } from "../../lib/train/target.ts";
import { floats, ints, readCase, relative, tensorOf } from "../../lib/verify/case.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures/reference/", import.meta.url));
const reference = await readCase(join(FIXTURES, "schedules.safetensors"));
const alphas = schedulerAlphas(schedulerConfig({ _class_name: "DDPMScheduler" }, "test"));

Deno.test("learning rates are diffusers' for each optimizer step", () => {
  for (const scheduler of LR_SCHEDULERS) {
    const { lr, num_warmup_steps: warmupSteps, num_training_steps: totalSteps } = reference
      .config[`lr_${scheduler}`] as Record<string, number>;
    const expected = tensorOf(reference, `lr_${scheduler}.lr`).data as Float64Array;
    expected.forEach((rate, done) => {
      const got = learningRate({ scheduler, lr, warmupSteps, totalSteps }, done);
      assert.ok(Math.abs(got - rate) <= 1e-15, `${scheduler}, step ${done}: ${got}, not ${rate}`);
    });
  }
});

Deno.test("Min-SNR weights are diffusers' for every prediction type", () => {
  const { gamma } = reference.config.min_snr as { gamma: number };
  for (const type of ["epsilon", "v_prediction", "sample"] as const) {
    const expected = floats(reference, `min_snr.${type}`);
    const got = minSnrWeights(type, alphas, gamma);
    got.forEach((weight, t) => {
      // diffusers divides float32 1 − ᾱ, which has rounding errors of its own at small t.
      const error = Math.abs(weight / expected[t] - 1);
      assert.ok(error <= (t < 20 ? 2e-4 : 1e-5), `${type} at ${t}: ${weight}, not ${expected[t]}`);
    });
  }
});

Deno.test("noisy images and velocities on the GPU are diffusers'", async () => {
  const shape = tensorOf(reference, "velocity.sample").shape;
  const graph = new Graph();
  const image = { shape, dtype: "f32" } as const;
  const table = graph.input("table", { shape: [alphas.length, 2], dtype: "f32" });
  const t = graph.input("t", { shape: [shape[0]], dtype: "i32" });
  graph.output("y", qSample(graph.input("sample", image), graph.input("noise", image), t, table));
  const gpu = await openGpu();
  const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
  for (const name of ["sample", "noise"]) exe.write(name, floats(reference, `velocity.${name}`));
  exe.write("t", ints(reference, "velocity.timesteps"));
  for (
    const [name, values] of [
      ["noisy", qSampleTable(alphas)],
      ["output", targetTable("v_prediction", alphas)],
      ["sample", targetTable("sample", alphas)],
      ["noise", targetTable("epsilon", alphas)],
    ] as const
  ) {
    exe.write("table", values);
    exe.run();
    const error = relative(await exe.read("y"), floats(reference, `velocity.${name}`));
    assert.ok(error <= 1e-5, `${name}: ${error}`);
  }
  exe.destroy();
  gpu.destroy();
});
