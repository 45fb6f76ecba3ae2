/** Averaged weights: decay as configured, once a micro-batch, from weights before and after a step. */

import assert from "node:assert/strict";
import { openPhantomDataset, SliceCache } from "../../lib/data/dataset.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { type RunConfig, runConfig } from "../../lib/train/config.ts";
import { Trainer } from "../../lib/train/trainer.ts";
import { tinyConfig } from "../audit/tiny.ts";

const gpu = await openGpu();
globalThis.addEventListener("unload", () => gpu.destroy());

async function oneStep(changes: Partial<RunConfig>) {
  const config = runConfig(
    {
      ...tinyConfig(),
      learning_rate: 0.01,
      lr_scheduler: "constant",
      lr_warmup_steps: 0,
      ...changes,
    },
    "ema",
  );
  const { train } = openPhantomDataset({ seed: 1, count: 4, size: 16 });
  const trainer = await Trainer.create(
    gpu,
    config,
    train,
    new SliceCache({ height: 8, width: 8 }),
  );
  const before = await trainer.state();
  await trainer.runStep();
  const after = await trainer.state();
  trainer.executable.destroy();
  return { before, after };
}

for (
  const [decay, accumulation] of [[0, 1], [0.25, 1], [0.999, 1], [0.25, 2], [1, 1]] as const
) {
  Deno.test(`EMA of decay ${decay}, ${accumulation} micro-batches a step`, async () => {
    const { before, after } = await oneStep({
      ema_decay: decay,
      gradient_accumulation_steps: accumulation,
    });
    assert.deepEqual(before.ema, before.params, "begins as the weights");
    assert.notDeepEqual(after.params, before.params);
    // The average is taken after each micro-batch; weights move with the last one.
    let worst = 0, moved = 0;
    after.ema.forEach((value, i) => {
      const [p0, p1] = [before.params[i], after.params[i]];
      worst = Math.max(worst, Math.abs(value - (decay * p0 + (1 - decay) * p1)));
      moved = Math.max(moved, Math.abs(p1 - p0));
    });
    assert.ok(moved > 1e-3, `${moved}`);
    assert.ok(worst < 1e-6, `${worst} of ${moved}`);
  });
}
