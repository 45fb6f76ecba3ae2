/** Batches read ahead from a packed file are those from memory, also after a restart. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openPacked } from "../../lib/data/packed/writer.ts";
import { BalancedSampler } from "../../lib/data/sampler.ts";
import { type Batches, MemoryBatches, PackedBatches } from "../../lib/train/batches.ts";
import { tinyConfig, tinyData } from "./tiny.ts";

Deno.test("packed batches equal those from memory, and restart where they are told", async () => {
  const folder = await Deno.makeTempDir();
  const config = tinyConfig();
  const { dataset, cache } = tinyData(config);
  const path = join(folder, "slices.pack");
  const packed = await openPacked({ path, records: dataset.train, size: cache.size, state: "" });
  packed.close();
  const labels = dataset.train.map((r) => r.label);
  const part = { first: 1, count: 2 };
  const make = () => new BalancedSampler(labels, 4, 9);
  const [a, b] = [make(), make()];
  const memory: Batches = new MemoryBatches(a, dataset.train, cache, part);
  const ahead: Batches = new PackedBatches(b, path, part, {}, "class", 9);
  const compare = async (step: number) => {
    const [x, y] = [await memory.next(step), await ahead.next(step)];
    assert.deepEqual([...y.ct], [...x.ct]);
    assert.deepEqual([...y.lungMask], [...x.lungMask]);
    assert.deepEqual([...y.classMap], [...x.classMap]);
    assert.deepEqual(y.position, x.position);
    return x.position;
  };
  let position = a.state();
  for (let step = 0; step < 7; step++) position = await compare(step);
  // A resumed run: both samplers are put back, and what was read ahead is forgotten.
  a.restore(position);
  b.restore(position);
  ahead.restart();
  for (let step = 7; step < 12; step++) await compare(step);
  ahead.close();
  await Deno.remove(folder, { recursive: true });
});
