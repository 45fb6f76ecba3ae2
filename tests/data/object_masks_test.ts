/** DICOM SEG and RTSTRUCT from a folder on disk to training slices. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { loadSeries } from "../../lib/data/dicom/series.ts";
import { openNpyDataset } from "../../lib/data/npy_dataset.ts";
import { prepare, type PrepareOptions } from "../../lib/data/prepare/prepare.ts";
import { isNodule, sideOf } from "../../lib/data/prepare/region_names.ts";
import {
  DEFAULT_SETTINGS,
  type SeriesRecord,
  type SeriesSettings,
} from "../../lib/data/prepare/types.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { newFolder } from "./ct_maker.ts";
import { FIXTURES } from "./shared_ct.ts";

const folder = `${FIXTURES}/objects`;
const { rows, columns } = await loadSeries([`${folder}/ct0.dcm`]);
const area = rows * columns;

/** The CT series with some of the objects. */
function inputOf(...objects: string[]): string {
  const input = newFolder();
  for (const name of ["ct0", "ct1", "ct2", "ct3", "ct4", ...objects]) {
    Deno.copyFileSync(`${folder}/${name}.dcm`, `${input}/${name}.dcm`);
  }
  return input;
}

async function run(input: string, settings: Partial<SeriesSettings> = {}) {
  const out = newFolder();
  const options: PrepareOptions = {
    input,
    kind: "dicom",
    out,
    // The fixtures are noise, no chest.
    settings: { ...DEFAULT_SETTINGS, minLung: 0, anyValues: true, ...settings },
    seed: 0,
    val: 0,
    test: 0,
    jobs: 1,
    contactSheet: 0,
  };
  const { totals } = await prepare(options);
  const { series: [record] }: { series: SeriesRecord[] } = JSON.parse(
    Deno.readTextFileSync(`${out}/manifest.json`),
  );
  const { train } = await openNpyDataset(out);
  const slices = await Promise.all(
    train.toSorted((a, b) => a.id < b.id ? -1 : 1).map((r) => r.load()),
  );
  const of = (key: "noduleMask" | "lungMask") =>
    Uint8Array.from(slices.flatMap((slice) => [...slice[key]]));
  return { record, totals, nodules: of("noduleMask"), lungs: of("lungMask"), train };
}
const bytes = (values: ArrayLike<number | bigint>, from = 0, count = 5 * area) =>
  Uint8Array.from({ length: count }, (_, i) => Number(values[from + i]));

Deno.test("SEG beside its CT: nodules as highdicom has them, in the training slices", async () => {
  const wanted = await readNpy(`${folder}/binary.npy`);
  const { record, nodules, train, totals } = await run(inputOf("binary.seg"));
  assert.equal(record.annotation, "read");
  assert.deepEqual(nodules, bytes(wanted.data));
  assert.deepEqual([record.nodules.length, record.nodules[0].readers], [1, 1]);
  assert.equal(totals.positive, 3);
  assert.equal(train.filter((r) => r.label === 1).length, 3);
  // One lung alone is no mask of the lungs.
  assert.equal(record.lungMasks, "rules");
  assert.match(record.told.join(), /one lung alone/);
});

Deno.test("three SEG of one nodule are three readers: their consensus", async () => {
  const masks = [
    bytes((await readNpy(`${folder}/binary.npy`)).data),
    ...await Promise.all(
      [21, 22].map(async (n) => bytes((await readNpy(`${folder}/reader${n}.npy`)).data)),
    ),
  ];
  const input = inputOf("binary.seg", "reader21.seg", "reader22.seg");
  for (const [consensus, least] of [[0.5, 2], [1, 3], [0.3, 1]]) {
    const { record, nodules } = await run(input, { consensus });
    assert.deepEqual(record.nodules.map((n) => n.readers), [3]);
    assert.deepEqual(
      nodules,
      masks[0].map((_, i) => masks.reduce((sum, m) => sum + m[i], 0) >= least ? 1 : 0),
    );
  }
});

Deno.test("--min-readers: a nodule of fewer objects is neither positive nor negative", async () => {
  const { record } = await run(inputOf("binary.seg", "reader21.seg"), { minReaders: 3 });
  assert.deepEqual(record.nodules, []);
  assert.deepEqual(record.slices.map((s) => s.leftOut), [
    null,
    ...Array(3).fill("small nodules only"),
    null,
  ]);
});

Deno.test("RTSTRUCT of NSCLC-Radiomics' names: GTV-1 is the nodule, both lungs the lungs", async () => {
  const wanted = await readNpy(`${folder}/rtstruct.npy`);
  const { record, nodules, lungs } = await run(inputOf("rtstruct"));
  const part = (n: number) => bytes(wanted.data, n * 5 * area);
  assert.deepEqual(nodules, part(0));
  const [left, right] = [part(1), part(2)];
  assert.deepEqual(lungs, left.map((v, i) => v | right[i]));
  assert.deepEqual([record.annotation, record.lungMasks], ["read", "given"]);
  const count = (mask: Uint8Array) => mask.reduce((a, b) => a + b, 0);
  assert.equal(record.slices.reduce((sum, s) => sum + s.leftPixels, 0), count(left));
});

Deno.test("--nodule-roi and --lung-roi name other regions", async () => {
  const wanted = await readNpy(`${folder}/rtstruct.npy`);
  const { nodules, record } = await run(inputOf("rtstruct"), { noduleRois: ["spinal-cord"] });
  assert.deepEqual(nodules, bytes(wanted.data, 3 * 5 * area));
  assert.equal(record.nodules.length, 1);
});

Deno.test("regions of no known name: not annotated, with their names and what to do", async () => {
  const settings = { noduleRois: ["nothing"] };
  await assert.rejects(run(inputOf("rtstruct"), settings), /0 read|No slice/);
  const { record } = await run(inputOf("rtstruct"), { ...settings, unannotated: "negative" });
  assert.equal(record.annotation, "none");
  assert.match(record.told.join(), /"GTV-1".*"Spinal-Cord".*--nodule-roi/);
});

Deno.test("an object that lies elsewhere, or is broken, makes the annotation unreadable", async () => {
  const input = inputOf("rtstruct");
  const path = `${input}/rtstruct.dcm`;
  // The outlines of its third slice lie elsewhere.
  const text = Buffer.from(Deno.readFileSync(path)).toString("latin1");
  Deno.writeFileSync(path, Buffer.from(text.replaceAll("\\45.0000", "\\99.0000"), "latin1"));
  const { record } = await run(input, { unannotated: "negative" });
  assert.equal(record.annotation, "unreadable");
  assert.match(record.told.join(), /GTV-1.*(names image|no slice)/);
});

const names: [string, boolean, string | null][] = [
  ["GTV-1", true, null],
  ["GTV", true, null],
  ["gtvp", true, null],
  ["GTVn", false, null],
  ["GTV-N1", false, null],
  ["Lungs-GTV", false, null],
  ["CTV", false, null],
  ["Nodule 1 - Annotation IL057_127364", true, null],
  ["Lung_L", false, "left"],
  ["Lung-Right", false, "right"],
  ["Lungs-Total", false, "both"],
  ["Total Lung", false, "both"],
  ["Left Lung", false, "left"],
  ["Lung", false, "both"],
  ["Heart", false, null],
];
Deno.test("names of regions that are known", () => {
  for (const [name, nodule, side] of names) {
    const region = { name, kinds: [], draw() {} };
    assert.equal(isNodule(region, null), nodule, name);
    assert.equal(sideOf(region, null), side, name);
  }
});
