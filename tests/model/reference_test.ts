/** Reference cases of PyTorch and diffusers, small ones of our own and those next to the repository. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import type { Precision } from "../../lib/graph/precision.ts";
import { readCase } from "../../lib/verify/case.ts";
import { verifyCase } from "../../lib/verify/mod.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SHARED = Deno.env.get("LUNG_SHARED") ?? join(ROOT, "..", "shared");

async function check(
  folder: string,
  names: readonly string[],
  t: Deno.TestContext,
  precision: Precision = "f32",
  as: (gpu: Gpu) => Gpu = (gpu) => gpu,
) {
  const gpu = as(await openGpu());
  for (const name of names) {
    await t.step(name, async () => {
      const reference = await readCase(join(folder, `${name}.safetensors`));
      const checks = await verifyCase(gpu, reference, { exact: true, precision });
      assert.ok(checks.length > 0);
      for (const { name, error, tolerance } of checks) {
        assert.ok(error <= tolerance, `${name}: ${error} exceeds ${tolerance}`);
      }
    });
  }
  gpu.destroy();
}

Deno.test("models, samplers and training agree with diffusers", async (t) => {
  await check(join(ROOT, "tests", "fixtures", "reference"), [
    "unet-attention",
    "unet-odd",
    "unet-options",
    "sample",
    "train",
    "train-options",
    "ddpm-8",
    "ddim-6",
    "dpmpp-2m-10",
    "metrics",
  ], t);
});

Deno.test("with f16 too, as close as rounding what is stored allows", async (t) => {
  const names = ["unet-attention", "unet-odd", "sample", "train-options"];
  await check(join(ROOT, "tests", "fixtures", "reference"), names, t, "f16");
});

/** The device, taken for a GPU: other kernels, and other forms of the graphs. */
const asHardware = (gpu: Gpu): Gpu => ({
  ...gpu,
  profile: {
    ...gpu.profile,
    software: false,
    features: gpu.profile.features.filter((f) => f !== "subgroups"),
  },
});

Deno.test("with the kernels of GPUs too", async (t) => {
  const folder = join(ROOT, "tests", "fixtures", "reference");
  await check(folder, ["unet-attention", "unet-odd", "sample", "train"], t, "f32", asHardware);
  await check(folder, ["unet-attention", "sample"], t, "f16", asHardware);
});

Deno.test("the choice among kernels is asked for each node, and may be another", async () => {
  const gpu = await openGpu();
  const reference = await readCase(
    join(ROOT, "tests", "fixtures", "reference", "unet-odd.safetensors"),
  );
  const asked = new Set<string>();
  const checks = await verifyCase(gpu, reference, {
    exact: true,
    choose({ op }, variants) {
      asked.add(op);
      return variants.at(-1)!;
    },
  });
  assert.ok(asked.has("conv2d") && asked.has("conv2d_backward_weight"), [...asked].join());
  assert.deepEqual(checks.filter((c) => !(c.error <= c.tolerance)), []);
  gpu.destroy();
});

Deno.test("the larger reference cases", async (t) => {
  const folder = join(SHARED, "reference", "cases");
  const there = await Deno.stat(folder).then(() => true, () => false);
  if (!there) return console.log("skipped: reference cases not found");
  await check(folder, ["unet-tiny", "unet-seed", "sample-tiny", "train-tiny"], t);
});

Deno.test("a planted error in a case is found and named", async () => {
  const gpu = await openGpu();
  const reference = await readCase(
    join(ROOT, "tests", "fixtures", "reference", "unet-options.safetensors"),
  );
  const name = "grad.conv_in.weight";
  const tensor = reference.tensors.get(name)!;
  (tensor.data as Float32Array)[3] += 1e-3;
  const checks = await verifyCase(gpu, reference, { exact: true });
  const bad = checks.filter((c) => !(c.error <= c.tolerance)).map((c) => c.name);
  assert.ok(bad.includes(name), `found: ${bad}`);
  gpu.destroy();
});
