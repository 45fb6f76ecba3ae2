/** Provenance of a run, and running part of it again. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { chooseStretch, circumstances, reproduce } from "../../lib/audit/reproduce.ts";
import { lockGuard } from "../../lib/audit/lock.ts";
import { openPhantomDataset } from "../../lib/data/dataset.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { saveCheckpoint } from "../../lib/train/checkpoint.ts";
import {
  PROVENANCE_NAME,
  provenanceHash,
  readProvenance,
  writeProvenance,
} from "../../lib/train/provenance_file.ts";
import { trainingScheduler } from "../../lib/train/training_step.ts";
import { tinyTrainer } from "./tiny.ts";

const dataset = openPhantomDataset({ seed: 1, count: 4, size: 16 });

Deno.test("a run says what made it; part of it, run again, gives the same bits", async () => {
  const out = await Deno.makeTempDir();
  const gpu = await openGpu();
  const trainer = await tinyTrainer(gpu);
  await writeProvenance(out, trainer, dataset);
  for (let step = 1; step <= 5; step++) {
    await trainer.runStep();
    if (step === 3 || step === 5) {
      const { config, layout } = trainer;
      const scheduler = trainingScheduler(config);
      await saveCheckpoint(out, config.unet, layout, scheduler, await trainer.state());
    }
  }
  const provenance = (await readProvenance(out))!;
  assert.equal(provenance.seed, trainer.config.seed);
  assert.match(provenance.data, /^[0-9a-f]{64}$/);
  const [session] = provenance.sessions;
  assert.equal(session.adapter, gpu.name);
  assert.equal(session.deno, Deno.version.deno);
  assert.ok(Object.keys(session.shaders).length > 20);
  assert.match((await provenanceHash(out))!, /^[0-9a-f]{64}$/);

  await writeProvenance(out, trainer, dataset); // the run goes on
  const [, second] = (await readProvenance(out))!.sessions;
  assert.equal(second.from_step, 5);

  const short = await chooseStretch(out, false);
  assert.equal(short.steps, 2);
  const start = await chooseStretch(out, true);
  assert.deepEqual([start.steps, start.from], [3, undefined]);
  for (const stretch of [short, start]) {
    const again = await tinyTrainer(gpu);
    assert.deepEqual(await circumstances(out, again, dataset), []);
    for (const part of await reproduce(again, stretch, () => {})) {
      assert.equal(part.different, 0, part.name);
    }
  }
  const other = await tinyTrainer(gpu);
  await other.runStep(); // one step too many
  const parts = await reproduce(other, start, () => {});
  assert.ok(parts.every((p) => p.different > 0));
  await Deno.writeTextFile(join(out, PROVENANCE_NAME), "{");
  assert.deepEqual(await circumstances(out, other, dataset), ["the run has no provenance.json"]);
  await assert.rejects(chooseStretch(join(out, "none"), false), /holds no checkpoint/);
  gpu.destroy();
  await Deno.remove(out, { recursive: true });
});

Deno.test("a locked device compiles nothing that is not in the lock", async () => {
  const gpu = await openGpu(lockGuard({ version: 1, plans: {}, shaders: {} }));
  await assert.rejects(tinyTrainer(gpu), /--locked: kernels\/.* is not in audit\.lock\.json/);
  gpu.destroy();
});
