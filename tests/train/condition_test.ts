/** The second plane: the class in every pixel, or where the nodules are. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openPhantomDataset, prepareSlice, SliceCache } from "../../lib/data/dataset.ts";
import { openPacked } from "../../lib/data/packed/writer.ts";
import { resizeArea } from "../../lib/data/resize.ts";
import { BalancedSampler } from "../../lib/data/sampler.ts";
import { samplingModel, slicePreparation } from "../../lib/diffusion/sampling_model.ts";
import { MemoryBatches, PackedBatches } from "../../lib/train/batches.ts";
import { PRESETS, runConfig } from "../../lib/train/config.ts";
import { trainingScheduler, trainingStep } from "../../lib/train/training_step.ts";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { tinyConfig, withFolder } from "./tiny.ts";

const SIZE = { height: 24, width: 24 };
const PLACED = { antialias: true, condition: "nodule-mask" } as const;
const sum = (plane: ArrayLike<number>) => Array.from(plane).reduce((a, b) => a + b, 0);

Deno.test("resize by area: shares under each pixel, any sizes; the mean stays what it was", () => {
  const plane = [1, 0, 0, 0, 0, 0, 0, 0, 1]; // 3×3, two corners
  const three = { height: 3, width: 3 };
  assert.deepEqual([...resizeArea(plane, three, three)], plane);
  // 3 → 2: each output pixel is 1.5 × 1.5; the corner lies in it whole.
  const half = resizeArea(plane, three, { height: 2, width: 2 });
  assert.deepEqual([...half].map((v) => v.toFixed(6)), [
    (1 / 2.25).toFixed(6),
    "0.000000",
    "0.000000",
    (1 / 2.25).toFixed(6),
  ]);
  for (const [height, width] of [[2, 2], [5, 7], [1, 3], [3, 1], [9, 2]]) {
    const out = resizeArea(plane, three, { height, width });
    assert.ok(Math.abs(sum(out) / out.length - 2 / 9) < 1e-6, `${height}×${width}`);
  }
});

Deno.test("nodule-mask: the plane is the nodules' coverage, none vanishes, zeros where there is none", async () => {
  const { train } = openPhantomDataset({ seed: 3, count: 24, size: 96 });
  for (const record of train) {
    const slice = await record.load();
    const { classMap, noduleMask, lungMask } = await prepareSlice(record, SIZE, undefined, PLACED);
    assert.deepEqual(classMap, noduleMask);
    if (record.label === 0) assert.equal(sum(classMap), 0);
    else assert.ok(sum(classMap) > 0);
    // As much area as in the slice: 96² to 24² is 16 to 1; a byte rounds by at most 1/255 a pixel.
    const touched = classMap.filter((v) => v > 0).length;
    assert.ok(Math.abs(sum(classMap) - sum(slice.noduleMask) / 16) <= touched / 255, record.id);
    assert.ok(classMap.every((v) => v >= 0 && v <= 1 && Math.abs(v * 255 % 1 - 0.5) > 0.49));
    assert.ok(lungMask.every((v) => v === 0 || v === 1));
  }
  // A nodule of one pixel of 96² is seen at 24², where the nearest pixel would miss it.
  const tiny = { ...await train[1].load(), noduleMask: new Uint8Array(96 * 96) };
  tiny.noduleMask[41 * 96 + 42] = 1;
  const record = { ...train[1], load: () => Promise.resolve(tiny) };
  const seen = await prepareSlice(record, SIZE, undefined, PLACED);
  assert.deepEqual([...seen.classMap].flatMap((v, i) => v ? [[i, v]] : []), [
    [10 * 24 + 10, Math.fround(16 / 255)],
  ]);
  const cache = new SliceCache(SIZE, undefined, PLACED);
  const first = await cache.get(record);
  assert.deepEqual(await cache.get(record), first, "from memory as when it was made");
  assert.equal(sum((await prepareSlice(record, SIZE)).noduleMask), 0);
});

Deno.test("nodule-mask: batches from a packed file are those from memory, and move with the CT", () =>
  withFolder(async (folder) => {
    const { train } = openPhantomDataset({ seed: 3, count: 8, size: 96 });
    const cache = new SliceCache(SIZE, undefined, PLACED);
    const path = join(folder, "slices.pack");
    const pack = (condition: "class" | "nodule-mask") =>
      openPacked({
        path,
        records: train,
        size: SIZE,
        prepare: { ...PLACED, condition },
        state: "",
        onDone: () => written++,
      });
    let written = 0;
    (await pack("class")).close();
    (await pack("nodule-mask")).close();
    (await pack("nodule-mask")).close();
    assert.equal(written, 16, "another condition makes another file, the same one does not");
    const sampler = () => new BalancedSampler(train.map(({ label }) => label), 4, 9);
    const part = { first: 0, count: 4 };
    const memory = new MemoryBatches(sampler(), train, cache, part);
    const plain = new PackedBatches(sampler(), path, part, {}, "nodule-mask", 9);
    const flip = { flip: true, rotate: 20, shift: 0.2 };
    const moved = new PackedBatches(sampler(), path, part, flip, "nodule-mask", 9);
    let changed = 0;
    for (let step = 0; step < 3; step++) {
      const [x, y, z] = [
        await memory.next(),
        await plain.next(step),
        await moved.next(step),
      ];
      assert.deepEqual([...y.classMap], [...x.classMap]);
      if (z.classMap.some((v, i) => v !== y.classMap[i])) changed++;
      // What is bright inside the mask stays bright there: mask and CT move alike.
      const inside = (b: typeof x) => sum(b.ct.map((v, i) => v * b.classMap[i])) / sum(b.classMap);
      assert.ok(Math.abs(inside(z) - inside(y)) < 0.2, `${inside(z)} for ${inside(y)}`);
    }
    assert.ok(changed > 0);
    plain.close();
    moved.close();
  }));

Deno.test("the checkpoint says which condition it was trained with; class files are as they were", () => {
  const config = tinyConfig();
  assert.equal(config.condition, tinyConfig({ condition: "class" }).condition);
  assert.ok(!("_condition" in trainingScheduler(tinyConfig({ condition: "class" }))));
  const placed = trainingScheduler(tinyConfig({ condition: "nodule-mask", label_dropout: 0.1 }));
  assert.deepEqual([placed._condition, placed._null_class], ["nodule-mask", -1]);
  const model = (scheduler: Record<string, unknown>) =>
    samplingModel("m", { config: config.unet } as never, scheduler).preparation.condition;
  assert.equal(model(placed), "nodule-mask");
  assert.equal(model({}), "class");
  assert.throws(
    () => model({ _condition: "heart" }),
    /_condition "heart"; known are class, nodule/,
  );
  assert.equal(slicePreparation({ condition: "nodule-mask" }).condition, "nodule-mask");
  assert.equal(slicePreparation({}).condition, "class");
  // A run from before there was a choice.
  const { condition: _, ...old } = tinyConfig();
  assert.equal(runConfig({ ...old }, "old").condition, "class");
  assert.equal(PRESETS.seed.condition, "class");
  assert.throws(() => tinyConfig({ condition: "mask" as never }), /class, nodule-mask/);
});

Deno.test("the condition changes no kernel: one Plan for both", () => {
  const of = (condition: "class" | "nodule-mask") =>
    JSON.stringify(trainingStep(tinyConfig({ condition }), AUDIT_PROFILES.software).plan);
  assert.equal(of("class"), of("nodule-mask"));
});
