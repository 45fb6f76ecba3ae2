/** Nothing reaches the device that the Plan does not list. */

import assert from "node:assert/strict";
import { Sampler } from "../../lib/diffusion/sampler.ts";
import { reverseSteps } from "../../lib/diffusion/scheduler.ts";
import { schedulerConfig } from "../../lib/diffusion/scheduler_config.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { unet2DParameters } from "../../lib/nn/unet_2d.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";
import { trainRun } from "../../lib/train/run.ts";
import { Trainer } from "../../lib/train/trainer.ts";
import { QUIET, tinyConfig as runConfigOf, tinyData, withFolder } from "../train/tiny.ts";
import { Recorder } from "./recorder.ts";
import { tinyConfig, tinyTrainer } from "./tiny.ts";

async function watched() {
  const real = await openGpu();
  const recorder = new Recorder();
  const gpu = recorder.watch(real);
  const trainer = await tinyTrainer(gpu);
  const from = recorder.events.length;
  const loaded = Recorder.loaded([trainer.executable.plan]);
  const unlisted = () => recorder.unlisted(loaded, from);
  return { gpu, recorder, trainer, unlisted, close: () => real.destroy() };
}

Deno.test("training steps, losses and checkpoints send the device what the Plan lists", async () => {
  const { trainer, recorder, unlisted, close } = await watched();
  for (let i = 0; i < 3; i++) await trainer.runStep();
  await trainer.flushLosses();
  await trainer.state();
  const runs = recorder.events.filter((e) => e.kind === "submit" && e.commands.length > 10);
  assert.equal(runs.length, 3, "three steps were seen");
  const uploads = recorder.events.filter((e) => e.kind === "write");
  assert.ok(uploads.length > 20, "uploads were seen");
  assert.deepEqual(unlisted(), []);
  close();
});

Deno.test("after its first epoch a run takes no more memory of the device", () =>
  withFolder(async (out) => {
    const real = await openGpu();
    const recorder = new Recorder();
    const config = runConfigOf({ checkpointing_steps: 1, save_images_epochs: 1 });
    const { dataset, cache } = tinyData(config);
    const trainer = await Trainer.create(recorder.watch(real), config, dataset.train, cache);
    const readBacks = () =>
      recorder.buffers.filter(({ buffer, usage }) =>
        usage & GPUBufferUsage.MAP_READ && (buffer as GPUBuffer).size >= 4 * trainer.layout.size
      ).length;
    const taken: number[] = [];
    let atFirst = 0;
    const onStep = (step: number) => {
      if (step === 1) atFirst = readBacks();
    };
    const onEpoch = () => {
      taken.push(recorder.buffers.length + recorder.textures);
      return Promise.resolve();
    };
    await trainRun(trainer, dataset, cache, out, { ...QUIET, onEpoch, onStep });
    assert.equal(taken.length, 3);
    assert.deepEqual(taken, taken.map(() => taken[0]));
    assert.ok(atFirst > 0, "what a checkpoint is read back to, with the first step");
    assert.equal(readBacks(), atFirst);
    trainer.batches.close();
    real.destroy();
  }));

Deno.test("guided sampling, watched step by step, sends the device what its Plans list", async () => {
  const real = await openGpu();
  const recorder = new Recorder();
  const gpu = recorder.watch(real);
  const { unet: config, resolution: [height, width] } = tinyConfig();
  const layout = unet2DParameters(config);
  // Guided at some steps only, so that it takes three Plans.
  const sampler = await Sampler.create(gpu, {
    ...{ config, layout, height, width, batch: 2 },
    guided: true,
    interval: true,
  });
  const { main, plain, noise } = sampler.plans;
  const from = recorder.events.length;
  sampler.setParameters(layout.initialise(new PhiloxStream(1)));
  const steps = reverseSteps(schedulerConfig({ _class_name: "DDPMScheduler" }, "test"), 4);
  const sample = () =>
    sampler.sample({
      lungMask: new Float32Array(2 * height * width).fill(1),
      classes: [1, 0],
      steps,
      cfgScale: 2,
      guidedAt: (t) => t > 400,
      seed: 7,
      images: [0, 1],
      watch: { at: new Set([0, 2]), show() {} },
    });
  await sample();
  const runs = recorder.events.filter((e) => e.kind === "submit" && !e.commands[0].readBack);
  assert.equal(runs.length, 1 + steps.length, "the noise and all steps were seen");
  const loaded = Recorder.loaded([main.plan, plain!.plan, noise.plan]);
  assert.deepEqual(recorder.unlisted(loaded, from), []);
  assert.match(
    recorder.unlisted(loaded.slice(0, 2), from).join("\n"),
    /is not the Plan's: dispatch/,
  );
  await hiddenDispatch(gpu);
  await sample();
  assert.equal(recorder.unlisted(loaded, from).length, 1);
  real.destroy();
});

/** A kernel that no Plan knows. */
async function hiddenDispatch({ device }: Gpu): Promise<void> {
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1) fn main() { x[0] = 1.0; }`;
  const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }) },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer, offset: 0, size: 16 } }],
    }),
  );
  pass.dispatchWorkgroups(1, 1, 1);
  pass.end();
  device.queue.submit([encoder.finish()]);
}

const PLANTS: Record<string, [RegExp, (w: Awaited<ReturnType<typeof watched>>) => unknown]> = {
  "a hidden dispatch": [/is not the Plan's: dispatch/, ({ gpu }) => hiddenDispatch(gpu)],
  "part of the Plan, run alone": [
    /commands missing/,
    ({ trainer }) => trainer.executable.run(0, 3),
  ],
  "an upload into the arena": [/upload of 16 bytes/, ({ gpu, recorder }) => {
    const { buffer } = recorder.buffers.find((b) => b.label.startsWith("arena"))!;
    gpu.device.queue.writeBuffer(buffer as GPUBuffer, 0, new Float32Array(4));
  }],
  "a read-back from the arena": [/read-back of 16 bytes/, ({ gpu, recorder }) => {
    const { buffer } = recorder.buffers.find((b) => b.label.startsWith("arena"))!;
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = gpu.device.createBuffer({ size: 16, usage });
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer as GPUBuffer, 0, staging, 0, 16);
    gpu.device.queue.submit([encoder.finish()]);
  }],
  "a clearing of a buffer": [/encoder.clearBuffer was called/, ({ gpu, recorder }) => {
    const encoder = gpu.device.createCommandEncoder();
    encoder.clearBuffer(recorder.buffers[0].buffer as GPUBuffer);
    gpu.device.queue.submit([encoder.finish()]);
  }],
};

for (const [name, [expected, plant]] of Object.entries(PLANTS)) {
  Deno.test(`the watch is red at ${name}`, async () => {
    const all = await watched();
    await all.trainer.runStep();
    await plant(all);
    await all.gpu.idle();
    assert.match(all.unlisted().join("\n"), expected);
    all.close();
  });
}
