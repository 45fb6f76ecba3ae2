/** Which checkpoint is the best, by each metric, and what stays of the rest. */

import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { checkpointName, listCheckpoints } from "../../lib/train/checkpoint.ts";
import { BEST_METRICS } from "../../lib/train/config.ts";
import { MetricsFile } from "../../lib/train/metrics_file.ts";
import { isBetter, prune, readBest, writeBest } from "../../lib/train/retention.ts";

Deno.test("better: a higher PSNR or SSIM, a lower loss or MSE; equal is no better", () => {
  const higher = { psnr: true, ssim: true, loss: false, mse: false } as Record<string, boolean>;
  for (const metric of BEST_METRICS) {
    assert.ok(metric in higher, `${metric}: say which way it goes`);
    const best = { step: 1, metric, value: 0.5 };
    assert.equal(isBetter(metric, 0.6, best), higher[metric], `${metric} above`);
    assert.equal(isBetter(metric, 0.4, best), !higher[metric], `${metric} below`);
    assert.equal(isBetter(metric, 0.5, best), false, `${metric} equal`);
    assert.equal(isBetter(metric, 0.1, undefined), true, `${metric} first`);
    for (const value of [NaN, Infinity, -Infinity]) {
      assert.equal(isBetter(metric, value, undefined), false, `${metric} ${value}`);
    }
  }
  assert.equal(isBetter("psnr", 1, { step: 1, metric: "loss", value: 0.5 }), true, "other metric");
});

async function withRun(body: (run: string, names: () => Promise<string[]>) => Promise<void>) {
  const run = await Deno.makeTempDir();
  for (const step of [10, 20, 30, 40]) {
    const folder = join(run, "checkpoints", checkpointName(step));
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(join(folder, "state.json"), "{}");
  }
  await body(run, async () => (await listCheckpoints(run)).map((p) => basename(p)).sort());
  await Deno.remove(run, { recursive: true });
}

Deno.test("pruning keeps the newest and the best, removes the others", async () => {
  await withRun(async (run, names) => {
    await prune(run, 2, { step: 10, metric: "psnr", value: 30 });
    assert.deepEqual(await names(), [10, 30, 40].map(checkpointName));
    await prune(run, 1, undefined);
    assert.deepEqual(await names(), [40].map(checkpointName));
  });
});

Deno.test("best.json counts while its checkpoint is there and its number is one", async () => {
  await withRun(async (run) => {
    assert.equal(await readBest(run), undefined);
    const best = { step: 20, metric: "ssim", value: 0.9 } as const;
    await writeBest(run, best);
    assert.deepEqual(await readBest(run), best);
    await writeBest(run, { ...best, step: 25 });
    assert.equal(await readBest(run), undefined);
    for (const damage of [{ value: null }, { metric: "fid" }]) {
      const text = JSON.stringify({ ...best, ...damage });
      await Deno.writeTextFile(join(run, "checkpoints/best.json"), text);
      assert.equal(await readBest(run), undefined, text);
    }
  });
});

Deno.test("metrics.csv opened at a checkpoint keeps its step's row and those before, none after", async () => {
  const run = await Deno.makeTempDir();
  const file = await MetricsFile.open(run, 0);
  const rows = [10, 20, 40].map((step) => ({ step, loss: 5 / step }));
  for (const row of rows) await file.append(row);
  await Deno.writeTextFile(file.path, "50,0.0", { append: true });
  assert.deepEqual((await MetricsFile.open(run, 60)).rows, rows, "a row that was cut off");
  assert.deepEqual((await MetricsFile.open(run, 20)).rows, rows.slice(0, 2));
  assert.deepEqual((await MetricsFile.open(run, 60)).rows, rows.slice(0, 2), "in the file too");
  assert.deepEqual((await MetricsFile.open(run, 19)).rows, rows.slice(0, 1));
  await Deno.remove(run, { recursive: true });
});
