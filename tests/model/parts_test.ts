/** Sampling takes a batch a few images at a time on software devices: the same bits, less memory. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { samplingGraph } from "../../lib/diffusion/sampling_graph.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { Plan } from "../../lib/plan/plan.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { STAGING_WIDTH } from "../../lib/plan/staging_layout.ts";
import type { DeviceKind } from "../../lib/graph/op.ts";
import { loadPretrained } from "../../lib/nn/pretrained.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { normal, random } from "../ops/harness.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));
const model = await loadPretrained(`${FIXTURES}/diffusers_tiny`);
const gpu = await openGpu();
globalThis.addEventListener("unload", () => gpu.destroy());
const { software } = AUDIT_PROFILES;

const [height, width] = [128, 64];
const pixels = height * width;

/** Four images at once: of 3 with guidance two parts of 3 rows, of 1 no parts. */
function planned(batch: number, device: DeviceKind, guided = true): Plan {
  const { config, layout } = model;
  const sizes = { batch, height, width };
  const graph = samplingGraph({ config, layout, ...sizes, guided, device, noise: "input" });
  return plan(graph, OPS, { device: gpu.profile });
}

const rng = random(3);
const noise = Float32Array.from({ length: 8 * pixels }, () => normal(rng));

/** One step of these images; each has an image, maps and timesteps of its own. */
async function step(images: readonly number[], guided: boolean): Promise<Float32Array> {
  const of = planned(images.length, software, guided);
  const exe = await Executable.load(gpu, of, { poison: true });
  exe.write("params", model.params);
  for (const [i, name] of ["x", "lung_mask", "class_map", "null_map", "noise"].entries()) {
    if (!of.states[name] && !of.inputs[name]) continue;
    const data = new Float32Array(images.length * pixels);
    images.forEach((image, at) =>
      data.set(noise.subarray(i + image * pixels, i + (image + 1) * pixels), at * pixels)
    );
    exe.write(name, data);
  }
  const t = (first: number) => images.map((image) => first + 40 * image);
  exe.write("t", Int32Array.from(guided ? [...t(100), ...t(500)] : t(100)));
  exe.write("coefficients", new Float32Array(of.inputs.coefficients.bytes / 4).fill(0.5));
  if (guided) exe.write("strength", new Float32Array([3]));
  exe.run();
  const x = await exe.read("x");
  exe.destroy();
  return x;
}

for (const [batch, guided] of [[3, true], [5, false]] as const) {
  Deno.test(`a batch of ${batch} in parts gives the bits of each image alone, guided: ${guided}`, async () => {
    const images = Array.from({ length: batch }, (_, i) => i);
    const all = await step(images, guided);
    assert.ok(all.every(Number.isFinite));
    for (const image of images) {
      const alone = await step([image], guided);
      const differ = alone.filter((v, i) => v !== all[image * pixels + i]).length;
      assert.equal(differ, 0, `values of image ${image} that differ`);
      const next = (image + 1) % batch * pixels;
      assert.ok(alone.some((v, i) => v !== all[next + i]), "no two images are alike");
    }
  });
}

Deno.test("parts share their memory and the weights that were packed for the first", () => {
  const bytes = (p: Plan, role: string) =>
    p.buffers.filter((b) => b.role === role).reduce((sum, b) => sum + b.bytes, 0);
  const texels = (p: Plan) => p.textures.reduce((sum, t) => sum + t.rows, 0);
  const once = (p: Plan) => p.dispatches.filter((d) => d.once).length;
  const [two, eight] = [planned(2, software), planned(8, software)];
  assert.ok(once(two) > 10, `${once(two)} dispatches that run once`);
  assert.equal(once(eight), once(two));
  assert.ok(bytes(eight, "arena") < 1.3 * bytes(two, "arena"));
  // All that is there more than once: what the model reads, of all images and both classes.
  const images = Math.ceil(2 * 8 * 3 * pixels / (4 * STAGING_WIDTH)) | 1;
  assert.ok(texels(eight) <= texels(two) + images, `${texels(eight)} rows, ${texels(two)}`);
  assert.ok(bytes(planned(8, AUDIT_PROFILES.gpu), "arena") > 3 * bytes(eight, "arena"));
});
