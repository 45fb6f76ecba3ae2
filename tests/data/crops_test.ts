/** Patches: where they lie, what they show, and what is refused. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { cropDataset, type CropOptions, patchSize, windowAround } from "../../lib/data/crops.ts";
import {
  type Dataset,
  type LoadedSlice,
  openPhantomDataset,
  prepareSlice,
} from "../../lib/data/dataset.ts";
import { openNpyDataset } from "../../lib/data/npy_dataset.ts";
import { manifestSpacings } from "../../lib/data/spacing.ts";
import { writeNpy } from "../../lib/io/npy_file.ts";
import { PRESETS, runConfig } from "../../lib/train/config.ts";
import { trainingScheduler } from "../../lib/train/training_step.ts";
import { samplingModel } from "../../lib/diffusion/sampling_model.ts";
import { withFolder } from "../train/tiny.ts";

const HEIGHT = 40, WIDTH = 60;
const OPTIONS: CropOptions = { pixels: 16, spacing: 1, perSlice: 6, seed: 5 };

/** Every pixel of the CT has a value of its own, so that a patch tells where it was cut. */
function slice(nodules: [x: number, y: number, side: number][] = []): LoadedSlice {
  const ct = Float32Array.from({ length: HEIGHT * WIDTH }, (_, i) => i);
  const noduleMask = new Uint8Array(HEIGHT * WIDTH);
  for (const [x0, y0, side] of nodules) {
    for (let y = y0; y < y0 + side; y++) noduleMask.fill(1, y * WIDTH + x0, y * WIDTH + x0 + side);
  }
  // The lung: columns from 20 on.
  const lungMask = Uint8Array.from(ct, (_, i) => i % WIDTH >= 20 ? 1 : 0);
  return { ct, lungMask, noduleMask, height: HEIGHT, width: WIDTH };
}

function dataset(slices: LoadedSlice[], spacing?: [number, number]): Dataset {
  const train = slices.map((s, i) => ({
    id: `P${i}_slice_0`,
    patient: `P${i}`,
    label: (s.noduleMask.includes(1) ? 1 : 0) as 0 | 1,
    spacing,
    load: () => Promise.resolve(s),
  }));
  return { train, val: [], test: [], notes: ["a note"] };
}

const sum = (mask: Uint8Array) => mask.reduce((a, b) => a + b, 0);

Deno.test("patches: half around nodules, whole and anywhere in the patch; half in the lung without any", async () => {
  const whole = slice([[30, 10, 4], [44, 20, 5]]);
  const { train, notes } = await cropDataset(dataset([whole, slice()], [1, 1]), OPTIONS);
  assert.equal(train.filter(({ label }) => label === 1).length, 6);
  assert.equal(train.filter(({ label }) => label === 0).length, 12);
  assert.equal(new Set(train.map(({ id }) => id)).size, 18);
  assert.match(notes.join("\n"), /a note\npatches of 16² pixels of 1 mm: 18 to train on/);
  const places = new Set<string>();
  for (const record of train) {
    const patch = await record.load();
    assert.deepEqual([patch.height, patch.width, patch.ct.length], [16, 16, 256]);
    const x = patch.ct[0] % WIDTH, y = Math.floor(patch.ct[0] / WIDTH);
    for (let i = 0; i < 256; i++) {
      const at = (y + Math.floor(i / 16)) * WIDTH + x + i % 16;
      const source = record.patient === "P0" ? whole : slice();
      assert.deepEqual(
        [patch.ct[i], patch.lungMask[i], patch.noduleMask[i]],
        [source.ct[at], source.lungMask[at], source.noduleMask[at]],
      );
    }
    if (record.label === 0) {
      assert.equal(sum(patch.noduleMask), 0);
      assert.equal(patch.lungMask[8 * 16 + 8] | patch.lungMask[7 * 16 + 7], 1, "in the lung");
    } else {
      assert.ok([16, 25].includes(sum(patch.noduleMask)), "one nodule, whole");
      places.add(`${sum(patch.noduleMask)} ${patch.noduleMask.indexOf(1)}`);
    }
  }
  assert.ok(places.size >= 5, "a nodule is not always in the same place of its patch");
  assert.deepEqual(new Set([...places].map((p) => p.split(" ")[0])), new Set(["16", "25"]));
});

Deno.test("patches: a function of the seed and the slice, whatever other slices there are", async () => {
  const of = async (slices: LoadedSlice[], seed = 5) => {
    const { train } = await cropDataset(dataset(slices, [1, 1]), { ...OPTIONS, seed });
    const first = train.filter(({ patient }) => patient === "P0");
    return await Promise.all(first.map(async (r) => (await r.load()).ct[0]));
  };
  const [a, b] = [slice([[30, 10, 4]]), slice()];
  assert.deepEqual(await of([a]), await of([a, b]));
  assert.notDeepEqual(await of([a]), await of([a], 6));
});

Deno.test("patches: other spacings cover other numbers of pixels; rows and columns may differ", async () => {
  const options = { pixels: 16, spacing: 1 };
  const size = { height: HEIGHT, width: WIDTH };
  assert.deepEqual(patchSize("s", size, [0.5, 2], options), { height: 32, width: 8 });
  assert.deepEqual(patchSize("s", size, undefined, { ...options, fieldMm: 120 }), {
    height: 8,
    width: 8,
  });
  assert.throws(
    () => patchSize("s", size, undefined, options),
    /which nothing says: give --field-mm/,
  );
  assert.throws(
    () => patchSize("s", size, [0.3, 0.3], options),
    /16\.0 mm wide and does not fit a slice of 12\.0 × 18\.0 mm/,
  );
  const made = await cropDataset(dataset([slice([[30, 10, 4]])], [0.5, 0.5]), OPTIONS);
  const [record] = made.train.filter(({ label }) => label === 1);
  assert.deepEqual(record.spacing, [0.5, 0.5]);
  const net = await prepareSlice(record, { height: 16, width: 16 }, undefined, {
    condition: "nodule-mask",
  });
  const area = net.noduleMask.reduce((a, b) => a + b, 0);
  assert.ok(Math.abs(area - 4) < 0.1, `16 pixels of 0.5 mm are 4 of 1 mm, not ${area}`);
});

Deno.test("patches: what is cut off at the slice's edge is not filled up, the window moves in", () => {
  const size = { height: 16, width: 16 }, whole = { height: HEIGHT, width: WIDTH };
  assert.deepEqual(windowAround(0, 0, size, whole), { x: 0, y: 0, ...size });
  assert.deepEqual(windowAround(59, 39, size, whole), { x: 44, y: 24, ...size });
  assert.deepEqual(windowAround(30, 20, size, whole), { x: 23, y: 13, ...size });
});

Deno.test("patches: slices without lung, or full of nodules, are counted", async () => {
  const none = { ...slice(), lungMask: new Uint8Array(HEIGHT * WIDTH) };
  const full = slice([[20, 0, 40]]);
  const { train, notes } = await cropDataset(dataset([none, full], [1, 1]), OPTIONS);
  assert.match(notes.at(-1)!, /^2 of 2 slices have no lung, or not everywhere room/);
  assert.ok(train.every(({ label }) => label === 1));
});

Deno.test("the phantom and prepared folders know their spacing; a manifest is read a line at a time", () =>
  withFolder(async (dir) => {
    const { train: [phantom] } = openPhantomDataset({ seed: 1, count: 2, size: 100 });
    assert.deepEqual(phantom.spacing, [3.5, 3.5]);
    for (const name of ["A_slice_1", "A_lung_mask_1", "B_slice_1", "B_lung_mask_1"]) {
      await writeNpy(join(dir, "slices", `${name}.npy`), [4, 4], new Uint8Array(16));
    }
    const series = (output: string | null, pixelSpacing: unknown) =>
      JSON.stringify({ patient: "A", pixelSpacing, slices: [{ output: null }, { output }] });
    await Deno.writeTextFile(
      join(dir, "manifest.json"),
      `{\n"version": 1,\n"series": [\n${series("slices/A_slice_1.npy", [0.7, 0.6])},\n` +
        `${series(null, [1, 1])},\n${series("slices/B_slice_1.npy", [0, 1])}\n]}\n`,
    );
    const { train } = await openNpyDataset(dir);
    assert.deepEqual(train.map(({ spacing }) => spacing), [[0.7, 0.6], undefined]);
    await Deno.writeTextFile(join(dir, "manifest.json"), '{"pixelSpacing": [1, 1], "slices": [\n');
    await assert.rejects(manifestSpacings(dir), /manifest\.json": not JSON/);
  }));

Deno.test("a run on patches: crop is its resolution, spacing goes with it and with the checkpoint", () => {
  const base = { ...PRESETS.demo, crop: 32, spacing: 0.7 };
  const config = runConfig(base, "c");
  assert.equal(trainingScheduler(config)._spacing, 0.7);
  assert.ok(!("_spacing" in trainingScheduler(runConfig({ ...PRESETS.demo }, "c"))));
  const model = (scheduler: Record<string, unknown>) =>
    samplingModel("m", { config: config.unet } as never, scheduler).preparation.spacing;
  assert.equal(model(trainingScheduler(config)), 0.7);
  assert.equal(model({}), undefined);
  assert.throws(() => model({ _spacing: -1 }), /_spacing -1, mm from 0\.1 to 20/);
  assert.throws(() => runConfig({ ...base, spacing: null }, "c"), /crop is 32 and spacing null/);
  assert.throws(() => runConfig({ ...base, crop: 64 }, "c"), /crop is 64, the resolution 32×32/);
  // A run from before there were patches.
  const { crop: _, spacing: __, crops_per_slice: ___, field_mm: ____, ...old } = PRESETS.demo;
  assert.equal(runConfig(old, "old").crop, null);
});
