/** Several folders as one data set: whose slices go where, and how often they are drawn. */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { Dataset, SliceRecord } from "../../lib/data/dataset.ts";
import { openSources, parseSource, savedSources, sourceText } from "../../lib/data/joined.ts";
import { BalancedSampler } from "../../lib/data/sampler.ts";
import { datasetHash } from "../../lib/train/provenance.ts";
import { withFolder } from "../train/tiny.ts";

const record = (id: string, label: 0 | 1 = 0): SliceRecord => ({
  id,
  patient: id.split("_")[0],
  label,
  load: () => Promise.reject(new Error("not read")),
});
const part = (...ids: string[]) => ids.map((id) => record(id));
const ids = (records: SliceRecord[]) => records.map(({ id }) => id);

/** Folders with data sets by name; `made` are slices that images.csv lists, with their sources. */
async function open(
  root: string,
  folders: Record<string, Partial<Dataset> & { made?: Record<string, string> }>,
  ...sources: string[]
): Promise<Dataset> {
  const datasets = new Map<string, Dataset>();
  for (const [name, { made, ...dataset }] of Object.entries(folders)) {
    const folder = join(root, name);
    await Deno.mkdir(folder, { recursive: true });
    datasets.set(folder, { train: [], val: [], test: [], notes: [], ...dataset });
    if (!made) continue;
    const rows = Object.entries(made).map(([slice, source]) => `${slice},1,0,0,${source}`);
    await Deno.writeTextFile(
      join(folder, "images.csv"),
      ["slice,class,seed,noise,lung_mask_of", ...rows].join("\n"),
    );
  }
  const list = sources.map((source) => parseSource(join(root, source)));
  return await openSources(list, (folder) => Promise.resolve(datasets.get(folder)!));
}

Deno.test("--data FOLDER:WEIGHT: weights, folders whose names look like one, what is saved", () =>
  withFolder(async (root) => {
    assert.deepEqual(parseSource("a/b"), { folder: "a/b", weight: 1 });
    assert.deepEqual(parseSource("a:b:0.5"), { folder: "a:b", weight: 0.5 });
    const real = join(root, "scan:2");
    await Deno.mkdir(real);
    assert.deepEqual(parseSource(real), { folder: real, weight: 1 });
    for (const source of [{ folder: real, weight: 1 }, { folder: real, weight: 0.25 }]) {
      assert.deepEqual(parseSource(sourceText(source)), source);
    }
    assert.throws(() => parseSource("a:0"), /--data a:0: a weight above 0/);
    assert.throws(() => parseSource("a:101"), /up to 100/);
    assert.equal(savedSources(null, "c"), undefined);
    assert.deepEqual(savedSources("a", "c"), [{ folder: "a", weight: 1 }]);
    assert.deepEqual(savedSources(["a", "b:2"], "c")![1], { folder: "b", weight: 2 });
    assert.throws(() => savedSources([7], "c.json"), /c\.json: data is \[7\]/);
  }));

Deno.test("real splits are kept; synthetic slices are trained on, never validated or tested on", () =>
  withFolder(async (root) => {
    const folders = {
      real: {
        train: part("A_slice_1", "B_slice_1"),
        val: part("V_slice_1"),
        test: part("T_slice_1"),
      },
      syn: {
        train: part("SYN1_slice_0", "SYN2_slice_0", "SYN3_slice_0"),
        val: part("SYN4_slice_0"),
        made: {
          SYN1_slice_0: "A_slice_1",
          SYN2_slice_0: "V_slice_1",
          SYN3_slice_0: "elsewhere_slice_1",
          SYN4_slice_0: "A_slice_1",
        },
      },
    };
    for (const order of [["real", "syn:0.5"], ["syn:0.5", "real"]]) {
      const joined = await open(root, folders, ...order);
      assert.deepEqual(ids(joined.train).sort(), [
        "A_slice_1",
        "B_slice_1",
        "SYN1_slice_0",
        "SYN3_slice_0",
      ]);
      assert.deepEqual([ids(joined.val), ids(joined.test)], [["V_slice_1"], ["T_slice_1"]]);
      const weights = joined.train.map(({ id, weight }) => [id.slice(0, 3), weight]);
      assert.ok(weights.every(([id, weight]) => weight === (id === "SYN" ? 0.5 : undefined)));
      const notes = joined.notes.join("\n");
      assert.match(notes, /1 synthetic slices are of lungs of patients held out/);
      assert.match(notes, /1 synthetic slices are in no training split: left out/);
      assert.match(notes, /2 of 4 training slices are synthetic/);
    }
    const plain = await open(root, folders, "real");
    assert.deepEqual(plain.notes, []);
    const again = await open(root, folders, "real:0.5");
    assert.notEqual(
      datasetHash(again),
      datasetHash(plain),
      "weights are part of what is trained on",
    );
  }));

Deno.test("joining refuses slices of one name, and a patient trained on here and validated on there", () =>
  withFolder(async (root) => {
    const folders = {
      a: { train: part("A_slice_1") },
      same: { train: part("A_slice_1") },
      held: { train: part("B_slice_1"), val: part("A_slice_2") },
      other: { train: part("C_slice_1") },
    };
    await assert.rejects(open(root, folders, "a", "same"), /A_slice_1 is in both .*a and .*same/);
    await assert.rejects(
      open(root, folders, "a", "held"),
      /patient A is train in .*a and held out in .*held/,
    );
    const joined = await open(root, folders, "a", "other");
    assert.match(
      joined.notes.join("\n"),
      /no validation split in any of the folders: none is taken/,
    );
    assert.equal(joined.val.length, 0);
  }));

Deno.test("weights: an epoch has so many of each, others every time; as before where all are alike", () => {
  // 40 real slices and 40 synthetic ones, half of each with a nodule.
  const labels = Array.from({ length: 80 }, (_, i) => i % 2);
  const weights = labels.map((_, i) => i < 40 ? 1 : 0.25);
  const epoch = (sampler: BalancedSampler) =>
    Array.from({ length: sampler.batchesPerEpoch }, () => sampler.next()).flat();
  const sampler = new BalancedSampler(labels, 5, 7, weights);
  assert.equal(sampler.batchesPerEpoch, 10);
  const epochs = Array.from({ length: 8 }, () => epoch(sampler));
  for (const drawn of epochs) {
    assert.equal(drawn.filter((i) => i < 40).length, 40, "all real slices");
    assert.equal(drawn.filter((i) => labels[i] === 1).length, 25);
    assert.equal(new Set(drawn).size, 50, "none twice");
  }
  const seen = new Set(epochs.flat().filter((i) => i >= 40));
  assert.ok(seen.size > 30, `${seen.size} of 40 synthetic ones in eight epochs`);

  const heavy = epoch(new BalancedSampler(labels, 4, 7, labels.map((_, i) => i < 40 ? 2.5 : 1)));
  const times = (i: number) => heavy.filter((one) => one === i).length;
  assert.ok(labels.every((_, i) => i >= 40 ? times(i) === 1 : times(i) === 2 || times(i) === 3));
  assert.equal(heavy.filter((i) => i < 40).length, 100);

  const one = new BalancedSampler(labels, 4, 7),
    same = new BalancedSampler(labels, 4, 7, labels.map(() => 1));
  assert.deepEqual(epoch(one), epoch(same));
  assert.deepEqual(one.state(), same.state());
  assert.ok(!("weights" in one.state()), "states of before there were weights");

  const halfway = new BalancedSampler(labels, 5, 7, weights);
  for (let i = 0; i < 13; i++) halfway.next();
  const resumed = new BalancedSampler(labels, 5, 7, weights);
  resumed.restore(JSON.parse(JSON.stringify(halfway.state())));
  assert.deepEqual(resumed.next(), halfway.next());
  const others = new BalancedSampler(labels, 5, 7, labels.map((_, i) => i < 40 ? 1 : 0.5));
  assert.throws(() => others.restore(halfway.state()), /weights was 40x1,40x0\.25/);
  assert.throws(() => one.restore({ ...halfway.state(), batchSize: 4 }), /weights was 40x1/);
});
