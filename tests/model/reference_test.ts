/** Reference cases of PyTorch and diffusers, small ones of our own and those next to the repository. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import type { Precision } from "../../lib/graph/tensor.ts";
import { readCase, type VerifyOptions } from "../../lib/verify/case.ts";
import { verifyCase } from "../../lib/verify/mod.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SHARED = Deno.env.get("LUNG_SHARED") ?? join(ROOT, "..", "shared");

async function check(
  folder: string,
  names: readonly string[],
  t: Deno.TestContext,
  precision: Precision = "f32",
  as: (gpu: Gpu) => Gpu = (gpu) => gpu,
  choose?: VerifyOptions["choose"],
) {
  const gpu = as(await openGpu());
  for (const name of names) {
    await t.step(name, async () => {
      const reference = await readCase(join(folder, `${name}.safetensors`));
      const checks = await verifyCase(gpu, reference, { exact: true, choose, precision });
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
    "unet-heads",
    "unet-odd",
    "unet-options",
    "unet-pixel",
    "unet-pixel-alone",
    "unet-pixel-attention",
    "sample",
    "sample-nodules",
    "train",
    "train-alone",
    "train-pixel",
    "train-options",
    "ddpm-8",
    "ddim-6",
    "dpmpp-2m-10",
    "metrics",
  ], t);
});

Deno.test("with f16 too, as close as rounding what is stored allows", async (t) => {
  const names = ["unet-attention", "unet-heads", "unet-odd", "sample", "train-options"];
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

/** Takes the first kernel of each op, and notes which. */
function watched() {
  const ran = new Set<string>();
  const choose: VerifyOptions["choose"] = ({ op }, [variant]) => {
    ran.add(`${op} ${variant.name}`);
    return variant;
  };
  const requireAll = (kernels: readonly string[]) => {
    for (const kernel of kernels) {
      assert.ok(ran.has(kernel), `${kernel} did not run: ${[...ran].join(", ")}`);
    }
  };
  return { choose, requireAll };
}

Deno.test("with the kernels of GPUs too", async (t) => {
  const folder = join(ROOT, "tests", "fixtures", "reference");
  const { choose, requireAll } = watched();
  const names = ["unet-attention", "unet-heads", "unet-odd", "sample", "train"];
  await check(folder, names, t, "f32", asHardware, choose);
  await check(folder, ["unet-attention", "unet-heads", "sample"], t, "f16", asHardware, choose);
  requireAll([
    "conv2d small_tiles",
    "conv2d_normalised small_tiles",
    "conv2d_backward_data small_tiles",
    "conv2d_backward_weight tiled",
    "conv2d implicit_gemm",
    "attention eight_parts",
    "attention_backward eight_parts",
    "concat joined",
  ]);
});

Deno.test("what is chosen among the kernels runs: others agree too, and one that does nothing shows", async () => {
  const gpu = await openGpu();
  const reference = await readCase(
    join(ROOT, "tests", "fixtures", "reference", "unet-odd.safetensors"),
  );
  const exceeded = async (choose: VerifyOptions["choose"]) =>
    (await verifyCase(gpu, reference, { exact: true, choose })).filter((c) =>
      !(c.error <= c.tolerance)
    );
  assert.deepEqual(await exceeded((_, variants) => variants.at(-1)!), []);
  const bad = await exceeded(({ op }, [variant]) =>
    op === "conv2d" ? { ...variant, build: () => ({ calls: [] }) } : variant
  );
  assert.ok(bad.length > 100, `${bad.length} exceeded`);
  gpu.destroy();
});

Deno.test("the larger reference cases", async (t) => {
  const folder = join(SHARED, "reference", "cases");
  const there = await Deno.stat(folder).then(() => true, () => false);
  if (!there) return console.log("skipped: ../shared/reference is not there");
  await check(folder, ["unet-tiny", "unet-seed", "sample-tiny", "train-tiny"], t);
  await check(folder, ["unet-seed"], t, "f32", asHardware);
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

Deno.test("with a 1×1 lowest level, whose tolerances are raised: 1e-4 in any one tensor still shows", async (t) => {
  const gpu = await openGpu();
  for (const model of ["unet-pixel", "unet-pixel-alone", "unet-pixel-attention"]) {
    await t.step(model, async () => {
      const path = join(ROOT, "tests", "fixtures", "reference", `${model}.safetensors`);
      const reference = await readCase(path);
      const verify = async () => await verifyCase(gpu, reference, { exact: true });
      const checks = await verify();
      const raised = checks.filter((c) => c.conditioned);
      assert.ok(raised.length > 20, "float32 cannot be as close everywhere");
      // Each has another one beside it that stays as it was.
      const twins = new Map(checks.map((c) => [c.name, c]));
      for (const { name } of raised) {
        assert.ok(twins.get(`${name} (in float64)`)!.tolerance <= 2e-5, name);
      }
      const byTolerance = checks.filter((c) => reference.tensors.has(c.name))
        .toSorted((a, b) => b.tolerance - a.tolerance);
      const zero = byTolerance.find((c) => c.measure === "absolute")!;
      for (
        const { name, measure } of [byTolerance[0], byTolerance[20], byTolerance.at(-20)!, zero]
      ) {
        const data = reference.tensors.get(name)!.data as Float32Array, [before] = data;
        data[0] += 1e-4 * (measure === "absolute" ? 1 : Math.hypot(...data));
        const bad = (await verify()).filter((c) => !(c.error <= c.tolerance));
        assert.ok(bad.some((c) => c.name.startsWith(name)), `${name}: ${bad.map((c) => c.name)}`);
        data[0] = before;
      }
    });
  }
  gpu.destroy();
});

Deno.test("rounding that is larger than float32's is not allowed for", async () => {
  // f16 in a model whose tolerances are raised, held against those of f32.
  const gpu = await openGpu();
  const path = join(ROOT, "tests", "fixtures", "reference", "unet-pixel-attention.safetensors");
  const halves: VerifyOptions = { exact: true, precision: "f16" };
  const half = await verifyCase(gpu, await readCase(path), halves);
  const plain = await verifyCase(gpu, await readCase(path), { exact: true });
  const tolerance = new Map(plain.map((c) => [c.name, c.tolerance]));
  const bad = half.filter((c) => !(c.error <= tolerance.get(c.name)!));
  assert.ok(bad.length > half.length / 2, `${bad.length} of ${half.length} exceed`);
  gpu.destroy();
});
