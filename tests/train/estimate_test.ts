/** `train --estimate`: what a run would take, measured and counted; nothing is written. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openGpu } from "../../lib/gpu/device.ts";
import { durationText, estimateRun, estimateText } from "../../lib/train/estimate.ts";
import { trainSession } from "../../lib/train/session.ts";
import { QUIET, tinyConfig, tinyData, withFolder } from "./tiny.ts";

Deno.test("an estimate has the steps, grids, memory and disk that the run then takes", () =>
  withFolder(async (root) => {
    // 12 steps of 4 an epoch: three epochs, grids after the second and at the end.
    const config = tinyConfig({ save_images_epochs: 2, keep: 2, checkpointing_steps: 1 });
    const { dataset, cache } = tinyData(config);
    const gpu = await openGpu();
    const estimate = await estimateRun(gpu, config, dataset, cache, 3, { isPacked: false });
    gpu.destroy();
    const out = join(root, "run");
    let gpuBytes = 0, most = 0;
    const bytesOf = (folder: string): number =>
      [...Deno.readDirSync(folder)].reduce((sum, { name, isDirectory }) => {
        const path = join(folder, name);
        return sum + (isDirectory ? bytesOf(path) : Deno.statSync(path).size);
      }, 0);
    await trainSession(
      { config, dataset, cache, out, resume: false, openGpu },
      {
        onReady: (trainer) => {
          gpuBytes = trainer.executable.bytes;
          return Promise.resolve();
        },
        onWarning() {},
      },
      {
        ...QUIET,
        onStep() {
          const folder = join(out, "checkpoints");
          try {
            most = Math.max(most, bytesOf(folder));
          } catch { /* none yet */ }
        },
      },
    );
    const grids = [...Deno.readDirSync(join(out, "samples"))].length;
    assert.equal(estimate.steps, 12);
    assert.equal(estimate.gridCount, grids);
    assert.equal(estimate.gpuBytes, gpuBytes);
    // The configurations beside the weights are small; here they are not, with so few weights.
    const [step] = [...Deno.readDirSync(join(out, "checkpoints"))].filter((e) => e.isDirectory);
    const real = bytesOf(join(out, "checkpoints", step.name));
    assert.ok(
      estimate.checkpointBytes <= real && real < estimate.checkpointBytes + 40_000,
      `${real}`,
    );
    assert.equal(estimate.keptBytes, 4 * estimate.checkpointBytes);
    assert.ok(most <= estimate.keptBytes + 4 * 40_000);
    assert.ok(estimate.step > 0 && estimate.training === 12 * estimate.step);
    assert.match(
      estimateText(estimate),
      /12 steps .*, 2 sample grids .*\n.*\n.*at most 4 at a time/,
    );
  }));

Deno.test("durations are told in the units that matter", () => {
  assert.deepEqual([3.4, 59.7, 200, 3599.6, 18_600].map(durationText), [
    "3 s",
    "1 min 0 s",
    "3 min 20 s",
    "1 h 0 min",
    "5 h 10 min",
  ]);
});
