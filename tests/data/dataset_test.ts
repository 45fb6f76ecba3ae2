import assert from "node:assert/strict";
import { join } from "node:path";
import {
  type Dataset,
  openPhantomDataset,
  prepareAll,
  prepareSlice,
  SliceCache,
} from "../../lib/data/dataset.ts";
import { openNpyDataset } from "../../lib/data/npy_dataset.ts";
import { writeNpy } from "../../lib/io/npy_file.ts";

const SIZE = { height: 16, width: 24 };

async function inFolder(body: (dir: string) => Promise<void>) {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

interface Made {
  ct?: Float32Array | Int16Array;
  lung?: Uint8Array | null;
  nodule?: Uint8Array | null;
  maskShape?: number[];
}

/** One slice of 16 × 24 in the original layout. */
async function put(dir: string, patient: string, n: number | string, made: Made = {}) {
  const ct = made.ct ?? new Int16Array(384).fill(-600);
  const maskShape = made.maskShape ?? [16, 24];
  const pixels = maskShape.reduce((a, b) => a * b);
  await writeNpy(join(dir, `${patient}_slice_${n}.npy`), [16, 24], ct);
  const lung = made.lung === undefined ? new Uint8Array(pixels).fill(1) : made.lung;
  const nodule = made.nodule === undefined ? new Uint8Array(pixels) : made.nodule;
  if (lung) await writeNpy(join(dir, `${patient}_lung_mask_${n}.npy`), maskShape, lung);
  if (nodule) await writeNpy(join(dir, `${patient}_nodule_mask_${n}.npy`), maskShape, nodule);
}

const pixels = (count: number) => Uint8Array.from({ length: 384 }, (_, i) => i < count ? 255 : 0);

Deno.test("npy data: labels by ten pixels, patients, splits, folders below the root", async () => {
  await inFolder(async (dir) => {
    await put(dir, "A", 1, { nodule: pixels(10) });
    await put(join(dir, "deep/er"), "A", 2, { nodule: pixels(9) });
    await put(dir, "B_x", "003", { nodule: null });
    await put(dir, "C", 1);
    await put(dir, "D", 1);
    await Deno.writeTextFile(join(dir, "unrelated.txt"), "x");
    const all = await openNpyDataset(dir);
    assert.equal(all.train.length, 5);
    assert.equal(all.val.length + all.test.length, 0);
    assert.match(all.notes.join("\n"), /1 of 5 slices have no nodule mask/);
    assert.match(all.notes.join("\n"), /all slices are used for training/);

    await Deno.writeTextFile(join(dir, "train_patients.txt"), "A\r\nB\r\n\r\n");
    await Deno.writeTextFile(join(dir, "test_patients.txt"), "C\n");
    const data = await openNpyDataset(dir);
    const ids = (part: Dataset["train"]) => part.map(({ id }) => id);
    assert.deepEqual(ids(data.train), ["A_slice_1", "B_x_slice_003", "A_slice_2"]);
    assert.deepEqual(data.train.map(({ label }) => label), [1, 0, 0]);
    assert.deepEqual(data.train.map(({ patient }) => patient), ["A", "B", "A"]);
    assert.deepEqual(ids(data.test), ["C_slice_1"]);
    assert.match(data.notes.join("\n"), /1 slices are of patients in no split file/);
    const slice = await data.train[0].load();
    assert.deepEqual(slice.noduleMask, pixels(10).map((v) => v && 1));
    assert.equal(area((await data.train[1].load()).noduleMask), 0);

    await Deno.writeTextFile(join(dir, "val_patients.txt"), "A");
    await assert.rejects(openNpyDataset(dir), {
      name: "InputError",
      message: /patient A is in train_patients\.txt too/,
    });
  });
});

const area = (mask: Uint8Array) => mask.reduce((a, b) => a + b, 0);

Deno.test("npy data: of a volume the middle slice is taken", async () => {
  await inFolder(async (dir) => {
    await put(dir, "A", 1);
    const volume = Int16Array.from({ length: 4 * 384 }, (_, i) => Math.floor(i / 384));
    await writeNpy(join(dir, "A_slice_1.npy"), [4, 16, 24], volume);
    const slice = await (await openNpyDataset(dir)).train[0].load();
    assert.deepEqual([slice.height, slice.width], [16, 24]);
    assert.ok(slice.ct.every((hu) => hu === 2));
  });
});

Deno.test("npy data: axes of 1 are no slices; a side under 16 pixels is refused", async () => {
  for (const shape of [[16, 24, 1], [1, 16, 24], [1, 16, 24, 1]]) {
    await inFolder(async (dir) => {
      const ct = Int16Array.from({ length: 384 }, (_, i) => i - 600);
      await put(dir, "A", 1, { maskShape: shape });
      await writeNpy(join(dir, "A_slice_1.npy"), shape, ct);
      const slice = await (await openNpyDataset(dir)).train[0].load();
      assert.deepEqual([slice.height, slice.width, ...slice.ct], [16, 24, ...ct]);
    });
  }
  await inFolder(async (dir) => {
    await put(dir, "A", 1, { maskShape: [24, 15] });
    await writeNpy(join(dir, "A_slice_1.npy"), [24, 15], new Int16Array(360));
    await assert.rejects((await openNpyDataset(dir)).train[0].load(), {
      name: "InputError",
      message: /A_slice_1\.npy": a slice of \[24,15\], at least 16/,
    });
  });
});

Deno.test("npy data: every unusable file is named with its reason", async () => {
  const cases: [string, Made, RegExp][] = [
    ["NaN", { ct: new Float32Array(384).with(49, NaN) }, /A_slice_1\.npy": NaN at row 2, column 1/],
    ["infinite", { ct: new Float32Array(384).with(0, -Infinity) }, /-Infinity at row 0, column 0/],
    [
      "lung shape",
      { maskShape: [24, 16] },
      /A_lung_mask_1\.npy": mask \[24,16\] .* slice \[16,24\]/,
    ],
    ["one axis", { maskShape: [384] }, /A_nodule_mask_1\.npy": shape \[384\] is neither/],
    [
      "no lung mask",
      { lung: null },
      /A_slice_1\.npy": its lung mask ".*A_lung_mask_1\.npy" is mis/,
    ],
  ];
  for (const [what, made, message] of cases) {
    await inFolder(async (dir) => {
      await put(dir, "A", 1, made);
      const load = async () => {
        const { train } = await openNpyDataset(dir);
        await prepareAll(train, new SliceCache(SIZE));
      };
      await assert.rejects(load(), { name: "InputError", message }, what);
    });
  }
  await inFolder(async (dir) => {
    await assert.rejects(openNpyDataset(dir), { name: "InputError", message: /no files named/ });
    const none = join(dir, "none");
    await assert.rejects(openNpyDataset(none), { name: "InputError", message: /no such file/ });
    await put(dir, "A", 1);
    await put(join(dir, "copy"), "A", 1);
    await assert.rejects(openNpyDataset(dir), { name: "InputError", message: /both/ });
    await Deno.remove(join(dir, "copy"), { recursive: true });
    const path = join(dir, "A_slice_1.npy"), bytes = await Deno.readFile(path);
    await Deno.writeFile(path, bytes.subarray(0, bytes.length - 3));
    const { train } = await openNpyDataset(dir);
    await assert.rejects(train[0].load(), { name: "InputError", message: /slice_1.*truncated/ });
    await Deno.writeTextFile(join(dir, "train_patients.txt"), "Z\n");
    await assert.rejects(openNpyDataset(dir), {
      name: "InputError",
      message: /no slice is of a pa/,
    });
  });
});

Deno.test("prepared slices: window, sizes, class map; the cache gives the same", async () => {
  const { train } = openPhantomDataset({ seed: 1, count: 4, size: 32 });
  const size = { height: 12, width: 20 };
  const prepared = await prepareSlice(train[1], size);
  assert.equal(prepared.label, 1);
  for (const plane of ["ct", "lungMask", "noduleMask", "classMap"] as const) {
    assert.equal(prepared[plane].length, 240, plane);
  }
  assert.ok(prepared.ct.every((v) => v >= -1 && v <= 1));
  assert.ok(prepared.lungMask.every((v) => v === 0 || v === 1));
  assert.ok(prepared.classMap.every((v) => v === 1));
  assert.ok((await prepareSlice(train[0], size)).classMap.every((v) => v === 0));
  const soft = await prepareSlice(train[1], size, { level: 40, width: 400 }, { antialias: true });
  assert.notDeepEqual(soft.ct, prepared.ct);
  for (const room of [undefined, 0]) {
    const cache = new SliceCache(size, undefined, {}, room);
    assert.deepEqual(await cache.get(train[1]), prepared);
    assert.deepEqual(await cache.get(train[1]), prepared);
  }
});

Deno.test("phantom data: count, balance, patients apart", () => {
  const { train, val } = openPhantomDataset({ seed: 1, count: 40 });
  assert.equal(train.length, 40);
  assert.equal(train.filter(({ label }) => label === 1).length, 20);
  assert.equal(val.length, 5);
  const ids = [...train, ...val].map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  const patients = new Set(train.map(({ patient }) => patient));
  assert.ok(val.every(({ patient }) => !patients.has(patient)));
  assert.throws(() => openPhantomDataset({ seed: 1, count: 1 }), { name: "InputError" });
});

Deno.test("npy data: the real slices", async () => {
  const root = Deno.env.get("LUNG_SHARED") ?? join(import.meta.dirname!, "../../../shared");
  const dir = join(root, "ct/npy");
  try {
    await Deno.stat(dir);
  } catch {
    return console.log("skipped: ../shared/ct is not there");
  }
  const { train, val, test, notes } = await openNpyDataset(dir);
  const all = [...train, ...val, ...test];
  assert.deepEqual(notes, ["33 of 92 slices have no nodule mask: taken as without"]);
  assert.equal(all.length, 92);
  assert.equal(all.filter(({ label }) => label === 1).length, 55);
  for (const part of [train, val, test]) {
    assert.equal(new Set(part.map(({ patient }) => patient)).size, 1);
  }
  const slice = await prepareSlice(all[30], { height: 32, width: 32 });
  const lung = slice.ct.filter((_, i) => slice.lungMask[i] === 1);
  assert.ok(lung.reduce((a, b) => a + b, 0) / lung.length < 0);
});
