/** What the data tools do without being told: the figures that docs/data.md gives. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openPhantomDataset, SliceCache } from "../../lib/data/dataset.ts";
import { openNpyDataset } from "../../lib/data/npy_dataset.ts";
import { openPairs } from "../../lib/data/pairs.ts";
import { DEFAULT_SETTINGS } from "../../lib/data/prepare/types.ts";
import { writeNpy } from "../../lib/io/npy_file.ts";

const ROOT = join(import.meta.dirname!, "../..");

Deno.test("prepare: 15% lung, half of the readers, one reader, slice spacing, 5 mm closing", async () => {
  const { minLung, consensus, minReaders, tolerance, closing } = DEFAULT_SETTINGS;
  assert.deepEqual([minLung, consensus, minReaders, tolerance, closing], [0.15, 0.5, 1, 0, 5]);
  const docs = await Deno.readTextFile(join(ROOT, "docs/data.md"));
  assert.match(docs.replace(/\s+/g, " "), /less than 15% of the image \(`--min-lung`\)/);
});

async function inFolder(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  await body(dir).finally(() => Deno.remove(dir, { recursive: true }));
}

/** A slice with `pixels` of nodule, in the .npy layout or as a pair. */
async function put(dir: string, patient: string, pixels = 20, pair = false): Promise<void> {
  const plane = (value: (i: number) => number) =>
    Float32Array.from({ length: 400 }, (_, i) => value(i));
  const path = (kind: string) => {
    if (!pair) return join(dir, `${patient}_${kind}_1.npy`);
    const end = kind === "slice" ? "" : kind === "lung_mask" ? "_mask" : "_nodule";
    return join(dir, `${patient}_1${end}.npy`);
  };
  await writeNpy(path("slice"), [20, 20], plane((i) => i % 20 > 4 ? -850 - i % 7 : 40));
  await writeNpy(path("lung_mask"), [20, 20], plane((i) => i % 20 > 4 ? 1 : 0));
  await writeNpy(path("nodule_mask"), [20, 20], plane((i) => i >= 100 && i < 100 + pixels ? 1 : 0));
}

for (
  const [name, open, pair] of [["npy", openNpyDataset, false], ["pairs", openPairs, true]] as const
) {
  Deno.test(`${name}: a nodule counts from ten pixels on`, () =>
    inFolder(async (dir) => {
      for (const [patient, pixels] of [["A", 9], ["B", 10], ["C", 11], ["D", 0]] as const) {
        await put(dir, patient, pixels, pair);
      }
      const { train } = await open(dir);
      assert.deepEqual(train.map((r) => [r.patient, r.label]), [["A", 0], ["B", 1], ["C", 1], [
        "D",
        0,
      ]]);
    }));

  Deno.test(`${name}: a patient in two split files is refused by name; each goes where it is named`, () =>
    inFolder(async (dir) => {
      for (const patient of ["A", "B", "C"]) await put(dir, patient, 20, pair);
      const split = (which: string, text: string) =>
        Deno.writeTextFile(join(dir, `${which}_patients.txt`), text);
      await split("train", "A\n");
      await split("val", "B\n");
      await split("test", "C\n");
      const data = await open(dir);
      const of = (records: { patient: string }[]) => records.map((r) => r.patient);
      assert.deepEqual([data.train, data.val, data.test].map(of), [["A"], ["B"], ["C"]]);
      for (const [which, text] of [["val", "B\nA\n"], ["test", "C\nA\n"], ["test", "B\n"]]) {
        const before = await Deno.readTextFile(join(dir, `${which}_patients.txt`));
        await split(which, text);
        await assert.rejects(open(dir), { name: "InputError", message: /(A|B)\b.* in / }, text);
        await split(which, before);
      }
    }));
}

Deno.test("phantom: half with a nodule, an eighth to validate, at least two, of other patients", () => {
  for (const [count, val] of [[2, 2], [16, 2], [64, 8]]) {
    const data = openPhantomDataset({ seed: 1, count });
    assert.deepEqual([data.train.length, data.val.length, data.test.length], [count, val, 0]);
    assert.equal(data.train.filter((r) => r.label === 1).length, count / 2);
    const trained = new Set(data.train.map((r) => r.patient));
    assert.ok(data.val.every((r) => !trained.has(r.patient)));
  }
});

Deno.test("a cache made for one window or one way to shrink does not serve another", async () => {
  const { train: [record] } = openPhantomDataset({ seed: 3, count: 2, size: 32 });
  const size = { height: 16, width: 16 };
  const lung = await new SliceCache(size).get(record);
  const soft = await new SliceCache(size, { level: 40, width: 400 }).get(record);
  const smooth = await new SliceCache(size, undefined, { antialias: true }).get(record);
  assert.notDeepEqual(soft.ct, lung.ct);
  assert.notDeepEqual(smooth.ct, lung.ct);
  assert.deepEqual(soft.lungMask, lung.lungMask);
});
