/** Loss, clipping and label dropout as the Trainer puts them together, against float64. */

import assert from "node:assert/strict";
import { schedulerAlphas } from "../../lib/diffusion/scheduler.ts";
import { schedulerConfig } from "../../lib/diffusion/scheduler_config.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { keyOf, philox4x32 } from "../../lib/random/philox.ts";
import { minSnrWeights } from "../../lib/train/target.ts";
import { Trainer } from "../../lib/train/trainer.ts";
import { trainingScheduler, trainingStep } from "../../lib/train/training_step.ts";
import { relative } from "../../lib/verify/case.ts";
import { tinyConfig, tinyData } from "./tiny.ts";

const CASES = [
  { prediction_type: "epsilon", snr_gamma: 5 },
  { prediction_type: "v_prediction", snr_gamma: 5 },
  { prediction_type: "sample", snr_gamma: null },
] as const;

for (const { prediction_type, snr_gamma } of CASES) {
  Deno.test(`loss of ${prediction_type}, snr_gamma ${snr_gamma}: the weighted mean square`, async () => {
    const config = tinyConfig({ prediction_type, snr_gamma });
    const { dataset, cache } = tinyData(config);
    const gpu = await openGpu();
    const trainer = await Trainer.create(gpu, config, dataset.train, cache);
    const exe = trainer.executable;
    const params = await exe.read("params");
    await trainer.runStep();
    const [{ loss }] = await trainer.flushLosses();

    // The same step in float64, with the loss written out.
    const { graph, layout } = trainingStep(config, gpu.profile);
    const feeds: Record<string, ArrayLike<number>> = {};
    for (const [name, { dtype }] of graph.inputs) {
      const bytes = await exe.readBytes(name);
      feeds[name] = dtype === "f32"
        ? new Float32Array(bytes)
        : dtype === "i32"
        ? new Int32Array(bytes)
        : new Uint32Array(bytes);
    }
    for (const [name, { shape }] of graph.states) feeds[name] = new Float32Array(shape[0]);
    feeds.params = feeds.ema = params;
    const oracle = interpret(graph, OPS, feeds);
    const at = (op: string) => {
      const node = graph.nodes.findLast((n) => n.op === op && n.phase === "forward")!;
      return oracle.value({ key: `${node.id}:0` } as never);
    };
    const alphas = schedulerAlphas(schedulerConfig(trainingScheduler(config), "test"));
    const noise = at("random_normal"), prediction = at("conv2d"); // conv_out is the last
    const weights = minSnrWeights(prediction_type, alphas, snr_gamma ?? Infinity);
    let sum = 0;
    prediction.forEach((p, i) => {
      const t = feeds.t[Math.floor(i * 2 / prediction.length)];
      const x0 = feeds.ct[i], [s, r] = [Math.sqrt(alphas[t]), Math.sqrt(1 - alphas[t])];
      const target = { epsilon: noise[i], sample: x0, v_prediction: s * noise[i] - r * x0 };
      sum += (snr_gamma === null ? 1 : weights[t]) * (p - target[prediction_type]) ** 2;
    });
    const expected = sum / prediction.length;
    assert.ok(Math.abs(loss / expected - 1) < 1e-5, `${loss}, not ${expected}`);
    const error = relative(
      layout.clearGaps(await exe.read("m")),
      layout.clearGaps(Float64Array.from(oracle.states.get("m")!)),
    );
    assert.ok(error < 1e-5, `gradient: ${error}`);
    gpu.destroy();
  });
}

Deno.test("a clipped run makes steps as if its gradients were that small", async () => {
  const first = async (max_grad_norm: number | null) => {
    const config = tinyConfig({ max_grad_norm });
    const { dataset, cache } = tinyData(config);
    const gpu = await openGpu();
    const trainer = await Trainer.create(gpu, config, dataset.train, cache);
    await trainer.runStep();
    const [{ gradientNorm }] = await trainer.flushLosses();
    const { m } = await trainer.state();
    gpu.destroy();
    return { gradientNorm, m };
  };
  const free = await first(null);
  // m after one step is (1 − β1)·g.
  const norm = Math.hypot(...free.m) / (1 - 0.9);
  const clipped = await first(norm / 4);
  assert.ok(Math.abs(clipped.gradientNorm! / norm - 1) < 1e-5, `${clipped.gradientNorm}, ${norm}`);
  assert.ok(relative(clipped.m, free.m.map((v) => v / 4)) < 1e-5);
  const loose = await first(4 * norm);
  assert.deepEqual(loose.m, free.m);
});

Deno.test("label dropout replaces the class map of its share of slices, as the seed says", async () => {
  const maps = async (label_dropout: number) => {
    const config = tinyConfig({ label_dropout, train_batch_size: 4 });
    const { dataset, cache } = tinyData(config);
    const gpu = await openGpu();
    const trainer = await Trainer.create(gpu, config, dataset.train, cache);
    const values: number[] = [];
    for (let i = 0; i < 10; i++) {
      await trainer.prepareMicroStep(0);
      const map = await trainer.executable.read("class_map");
      for (let k = 0; k < map.length; k += 64) {
        assert.ok(map.subarray(k, k + 64).every((v) => v === map[k]));
        values.push(map[k]);
      }
      trainer.finishMicroStep(0);
    }
    gpu.destroy();
    return { values, scheduler: trainingScheduler(config) };
  };
  const off = await maps(0), some = await maps(0.3), all = await maps(1);
  assert.equal(off.scheduler._null_class, 0);
  assert.equal(some.scheduler._null_class, -1);
  assert.deepEqual([...new Set(off.values)].sort(), [0, 1]);
  assert.ok(all.values.every((v) => v === -1));
  const dropped = some.values.filter((v) => v === -1).length;
  assert.ok(dropped >= 5 && dropped <= 20, `${dropped} of 40`);
  some.values.forEach((v, i) => assert.ok(v === -1 || v === off.values[i]));
});

Deno.test("noise and timesteps follow from the seed, the slice's place and the micro-batch's number", async () => {
  const config = tinyConfig({ seed: 11, gradient_accumulation_steps: 2 });
  const { dataset, cache } = tinyData(config);
  const gpu = await openGpu();
  const trainer = await Trainer.create(gpu, config, dataset.train, cache);
  const { executable } = trainer, key = keyOf(11);
  for (let number = 0; number < 4; number++) {
    await trainer.prepareMicroStep(number % 2);
    const rng = new Uint32Array(await executable.readBytes("rng"));
    assert.deepEqual([...rng], [...key, number, 0], "key and counter of the noise");
    const t = [...new Int32Array(await executable.readBytes("t"))];
    // Word 3 is the timesteps'.
    const expected = [0, 1].map((i) => philox4x32([i, number, 0, 3], key)[0] / 2 ** 32);
    assert.deepEqual(t, expected.map((u) => Math.floor(u * config.ddpm_num_steps)));
    trainer.finishMicroStep(number % 2);
  }
  gpu.destroy();
});
