/** Guidance in all its forms, inpainting, and that an image does not depend on its batch. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Sampler, type SampleRequest, type SamplerOptions } from "../../lib/diffusion/sampler.ts";
import { reverseSteps } from "../../lib/diffusion/scheduler.ts";
import { schedulerConfig } from "../../lib/diffusion/scheduler_config.ts";
import { blendGraph } from "../../lib/diffusion/sampling_graph.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { loadPretrained } from "../../lib/nn/pretrained.ts";
import { guidance } from "../../lib/ops/guidance/op.ts";
import { guidanceRescale } from "../../lib/ops/guidance/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { keyOf } from "../../lib/random/philox.ts";
import { absolute, floats, readCase, relative, tensorOf } from "../../lib/verify/case.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));
const model = await loadPretrained(`${FIXTURES}/diffusers_tiny`);
const [height, width] = [12, 20];
const pixels = height * width;
const gpu = await openGpu();
globalThis.addEventListener("unload", () => gpu.destroy());

const ddim = schedulerConfig({ _class_name: "DDIMScheduler" }, "test");
const ddpm = schedulerConfig({ _class_name: "DDPMScheduler" }, "test");

async function sample(
  batch: number,
  options: Partial<SamplerOptions>,
  request: Partial<SampleRequest> = {},
): Promise<Float32Array> {
  const sampler = await Sampler.create(gpu, {
    config: model.config,
    layout: model.layout,
    batch,
    height,
    width,
    guided: true,
    ...options,
  });
  sampler.setParameters(model.params);
  const lungMask = new Float32Array(batch * pixels).map((_, i) => i % width > 5 ? 1 : 0);
  const result = await sampler.sample({
    lungMask,
    classes: Array.from({ length: batch }, (_, i) => (i + 1) % 2),
    steps: reverseSteps(ddim, 6),
    cfgScale: 3,
    seed: 5,
    images: Array.from({ length: batch }, (_, i) => i),
    ...request,
  });
  sampler.destroy();
  return result;
}

Deno.test("guidance and its rescaling agree with diffusers' rescale_noise_cfg", async () => {
  const reference = await readCase(`${FIXTURES}/reference/guidance.safetensors`);
  const cases = Object.entries(reference.config) as [
    string,
    { scale: number; guidance_rescale: number },
  ][];
  assert.equal(cases.length, 4);
  for (const [name, { scale, guidance_rescale }] of cases) {
    const [n, ...rest] = tensorOf(reference, `${name}.conditional`).shape;
    const graph = new Graph();
    const both = graph.input("both", { shape: [2 * n, ...rest], dtype: "f32" });
    const one = { shape: [1], dtype: "f32" } as const;
    const mixed = guidance(both, graph.input("strength", one));
    graph.output("e", guidanceRescale(mixed, both, graph.input("rescale", one)));
    const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
    exe.write(
      "both",
      Float32Array.from([
        ...floats(reference, `${name}.conditional`),
        ...floats(reference, `${name}.unconditional`),
      ]),
    );
    exe.write("strength", new Float32Array([scale]));
    exe.write("rescale", new Float32Array([guidance_rescale]));
    exe.run();
    const error = relative(await exe.read("e"), floats(reference, `${name}.output`));
    assert.ok(error < 1e-6, `${name}: off by ${error.toExponential(2)}`);
    exe.destroy();
  }
});

Deno.test("two passes give what a doubled batch gives, rescaled or not", async () => {
  for (const rescaled of [false, true]) {
    const request = { rescale: 0.7 };
    const doubled = await sample(3, { rescaled }, request);
    const passes = await sample(3, { rescaled, twoPasses: true }, request);
    const error = absolute(passes, doubled);
    assert.ok(error <= 1e-6, `rescaled ${rescaled}: off by ${error.toExponential(2)}`);
  }
});

Deno.test("guidance outside its interval is the conditional model", async () => {
  const plain = await sample(2, { guided: false });
  const never = await sample(2, { interval: true }, { guidedAt: () => false });
  assert.deepEqual(never, plain);
  const passes = await sample(2, { interval: true, twoPasses: true }, { guidedAt: () => false });
  assert.deepEqual(passes, plain);
  const always = await sample(2, { interval: true }, { guidedAt: () => true });
  assert.deepEqual(always, await sample(2, {}));
  for (const twoPasses of [false, true]) {
    const half = await sample(2, { interval: true, twoPasses }, { guidedAt: (t) => t > 400 });
    assert.ok(absolute(half, plain) > 1e-3 && absolute(half, always) > 1e-3);
  }
});

Deno.test("an image depends on its name, not on its batch or place", async () => {
  const all = await sample(5, {}, { steps: reverseSteps(ddpm, 5) });
  for (const i of [0, 3, 4]) {
    const alone = await sample(1, {}, {
      steps: reverseSteps(ddpm, 5),
      images: [i],
      classes: [(i + 1) % 2],
    });
    assert.deepEqual(alone, all.slice(i * pixels, (i + 1) * pixels), `image ${i}`);
  }
});

Deno.test("class values between, over the steps, and another null class", async () => {
  const of = (request: Partial<SampleRequest>) => sample(1, {}, { classes: [0.5], ...request });
  const half = await of({});
  assert.ok(absolute(half, await of({ classes: [1] })) > 1e-4);
  assert.ok(absolute(half, await of({ nullClass: -1 })) > 1e-4);
  assert.deepEqual(await of({ classes: [0], classesAt: () => [0.5] }), half);
  assert.ok(absolute(half, await of({ classesAt: (i) => [i / 5] })) > 1e-4);
});

/** Known images at a noise level, with the noise of a step: by the float64 references. */
function knownAt(known: Float32Array, level: readonly number[], rngStep: number): Float64Array {
  const n = known.length / pixels;
  const graph = blendGraph(n, height, width);
  return interpret(graph, OPS, {
    known,
    level,
    rng: [...keyOf(5), rngStep, 0],
    images: Array.from({ length: n }, (_, i) => i),
    region: new Float32Array(known.length),
    x: new Float32Array(known.length),
  }).states.get("x")!;
}

// Where the last step ends above ᾱ = 1, too: what is kept must still come out as it went in.
const notToOne = schedulerConfig({ _class_name: "DDIMScheduler", set_alpha_to_one: false }, "test");
for (
  const [name, config] of [["DDIM", ddim], ["DDPM", ddpm], ["DDIM to ᾱ₀", notToOne]] as const
) {
  Deno.test(`inpainting with ${name} keeps the known image, at every noise level`, async () => {
    const known = new Float32Array(2 * pixels).map((_, i) => Math.sin(i) / 1.01);
    const region = new Float32Array(2 * pixels).map((_, i) => i % pixels < 100 ? 1 : 0);
    const steps = reverseSteps(config, 6);
    const outside = (values: ArrayLike<number>) => Array.from(values).filter((_, i) => !region[i]);
    const seen: number[] = [];
    const result = await sample(2, { inpaint: true }, {
      steps,
      keep: { known, region },
      watch: {
        at: new Set([0, 3, 5]),
        show(done, x) {
          seen.push(done);
          const level = done ? steps[done - 1].levels.after : steps[0].levels.before;
          // Deterministic steps keep one noise, others have one of their own at each step.
          const expected = knownAt(known, level, config === ddpm ? done : 0);
          const error = absolute(outside(x), outside(expected));
          assert.ok(error < 2e-6, `after ${done} steps: off by ${error.toExponential(2)}`);
        },
      },
    });
    assert.deepEqual(seen, [0, 3, 5]);
    assert.deepEqual(outside(result), outside(known));
    const inside = result.filter((_, i) => region[i] === 1);
    assert.ok(absolute(inside, known.filter((_, i) => region[i] === 1)) > 0.1);

    const keep = { known, region, resample: 3 };
    const again = await sample(2, { inpaint: true }, { steps, keep });
    assert.deepEqual(outside(again), outside(known));
    assert.ok(absolute(again, result) > 1e-3);
  });
}

Deno.test("what a sampler that clips nothing makes is clamped to the range of images", async () => {
  const solver = schedulerConfig({ _class_name: "DPMSolverMultistepScheduler" }, "test");
  const wild = await sample(2, {}, { steps: reverseSteps(solver, 3), cfgScale: 60 });
  assert.ok(wild.every((v) => v >= -1 && v <= 1));
  assert.ok(wild.includes(1) && wild.includes(-1), "some would have left it on both sides");
});
