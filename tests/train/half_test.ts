/** Training with f16: the loss scale is PyTorch's, overflows are skipped and counted, runs go on. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { NoGpuError } from "../../lib/errors.ts";
import { openGpu, requirePrecision } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { LOSS_SCALE_STATE } from "../../lib/ops/loss_scale/shared.ts";
import { lossScale } from "../../lib/ops/loss_scale/op.ts";
import { adamw } from "../../lib/ops/optimizer/op.ts";
import { ADAMW_HYPER } from "../../lib/ops/optimizer/shared.ts";
import { adamwHyper } from "../../lib/train/adamw.ts";
import { latestCheckpoint } from "../../lib/train/checkpoint.ts";
import { type RunConfig, runConfig } from "../../lib/train/config.ts";
import { DivergenceWatch, firstBadTensor } from "../../lib/train/divergence.ts";
import { fromLossScale, INITIAL_LOSS_SCALE, logBetas } from "../../lib/train/loss_scale.ts";
import { trainRun } from "../../lib/train/run.ts";
import type { ProcessGroup } from "../../lib/train/process_group.ts";
import { Trainer } from "../../lib/train/trainer.ts";
import { floats, readCase, relative, row, tensorOf } from "../../lib/verify/case.ts";
import { QUIET, tinyConfig, tinyData, withFolder } from "./tiny.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures/reference/", import.meta.url));
const HALF = { precision: "f16" } as const;
/** With this scale every gradient overflows. */
const HUGE = fromLossScale({ ...INITIAL_LOSS_SCALE, scale: 2 ** 60 });
const MODEL = ["params", "m", "v"] as const;

async function withTrainer(
  config: RunConfig,
  body: (trainer: Trainer) => Promise<void>,
  group?: ProcessGroup,
) {
  const { dataset, cache } = tinyData(config);
  const gpu = await openGpu();
  const trainer = await Trainer.create(gpu, config, dataset.train, cache, { group });
  await body(trainer);
  trainer.batches.close();
  gpu.destroy();
}

Deno.test("scale, skipped steps and weights are those of torch.amp.GradScaler and AdamW", async () => {
  const reference = await readCase(join(FIXTURES, "loss-scale.safetensors"));
  const config = reference.config as Record<string, number> & { betas: [number, number] };
  const { shape } = tensorOf(reference, "gradient");
  const [steps, size] = shape;
  const padded = Math.ceil(size / 64) * 64;
  const graph = new Graph();
  const flat = { shape: [padded], dtype: "f32" } as const;
  const vector = (length: number) => ({ shape: [length], dtype: "f32" as const });
  const g = graph.input("g", flat);
  const state = graph.state("loss_scale", vector(LOSS_SCALE_STATE));
  const [hyper, norm, next] = lossScale(
    g,
    graph.input("filled", { shape: [padded / 64], dtype: "i32" }),
    graph.input("hyper", vector(ADAMW_HYPER)),
    graph.input("log_betas", vector(2)),
    state,
    {
      growthFactor: config.growth_factor,
      backoffFactor: config.backoff_factor,
      growthInterval: config.growth_interval,
      maxNorm: config.max_grad_norm,
    },
  );
  const names = ["p", "m", "v", "ema"];
  const [p, m, v, ema] = names.map((name) => graph.state(name, flat));
  adamw(g, hyper, [p, m, v, ema]).forEach((t, i) => graph.update(names[i], t));
  graph.update("loss_scale", next);
  graph.output("norm", norm);
  const gpu = await openGpu();
  const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
  const pad = (values: Float32Array) => {
    const all = new Float32Array(padded).fill(NaN); // gaps may hold anything
    all.set(values);
    return all;
  };
  exe.write("p", pad(floats(reference, "start")));
  for (const name of ["m", "v"]) exe.write(name, new Float32Array(padded));
  exe.write("filled", new Int32Array([64, size - 64]));
  exe.write("log_betas", logBetas(...config.betas));
  exe.write("loss_scale", fromLossScale({ ...INITIAL_LOSS_SCALE, scale: config.init_scale }));
  const { betas, eps, weight_decay: weightDecay, lr } = config;
  const expected = (name: string, i: number) => row(floats(reference, name), shape, i);
  const numbers = (name: string) => floats(reference, name);
  let taken = 0;
  for (let i = 0; i < steps; i++) {
    const [scale] = await exe.read("loss_scale");
    const scaled = expected("gradient", i).map((x) => x * scale);
    const overflow = numbers("overflow")[i];
    if (overflow !== 0) scaled[0] = overflow;
    else taken++;
    exe.write("g", pad(scaled));
    exe.write("hyper", adamwHyper({ lr, betas, eps, weightDecay }, i + 1, 0.9, true));
    exe.run();
    assert.deepEqual(
      [...await exe.read("loss_scale")],
      [...["scale", "growth_tracker", "skipped"].map((n) => numbers(n)[i]), taken],
      `step ${i}`,
    );
    assert.equal(Number.isFinite((await exe.read("norm"))[0]), overflow === 0, `step ${i}`);
    for (const [name, tolerance] of [["p", 3e-7], ["m", 3e-6], ["v", 3e-6]] as const) {
      const got = (await exe.read(name)).slice(0, size);
      const wanted = expected(name, i);
      // Before the first step that is taken the moments are zero.
      if (wanted.every((x) => x === 0)) assert.ok(got.every((x) => x === 0), `${name}, step ${i}`);
      else assert.ok(relative(got, wanted) <= tolerance, `${name}, step ${i}`);
    }
  }
  exe.destroy();
  gpu.destroy();
});

for (const accumulation of [1, 2]) {
  Deno.test(`an overflow is skipped and counted, micro-batches: ${accumulation}`, () =>
    withTrainer(
      tinyConfig({ ...HALF, gradient_accumulation_steps: accumulation, max_grad_norm: 1 }),
      async (trainer) => {
        const { executable } = trainer;
        const before = await trainer.state();
        // Of two micro-batches only the first overflows.
        executable.write("loss_scale", HUGE);
        for (let i = 0; i < accumulation; i++) {
          await trainer.prepareMicroStep(i);
          executable.run();
          trainer.finishMicroStep(i);
          if (i < accumulation - 1) {
            executable.write("loss_scale", fromLossScale(INITIAL_LOSS_SCALE));
          }
        }
        const skipped = await trainer.state();
        for (const name of MODEL) assert.deepEqual(skipped[name], before[name], name);
        const scale = (accumulation === 1 ? 2 ** 60 : INITIAL_LOSS_SCALE.scale) / 2;
        const counted = { scale, growthTracker: 0, skipped: 1, taken: 0 };
        assert.deepEqual(skipped.progress.lossScale, counted);

        executable.write("loss_scale", fromLossScale({ ...counted, scale: 1024 }));
        await trainer.runStep();
        const after = await trainer.state();
        assert.deepEqual(after.progress.lossScale, {
          scale: 1024,
          growthTracker: 1,
          skipped: 1,
          taken: 1,
        });
        assert.notDeepEqual(after.params, before.params);
        const records = await trainer.flushLosses();
        assert.deepEqual(
          records.map((r) => r.skippedSteps),
          Array.from(records, (_, i) => i < accumulation - 1 ? 0 : 1),
        );
        assert.ok(records.every((r) => Number.isFinite(r.loss)));
      },
    ));
}

Deno.test("an overflow in another process of a group is skipped here too", () => {
  let infinite = true;
  const group: ProcessGroup = {
    rank: 0,
    size: 2,
    sum(data) {
      data.forEach((v, i) => data[i] = 2 * v); // the other has the same
      if (infinite) data[7] = -Infinity;
      return Promise.resolve();
    },
  };
  return withTrainer(
    tinyConfig(HALF),
    async (trainer) => {
      const before = await trainer.state();
      await trainer.runStep();
      const skipped = await trainer.state();
      for (const name of MODEL) assert.deepEqual(skipped[name], before[name], name);
      assert.equal(skipped.progress.lossScale?.skipped, 1);
      infinite = false;
      await trainer.runStep();
      const { skipped: count, taken } = (await trainer.state()).progress.lossScale!;
      assert.deepEqual([count, taken], [1, 1]);
    },
    group,
  );
});

Deno.test("a run resumed from a checkpoint ends with the same bytes, skips and scale included", () =>
  withFolder(async (out) => {
    const config = tinyConfig({
      ...HALF,
      checkpointing_steps: 5,
      max_train_steps: 12,
      save_images_epochs: 50,
      max_grad_norm: 0.5,
      snr_gamma: 5,
    });
    const { dataset, cache } = tinyData(config);
    let whole: Awaited<ReturnType<Trainer["state"]>>;
    await withTrainer(config, async (trainer) => {
      // As if it had come down from there: two steps overflow, the third is taken.
      trainer.executable.write("loss_scale", HUGE);
      const events = {
        ...QUIET,
        onStep(step: number) {
          if (step === 2) trainer.executable.write("loss_scale", new Float32Array([64, 0, 2, 0]));
        },
      };
      await trainRun(trainer, dataset, cache, out, events);
      whole = await trainer.state();
      assert.deepEqual(
        whole.progress.lossScale,
        { scale: 64, growthTracker: 10, skipped: 2, taken: 10 },
      );
    });
    const [columns, ...rows] = (await Deno.readTextFile(join(out, "metrics.csv"))).split("\n");
    assert.match(columns, /,loss_scale,skipped_steps,scored_on$/);
    assert.match(rows.find((row) => row.startsWith("10,"))!, /,64,2,$/);
    await Deno.remove(join(out, "checkpoints", "step-00000012"), { recursive: true });
    await withTrainer(config, async (trainer) => {
      const state = await latestCheckpoint(out, trainer.layout, assert.fail);
      assert.equal(state.progress.step, 10);
      assert.equal(state.progress.lossScale?.skipped, 2);
      trainer.restore(state);
      while (trainer.step < 12) await trainer.runStep();
      assert.deepEqual(await trainer.state(), whole);
      const records = await trainer.flushLosses();
      assert.equal(records.at(-1)?.skippedSteps, 2);
    });
    await withTrainer(tinyConfig(), async (trainer) => {
      const state = await latestCheckpoint(out, trainer.layout, assert.fail);
      assert.throws(() => trainer.restore(state), /step 10 has a lossScale, .* precision is f32/);
    });
  }));

Deno.test("losses of f16 are those of f32 to a part in a thousand", async () => {
  const losses: number[][] = [];
  for (const precision of ["f32", "f16"] as const) {
    await withTrainer(tinyConfig({ precision }), async (trainer) => {
      for (let i = 0; i < 10; i++) await trainer.runStep();
      losses.push((await trainer.flushLosses()).map((r) => r.loss));
    });
  }
  const [full, half] = losses;
  full.forEach((loss, i) => assert.ok(Math.abs(half[i] / loss - 1) < 1e-3, `${half[i]} ${loss}`));
  assert.notDeepEqual(half, full);
});

Deno.test("an activation beyond f16 is found, gradients that only overflow are not blamed", () =>
  withTrainer(tinyConfig(HALF), async (trainer) => {
    const state = await trainer.state();
    trainer.layout.part(state.params, "mid_block.resnets.0.conv1.weight").fill(1e6);
    const bad = await firstBadTensor(trainer, state, 1);
    assert.equal(bad?.scope, "mid_block.resnets.0.conv1");
    assert.equal(bad?.phase, "forward");
    const scaled = { ...INITIAL_LOSS_SCALE, scale: 2 ** 60 };
    const sound = await firstBadTensor(
      trainer,
      { ...state, params: state.ema, progress: { ...state.progress, lossScale: scaled } },
      1,
    );
    assert.equal(sound, undefined);
    assert.throws(
      () => new DivergenceWatch().checkScale(2 ** -21, 90),
      /gradients overflow f16 at any loss scale by step 90/,
    );
  }));

Deno.test("f16 needs a device that has it; a configuration from before is f32", () => {
  const profile = { features: ["timestamp-query"] };
  const gpu = { name: "old GPU", profile } as unknown as Parameters<typeof requirePrecision>[1];
  requirePrecision("f32", gpu);
  assert.throws(
    () => requirePrecision("f16", gpu),
    (error: Error) => {
      assert.ok(error instanceof NoGpuError);
      assert.match(
        error.message,
        /--precision f16 needs .* shader-f16.* old GPU lacks: use .* f32/,
      );
      return true;
    },
  );
  const { precision: _, ...older } = tinyConfig();
  assert.equal(runConfig({ ...older }, "old").precision, "f32");
  assert.throws(() => runConfig({ ...older, precision: "f8" }, "new"), /precision is "f8"/);
});
