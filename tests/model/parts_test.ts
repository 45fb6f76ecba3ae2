/** Sampling takes a batch a few images at a time on software devices: the same bits, less memory. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { samplingGraph } from "../../lib/diffusion/sampling_graph.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { Plan } from "../../lib/gpu/plan.ts";
import { plan } from "../../lib/gpu/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { loadPretrained } from "../../lib/nn/pretrained.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { normal, random } from "../ops/harness.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));
const model = await loadPretrained(`${FIXTURES}/diffusers_tiny`);
const gpu = await openGpu();
globalThis.addEventListener("unload", () => gpu.destroy());

/** 128 × 64: four images at once, so 3 with guidance are two parts of 3, 1 is one of 2. */
function planned(batch: number, software: boolean, guided = true): Plan {
  const { config, layout } = model;
  const graph = samplingGraph({
    ...{ config, layout, batch, guided, software },
    height: 128,
    width: 64,
    noise: "input",
  });
  return plan(graph, OPS, { device: gpu.profile });
}

const rng = random(3);
const noise = Float32Array.from({ length: 8 * 128 * 64 }, () => normal(rng));

/** One step; every image, map and timestep is another. */
async function step(plan: Plan): Promise<Float32Array> {
  const exe = await Executable.load(gpu, plan, { poison: true });
  const { inputs, states } = plan;
  exe.write("params", model.params);
  for (const [i, name] of ["x", "lung_mask", "class_map", "null_map", "noise"].entries()) {
    const slot = states[name] ?? inputs[name];
    if (slot) exe.write(name, noise.slice(i, i + slot.bytes / 4));
  }
  exe.write("t", Int32Array.from({ length: inputs.t.bytes / 4 }, (_, i) => 10 + 100 * i));
  exe.write("coefficients", new Float32Array(inputs.coefficients.bytes / 4).fill(0.5));
  if (inputs.strength) exe.write("strength", new Float32Array([3]));
  exe.run();
  const x = await exe.read("x");
  exe.destroy();
  return x;
}

for (const [batch, guided] of [[3, true], [5, false]] as const) {
  Deno.test(`a batch of ${batch} in parts gives the bits of the whole, guided: ${guided}`, async () => {
    const whole = await step(planned(batch, false, guided));
    const parts = await step(planned(batch, true, guided));
    assert.equal(parts.filter((v, i) => v !== whole[i]).length, 0, "values that differ");
    const images = Array.from({ length: batch }, (_, i) => whole.slice(i * 8192, (i + 1) * 8192));
    assert.equal(new Set(images.map((x) => x.join())).size, batch, "no two images are alike");
  });
}

Deno.test("parts share their memory and the weights that were packed for the first", () => {
  const bytes = (p: Plan, role: string) =>
    p.buffers.filter((b) => b.role === role).reduce((sum, b) => sum + b.bytes, 0);
  const texels = (p: Plan) => p.textures.reduce((sum, t) => sum + t.rows, 0);
  const once = (p: Plan) => p.dispatches.filter((d) => d.once).length;
  const [two, eight] = [planned(2, true), planned(8, true)];
  assert.ok(once(two) > 10, `${once(two)} dispatches that run once`);
  assert.equal(once(eight), once(two));
  assert.ok(bytes(eight, "arena") < 1.3 * bytes(two, "arena"));
  assert.ok(texels(eight) < 1.1 * texels(two), `${texels(eight)} rows, ${texels(two)}`);
  assert.ok(bytes(planned(8, false), "arena") > 3 * bytes(eight, "arena"));
});
