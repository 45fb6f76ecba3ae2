/** The packed cache, prefetch, augmentation, and folders of pairs. */

import assert from "node:assert/strict";
import { augmentPlane, drawAugmentation } from "../../lib/data/augment.ts";
import { openPhantomDataset, prepareSlice, type SliceRecord } from "../../lib/data/dataset.ts";
import { openPairs } from "../../lib/data/pairs.ts";
import { Prefetcher } from "../../lib/data/packed/prefetch.ts";
import { PackedCache } from "../../lib/data/packed/reader.ts";
import { folderState, openPacked } from "../../lib/data/packed/writer.ts";
import { InputError } from "../../lib/errors.ts";
import { encodeNpy } from "../../lib/io/npy.ts";
import { encodePng } from "../../lib/io/png.ts";
import { folderOf, newFolder } from "./ct_maker.ts";

const size = { height: 20, width: 24 }, pixels = 480;
const records = openPhantomDataset({ seed: 1, count: 6, size: 32 }).train;
const planes = () => ({
  ct: new Float32Array(pixels),
  lungMask: new Float32Array(pixels),
  noduleMask: new Float32Array(pixels),
});
const options = (path: string) => ({ path, records, size, state: "phantom 1 6 32" });

/** The records, counting how often each is loaded. */
function counted(): { records: SliceRecord[]; loads(): number } {
  let loads = 0;
  return {
    records: records.map((r) => ({ ...r, load: () => (loads++, r.load()) })),
    loads: () => loads,
  };
}

Deno.test("the packed cache gives back what prepareSlice gives, in any order", async () => {
  const cache = await openPacked(options(`${newFolder()}/a.pack`));
  for (const i of [5, 0, 3, 3]) {
    const wanted = await prepareSlice(records[i], size), got = planes();
    cache.read(i, got);
    assert.deepEqual(got.ct, wanted.ct);
    assert.deepEqual(got.lungMask, wanted.lungMask);
    assert.deepEqual(got.noduleMask, wanted.noduleMask);
    assert.equal(cache.index.labels[i], records[i].label);
  }
  cache.close();
});

Deno.test("it is made once, and anew when sources, settings or its bytes change", async () => {
  const path = `${newFolder()}/a.pack`, source = counted();
  const open = async (change = {}) => {
    const before = source.loads();
    (await openPacked({ ...options(path), records: source.records, ...change })).close();
    return source.loads() - before;
  };
  assert.equal(await open(), 6);
  assert.equal(await open(), 0);
  assert.equal(await open({ state: "other" }), 6);
  assert.equal(await open({ state: "other", window: { level: 0, width: 400 } }), 6);
  assert.equal(await open({ state: "other", prepare: { antialias: true } }), 6);
  const bytes = Deno.readFileSync(path);
  Deno.writeFileSync(path, bytes.subarray(0, bytes.length - 5));
  assert.equal(await open({ state: "other", prepare: { antialias: true } }), 6);
});

Deno.test("a damaged slice is found as it is read, by its checksum", async () => {
  const path = `${newFolder()}/a.pack`;
  (await openPacked(options(path))).close();
  const bytes = Deno.readFileSync(path);
  bytes[16 + 1000] ^= 1;
  Deno.writeFileSync(path, bytes);
  const cache = PackedCache.open(path);
  assert.throws(
    () => cache.read(0, planes()),
    (error: Error) =>
      error instanceof InputError && error.message.includes(path) && /damaged/.test(error.message),
  );
  cache.read(1, planes());
  cache.close();
});

Deno.test("a record that cannot be used leaves no cache and no stray file", async () => {
  const folder = newFolder();
  const bad: SliceRecord = { ...records[2], load: () => Promise.reject(new InputError("broken")) };
  await assert.rejects(
    openPacked({ ...options(`${folder}/a.pack`), records: [records[0], bad] }),
    /broken/,
  );
  assert.deepEqual([...Deno.readDirSync(folder)], []);
});

Deno.test("folderState changes with a file's size or time, and with its name", () => {
  const folder = folderOf({ "x/a.npy": "1234", "b.npy": "1" });
  const first = folderState(folder);
  assert.equal(folderState(folder), first);
  Deno.utimeSync(`${folder}/b.npy`, 1000, 1000);
  const second = folderState(folder);
  assert.notEqual(second, first);
  Deno.renameSync(`${folder}/b.npy`, `${folder}/c.npy`);
  assert.notEqual(folderState(folder), second);
});

Deno.test("prefetched batches come in order, with their tags, from buffers that go round", async () => {
  const path = `${newFolder()}/a.pack`;
  (await openPacked(options(path))).close();
  const lists = [[0, 1], [2, 3], [4, 5], [1, 4], [5, 0]];
  let asked = 0;
  const prefetcher = new Prefetcher<string>({
    path,
    depth: 2,
    next: () =>
      asked < lists.length
        ? { indices: lists[asked], microStep: asked, tag: `after ${asked++}` }
        : null,
  });
  assert.equal(asked, 2);
  for (const [n, indices] of lists.entries()) {
    const batch = (await prefetcher.take())!;
    assert.equal(batch.tag, `after ${n}`);
    for (const [k, i] of indices.entries()) {
      const wanted = await prepareSlice(records[i], size);
      const part = (data: Float32Array) => data.slice(k * pixels, (k + 1) * pixels);
      assert.deepEqual(part(batch.ct), wanted.ct);
      assert.deepEqual(part(batch.lungMask), wanted.lungMask);
      assert.deepEqual(part(batch.classMap), wanted.classMap);
    }
    prefetcher.recycle(batch);
  }
  assert.equal(await prefetcher.take(), null);
  prefetcher.close();
});

Deno.test("what stops the worker reaches whoever takes the batch", async () => {
  const prefetcher = new Prefetcher({
    path: `${newFolder()}/none.pack`,
    next: () => ({ indices: [0], microStep: 0, tag: undefined }),
  });
  await assert.rejects(prefetcher.take(), /none\.pack/);
  prefetcher.close();
});

Deno.test("augmentation is a function of seed, micro-batch and place, and is off by default", async () => {
  const all = { flip: true, rotate: 10, shift: 0.1 };
  const draw = (microStep: number, index: number) =>
    drawAugmentation(all, size, 7, microStep, index);
  assert.deepEqual(draw(3, 1), draw(3, 1));
  assert.notDeepEqual(draw(3, 1), draw(3, 2));
  assert.notDeepEqual(draw(3, 1), draw(4, 1));
  assert.deepEqual(drawAugmentation({}, size, 7, 0, 0), {
    flip: false,
    angle: 0,
    down: 0,
    right: 0,
  });
  const flips = Array.from({ length: 400 }, (_, i) => draw(0, i).flip).filter(Boolean).length;
  assert.ok(flips > 160 && flips < 240);

  const { ct, lungMask } = await prepareSlice(records[1], size);
  const same = new Float32Array(pixels);
  const none = { flip: false, angle: 0, down: 0, right: 0 };
  augmentPlane(ct, size, none, false, same);
  assert.deepEqual(same, ct);
  augmentPlane(lungMask, size, { ...none, flip: true, down: 2, right: -3 }, true, same);
  for (let y = 0; y < 20; y++) {
    for (let x = 0; x < 24; x++) {
      // What comes from outside is the pixel at the edge.
      const from = Math.max(0, 23 - (x + 3)), row = Math.max(0, y - 2);
      assert.equal(same[y * 24 + x], lungMask[row * 24 + from]);
    }
  }
  // A quarter turn counterclockwise of a square: what was on the right is on top.
  const square = { height: 5, width: 5 },
    plane = new Float32Array(25),
    turned = new Float32Array(25);
  plane[2 * 5 + 4] = 1;
  augmentPlane(plane, square, { ...none, angle: Math.PI / 2 }, true, turned);
  assert.equal(turned.indexOf(1), 2);
});

Deno.test("pairs: PNG and .npy, by ending or by folder; labels, splits and what is wrong", async () => {
  const gray = (value: number) =>
    encodePng({ width: 24, height: 16, channels: 1, data: new Uint8Array(384).fill(value) });
  const folder = folderOf({
    "P1_0.png": gray(255),
    "P1_0_mask.png": gray(1),
    "P1_0_nodule.png": gray(255),
    "images/P2_0.npy": encodeNpy([16, 24], new Int16Array(384).fill(-600)),
    "masks/P2_0.npy": encodeNpy([16, 24], new Uint8Array(384).fill(255)),
    "train_patients.txt": "P1\n",
    "test_patients.txt": "P2\n",
  });
  const { train, test, notes } = await openPairs(folder);
  assert.deepEqual([train.map((r) => r.id), test.map((r) => r.id)], [["P1_0"], ["P2_0"]]);
  assert.deepEqual([train[0].label, test[0].label], [1, 0]);
  assert.equal(notes.length, 1);
  const a = await train[0].load(), b = await test[0].load();
  assert.equal(a.ct[0], 150); // white is the window's upper end
  assert.deepEqual([b.ct[0], b.lungMask[0], b.noduleMask[0]], [-600, 1, 0]);
  await assert.rejects(openPairs(folderOf({ "a.png": gray(1) })), /its lung mask is missing/);
  await assert.rejects(openPairs(folderOf({ "a_mask.png": gray(1) })), /no image "a"/);
});

Deno.test("pairs: a mask in one colour counts, in two is refused; an image in colour is refused", async () => {
  const colours = (of: (i: number) => [number, number, number]) =>
    encodePng({
      width: 16,
      height: 16,
      channels: 3,
      data: Uint8Array.from(Array.from({ length: 256 }, (_, i) => of(i)).flat()),
    });
  const gray = (i: number): [number, number, number] => [i, i, i];
  const green = colours((i) => i < 100 ? [0, 255, 0] : [0, 0, 0]);
  const blue = colours((i) => i < 40 ? [0, 0, 9] : [0, 0, 0]);
  const open = async (image: Uint8Array, mask: Uint8Array, nodule: Uint8Array) =>
    (await openPairs(
      folderOf({ "P_1.png": image, "P_1_mask.png": mask, "P_1_nodule.png": nodule }),
    ))
      .train[0];
  const record = await open(colours(gray), green, blue);
  assert.equal(record.label, 1);
  const slice = await record.load();
  assert.equal(slice.ct[255], 150);
  assert.deepEqual([slice.lungMask[99], slice.lungMask[100]], [1, 0]);
  assert.deepEqual([slice.noduleMask[39], slice.noduleMask[40]], [1, 0]);
  const two = colours((i) => i < 9 ? [0, 255, 0] : [0, 0, 255]);
  await assert.rejects((await open(colours(gray), two, blue)).load(), /black and one colour/);
  await assert.rejects((await open(green, green, blue)).load(), /a picture in colour/);
});
