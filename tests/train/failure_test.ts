/** What a run does when it diverges, when its GPU goes away, and which checkpoints it keeps. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { DeviceLostError } from "../../lib/errors.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import {
  latestCheckpoint,
  listCheckpoints,
  type TrainingState,
} from "../../lib/train/checkpoint.ts";
import type { SamplerState } from "../../lib/data/sampler.ts";
import type { RunConfig } from "../../lib/train/config.ts";
import { describeBadTensor, DivergenceWatch, firstBadTensor } from "../../lib/train/divergence.ts";
import { trainRun } from "../../lib/train/run.ts";
import { trainSession } from "../../lib/train/session.ts";
import { Trainer } from "../../lib/train/trainer.ts";
import { QUIET, tinyConfig, tinyData, withFolder } from "./tiny.ts";

async function withTrainer(config: RunConfig, body: (trainer: Trainer) => Promise<void>) {
  const { dataset, cache } = tinyData(config);
  const gpu = await openGpu();
  await body(await Trainer.create(gpu, config, dataset.train, cache));
  gpu.destroy();
}

/** Losses, weights and all of a run of `config` in `out`. */
async function runWhole(config: RunConfig, out: string, events = QUIET) {
  const { dataset, cache } = tinyData(config);
  const gpu = await openGpu();
  const trainer = await Trainer.create(gpu, config, dataset.train, cache);
  await trainRun(trainer, dataset, cache, out, events);
  const state = await trainer.state();
  gpu.destroy();
  return state;
}

const steps = async (out: string) =>
  (await listCheckpoints(out)).map((folder) => Number(folder.slice(-8)));

Deno.test("a bad weight is traced to the first tensor that it spoils", () =>
  withTrainer(tinyConfig(), async (trainer) => {
    for (let i = 0; i < 3; i++) await trainer.runStep();
    const state = await trainer.state();
    trainer.layout.part(state.params, "mid_block.resnets.0.conv1.weight").fill(3e38);
    const bad = await firstBadTensor(trainer, state, 5);
    assert.equal(bad?.step, 4);
    assert.equal(bad?.op, "conv2d");
    assert.equal(bad?.scope, "mid_block.resnets.0.conv1");
    assert.equal(bad?.phase, "forward");
    assert.match(
      describeBadTensor(bad!),
      /forward output \[2,8,4,4\] of conv2d "mid_block.resnets.0.conv1" in step 4: \S+ at \[\d,/,
    );
  }));

Deno.test("a step that makes the weights bad is found by the loss of the next", () =>
  withTrainer(tinyConfig(), async (trainer) => {
    const state = await trainer.state();
    // A second moment that is no number spoils the weights in the update itself.
    trainer.layout.part(state.v, "conv_out.bias").fill(-1);
    const bad = await firstBadTensor(trainer, state, 2);
    assert.equal(bad?.step, 1);
    assert.equal(bad?.op, "adamw");
  }));

Deno.test("a sound run has no bad tensor", () =>
  withTrainer(tinyConfig(), async (trainer) => {
    assert.equal(await firstBadTensor(trainer, null, 3), undefined);
  }));

Deno.test("a run whose loss is no number says step, tensor and the good checkpoint", () =>
  withFolder(async (out) => {
    const config = tinyConfig({ checkpointing_steps: 2, max_train_steps: 40 });
    const { dataset, cache } = tinyData(config);
    const gpu = await openGpu();
    const trainer = await Trainer.create(gpu, config, dataset.train, cache);
    const events = {
      ...QUIET,
      onStep(step: number) {
        if (step === 7) trainer.executable.write("loss_gradient", new Float32Array([NaN]));
      },
    };
    await assert.rejects(
      trainRun(trainer, dataset, cache, out, events),
      (error: Error) => {
        assert.equal(error.name, "DivergedError");
        assert.match(error.message, /after step 8|at step 9/);
        assert.match(
          error.message,
          /the first bad tensor is the backward output .* of mse_with_gradient/,
        );
        assert.match(error.message, /the checkpoint of step 6 is good/);
        return true;
      },
    );
    gpu.destroy();
    assert.equal((await latestCheckpoint(out, trainer.layout, assert.fail)).progress.step, 6);
  }));

Deno.test("a loss that grows without bound stops the run, one that jumps about does not", () => {
  const watch = new DivergenceWatch();
  for (let i = 1; i <= 100; i++) watch.check(1 + (i % 7 === 0 ? 20 : 0), i);
  assert.throws(() => {
    for (let i = 101; i < 200; i++) watch.check(2 ** (i - 100), i);
  }, /has grown from 3.\d+ to \d+\S* at step 1\d\d/);
  assert.throws(() => watch.check(NaN, 201), /the loss is NaN at step 201/);
});

Deno.test("the newest checkpoints are kept, and the best besides", () =>
  withFolder(async (out) => {
    const config = tinyConfig({
      checkpointing_steps: 1,
      keep: 2,
      max_train_steps: 12,
      best_metric: "loss",
    });
    await runWhole(config, out);
    const best = JSON.parse(await Deno.readTextFile(join(out, "checkpoints", "best.json")));
    assert.equal(best.metric, "loss");
    assert.deepEqual(await steps(out), [...new Set([12, 11, best.step])].sort((a, b) => b - a));
  }));

Deno.test("a checkpoint that is due at the end of an epoch is made", () =>
  withFolder(async (out) => {
    const config = tinyConfig({
      checkpointing_steps: 4,
      save_model_epochs: 50,
      save_images_epochs: 50,
      keep: 9,
    });
    await runWhole(config, out); // epochs of three or four steps
    assert.deepEqual(await steps(out), [12, 8, 4]);
  }));

Deno.test("a checkpoint leaves no copy of the state in memory", () =>
  withFolder((out) => {
    const config = tinyConfig({ checkpointing_steps: 2 });
    return withTrainer(config, async (trainer) => {
      const { dataset, cache } = tinyData(config);
      const states: TrainingState[] = [];
      const state = trainer.state.bind(trainer);
      trainer.state = async () => {
        states.push(await state());
        return states.at(-1)!;
      };
      await trainRun(trainer, dataset, cache, out, QUIET);
      const lengths = states.map(({ params, ema, m, v }) =>
        [params, ema, m, v].map((x) => x.length)
      );
      // Six checkpoints, and the reading after the first step that takes their memory.
      assert.deepEqual(lengths, Array.from({ length: 7 }, () => [0, 0, 0, 0]));
    });
  }));

Deno.test("of a damaged checkpoint the one before takes the place, and the end is the same", () =>
  withFolder(async (out) => {
    const config = tinyConfig({ checkpointing_steps: 3, label_dropout: 0.5 });
    const expected = await runWhole(config, out);
    const [newest, before] = await listCheckpoints(out);
    const file = join(newest, "optimizer.safetensors");
    const bytes = await Deno.readFile(file);
    bytes[bytes.length >> 1] ^= 1;
    await Deno.writeFile(file, bytes);
    await withTrainer(config, async (trainer) => {
      const damaged: string[] = [];
      const state = await latestCheckpoint(out, trainer.layout, (reason) => damaged.push(reason));
      assert.equal(damaged.length, 1);
      assert.match(damaged[0], /step-00000012\/optimizer.safetensors: its SHA-256 is not/);
      assert.equal(state.progress.step, Number(before.slice(-8)));
      trainer.restore(state);
      while (trainer.step < 12) await trainer.runStep();
      assert.deepEqual(await trainer.state(), expected);
    });
  }));

Deno.test("accepting new data: the run's own slices go on in their order, others begin an epoch", () =>
  withFolder(async (out) => {
    const config = tinyConfig({ checkpointing_steps: 5 });
    await runWhole(config, out);
    await Deno.remove((await listCheckpoints(out))[0], { recursive: true });
    const orderWith = async (phantom_slices: number) => {
      const orders: SamplerState[] = [];
      const halt = new Error("far enough");
      const onReady = (trainer: Trainer) => {
        orders.push(trainer.sampler.state());
        return Promise.reject(halt);
      };
      const data = tinyData({ ...config, phantom_slices });
      const session = { config, ...data, out, resume: true, acceptNewData: true, openGpu };
      await assert.rejects(trainSession(session, { onReady, onWarning: assert.fail }, QUIET), halt);
      return orders[0];
    };
    const { sampler: before } = JSON.parse(
      await Deno.readTextFile(join((await listCheckpoints(out))[0], "state.json")),
    ) as { sampler: SamplerState };
    assert.ok(before.batch > 0, "in the middle of an epoch");
    const { weights: _, ...same } = await orderWith(config.phantom_slices) as SamplerState;
    const { weights: __, ...saved } = before;
    assert.deepEqual(same, saved);
    const other = await orderWith(24);
    assert.deepEqual([other.epoch, other.batch], [before.epoch + 1, 0]);
    assert.ok(other.positives + other.negatives > before.positives + before.negatives);
  }));

Deno.test("a checkpoint's file that never ends is refused, not read", () =>
  withFolder(async (out) => {
    const config = tinyConfig({ checkpointing_steps: 6 });
    await runWhole(config, out);
    const [newest, before] = await listCheckpoints(out);
    const file = join(newest, "optimizer.safetensors");
    // ln, because a test may not link to what it may not write.
    const link = ["-c", 'ln -sf /dev/zero "$1"', "sh", file];
    assert.equal((await new Deno.Command("sh", { args: link }).output()).code, 0);
    await withTrainer(config, async (trainer) => {
      const damaged: string[] = [];
      const state = await latestCheckpoint(out, trainer.layout, (reason) => damaged.push(reason));
      assert.match(damaged.join(), /optimizer.safetensors": it is no regular file$/);
      assert.equal(state.progress.step, Number(before.slice(-8)));
    });
  }));

Deno.test("a lost GPU is opened anew once, and the run ends with the same weights", () =>
  withFolder(async (folder) => {
    const config = tinyConfig({ checkpointing_steps: 4 });
    const expected = await runWhole(config, join(folder, "whole"));
    const losing = async (times: number, out: string) => {
      const { dataset, cache } = tinyData(config);
      let gpu: Gpu | undefined;
      const warnings: string[] = [];
      const open = async () => gpu = await openGpu();
      const result = await trainSession(
        { config, dataset, cache, out, resume: false, openGpu: open },
        { onReady: async () => {}, onWarning: (text) => warnings.push(text) },
        {
          ...QUIET,
          onStep(step) {
            if (step === 6 && times-- > 0) gpu!.device.destroy(); // as if it were lost
          },
        },
      );
      return { result, warnings };
    };
    const once = join(folder, "once");
    const other = tinyConfig({ checkpointing_steps: 4, exact: true, max_grad_norm: 1 });
    const said: string[] = [];
    await trainSession(
      { config: other, ...tinyData(other), out: join(folder, "whole"), resume: true, openGpu },
      { onReady: async () => {}, onWarning: (text) => said.push(text) },
      QUIET,
    );
    assert.match(said.join(), /the kernels are not those that the checkpoint was made with/);
    const { result, warnings } = await losing(1, once);
    assert.deepEqual(result, { complete: true, step: 12 });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0], /GPU was lost .* last checkpoint/);
    await withTrainer(config, async ({ layout }) => {
      const state = await latestCheckpoint(once, layout, assert.fail);
      for (const name of ["params", "ema", "m", "v"] as const) {
        assert.deepEqual(state[name], expected[name], name);
      }
    });
    await assert.rejects(losing(2, join(folder, "twice")), DeviceLostError);
  }));
