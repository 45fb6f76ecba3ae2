/** From folders on disk to training slices, end to end. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { openNpyDataset } from "../../lib/data/npy_dataset.ts";
import { phantomPatient } from "../../lib/data/phantom.ts";
import { writePhantomTree } from "../../lib/data/phantom_dicom.ts";
import type { Totals } from "../../lib/data/prepare/manifest.ts";
import { prepare, type PrepareOptions } from "../../lib/data/prepare/prepare.ts";
import { splitPatients } from "../../lib/data/prepare/splits.ts";
import { DEFAULT_SETTINGS, type SeriesRecord } from "../../lib/data/prepare/types.ts";
import { InputError } from "../../lib/errors.ts";
import { encodeNpy } from "../../lib/io/npy.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { decodePng, encodePng } from "../../lib/io/png.ts";
import { ctBytes, folderOf, newFolder, sopOf } from "./ct_maker.ts";
import { dice, realCtTest } from "./shared_ct.ts";

const SIZE = 96, SLICES = 12;
const tree = newFolder();
await writePhantomTree({
  out: tree,
  seed: 3,
  patients: 3,
  slices: SLICES,
  size: SIZE,
  detail: SIZE,
});

const options = (out: string, change: Partial<PrepareOptions> = {}): PrepareOptions => ({
  input: tree,
  kind: "dicom",
  out,
  settings: { ...DEFAULT_SETTINGS, minLung: 0.05 },
  seed: 0,
  val: 0.1,
  test: 0.1,
  jobs: 1,
  contactSheet: 8,
  ...change,
});
/** For series without an XML, of any values. */
const negative = {
  settings: {
    ...DEFAULT_SETTINGS,
    minLung: 0.05,
    unannotated: "negative" as const,
    anyValues: true,
  },
};
interface Manifest {
  totals: Totals;
  rejected: { file: string; reason: string }[];
  series: SeriesRecord[];
}
const manifestOf = (out: string): Manifest =>
  JSON.parse(Deno.readTextFileSync(`${out}/manifest.json`));

/** Every file below a folder with its bytes as text, to compare runs. */
function contents(folder: string, below = ""): Record<string, string> {
  const all: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${below}`)) {
    const path = below ? `${below}/${name}` : name;
    if (name === ".prepare") continue;
    if (isDirectory) Object.assign(all, contents(folder, path));
    else all[path] = String(Deno.readFileSync(`${folder}/${path}`));
  }
  return all;
}

const first = newFolder();
const result = await prepare(options(first));

Deno.test("phantom → prepare → data set: slices, masks, labels and splits", async () => {
  assert.equal(result.totals.slices, 3 * SLICES);
  assert.deepEqual(Object.values(result.splits).map((p) => p.length), [1, 1, 1]);
  const { train, val, test, notes } = await openNpyDataset(first);
  assert.equal(train.length + val.length + test.length, result.totals.written);
  assert.deepEqual(notes, []);
  let masks = 0;
  for (const record of [...train, ...val, ...test]) {
    const slice = await record.load();
    const [, patient, n] = /PHANTOM-(\d+)_slice_(\d+)/.exec(record.id)!;
    const below = 240 - Number(n) * (245 / SLICES);
    const truth = phantomPatient(3, Number(patient) - 1).slice(below, SIZE, 350 / SIZE);
    const lung = dice(slice.lungMask, truth.lungMask);
    assert.ok(lung > 0.93, `${record.id}: lung Dice ${lung}`);
    if (record.label === 1) {
      const nodule = dice(slice.noduleMask, truth.noduleMask);
      assert.ok(nodule > 0.8, `${record.id}: nodule Dice ${nodule}`);
      masks++;
    }
  }
  assert.ok(masks > 0 && masks === result.totals.positive);
});

Deno.test("ordinary axial series: slices and masks are bit for bit those of record version 1", () => {
  const hash = createHash("sha256"), files = contents(first);
  const names = Object.keys(files).filter((name) => name.startsWith("slices/"));
  for (const name of names.sort()) hash.update(name).update(Deno.readFileSync(`${first}/${name}`));
  assert.equal(names.length, 100);
  assert.equal(
    hash.digest("hex"),
    "58378ed8e8bbb177e8425263a0eb92009db5eaa70c1fb5fdf3f639392b236c2d",
  );
});

Deno.test("the combined mask: 1 right lung, 2 left, 255 nodule", async () => {
  const { series } = manifestOf(first);
  const slice = series.flatMap((s) => s.slices).find((s) => s.label === 1 && s.output)!;
  const name = `${first}/${slice.output!.replace("_slice_", "_combined_mask_")}`;
  const { data } = await readNpy(name);
  const counts = new Map<number, number>();
  for (const value of data) counts.set(Number(value), (counts.get(Number(value)) ?? 0) + 1);
  assert.deepEqual([...counts.keys()].sort((a, b) => a - b), [0, 1, 2, 255]);
  assert.equal(counts.get(255), slice.nodulePixels);
});

Deno.test("the manifest says of each slice its file, UID, z, label and nodules; no absolute path", () => {
  const { series, totals } = manifestOf(first);
  assert.equal(series.length, 3);
  for (const { slices, nodules, sliceSpacing, pixelSpacing: [dy, dx] } of series) {
    assert.equal(slices.length, SLICES);
    assert.ok(Math.abs(sliceSpacing - 245 / SLICES) < 0.01);
    slices.forEach((s, i) => assert.ok(i === 0 || s.z > slices[i - 1].z));
    for (const { source, sopInstance } of slices) {
      assert.match(source, /^PHANTOM-.*\.dcm$/);
      assert.match(sopInstance, /^2\.25\.\d+$/);
    }
    for (const { volumeMm3, diameterMm, characteristics } of nodules) {
      assert.ok(volumeMm3 > 0 && characteristics!.malignancy >= 1);
      assert.ok(Math.abs(diameterMm ** 3 * Math.PI / 6 / volumeMm3 - 1) < 1e-9);
    }
    // Nodules do not meet, so that their pixels are those of the slices.
    const pixels = slices.reduce((sum, s) => sum + s.nodulePixels, 0);
    const volume = nodules.reduce((sum, n) => sum + n.volumeMm3, 0);
    assert.ok(Math.abs(volume - pixels * dy * dx * sliceSpacing) <= 1e-6 * volume, `${volume}`);
  }
  const sum = (of: (s: SeriesRecord) => number) => series.reduce((a, s) => a + of(s), 0);
  assert.equal(sum((s) => s.slices.filter((x) => x.output).length), totals.written);
  const leftOut = Object.values(totals.leftOut).reduce((a, b) => a + b, 0);
  assert.equal(totals.written + leftOut, totals.slices);
  assert.ok(!Deno.readTextFileSync(`${first}/manifest.json`).includes(tree));
});

Deno.test("the contact sheet is a picture of the asked number of slices", () => {
  const { width, height } = decodePng(Deno.readFileSync(`${first}/contact_sheet.png`));
  assert.ok(width > 1000 && height > 190);
});

Deno.test("a second run does nothing again; workers give the very same files", async () => {
  let done = 0;
  const again = await prepare(options(first, { onSeries: () => done++ }));
  assert.deepEqual([done, again.resumed], [0, 3]);
  const other = newFolder();
  await prepare(options(other, { jobs: 2 }));
  assert.deepEqual(contents(other), contents(first));
});

Deno.test("an interrupted run goes on and ends as an undisturbed one; nothing is half-written", async () => {
  const out = newFolder();
  let series = 0;
  await assert.rejects(prepare(options(out, {
    onSeries: () => {
      if (++series === 2) throw new Error("stopped");
    },
  })));
  // As a kill in the middle of a series would leave it.
  Deno.mkdirSync(`${out}/.prepare/tmp-1.2.3`);
  Deno.writeTextFileSync(`${out}/.prepare/tmp-1.2.3/P_slice_000.npy`, "half");
  assert.ok(!("manifest.json" in contents(out)));
  const { resumed } = await prepare(options(out));
  assert.equal(resumed, 2);
  assert.deepEqual(contents(out), contents(first));
  assert.ok(![...Deno.readDirSync(`${out}/.prepare`)].some((e) => e.name.startsWith("tmp-")));
});

Deno.test("other settings, a deleted slice or a changed source make a series anew", async () => {
  const out = newFolder();
  await prepare(options(out));
  const [name] = Object.keys(contents(out)).filter((n) => /_slice_/.test(n));
  Deno.removeSync(`${out}/${name}`);
  assert.equal((await prepare(options(out))).resumed, 2);
  const strict = await prepare(options(out, { settings: { ...DEFAULT_SETTINGS, minLung: 0.2 } }));
  assert.equal(strict.resumed, 0);
  const slices = Object.keys(contents(out)).filter((n) => /_slice_/.test(n)).length;
  assert.equal(slices, strict.totals.written); // none is left of the settings before
  assert.ok(strict.totals.written < result.totals.written);
});

Deno.test("two scans of one patient are told apart and never split", async () => {
  const files: Record<string, Uint8Array> = {};
  for (const [series, patient] of [["a", "P_1"], ["b", "P_1"], ["c", "P2"], ["d", "P3"]]) {
    for (let z = 0; z < 3; z++) {
      const pixels = new Int16Array(64 * 64).fill(1064);
      for (let y = 10; y < 54; y++) {
        for (let x = 8; x < 56; x++) if (x < 28 || x > 36) pixels[y * 64 + x] = 174;
      }
      const slice = { z, size: 64, pixels, series, patient, spacing: [5, 5] as [number, number] };
      files[`${series}/${z}`] = ctBytes(slice);
    }
  }
  const out = newFolder();
  const { splits, totals } = await prepare(options(out, { input: folderOf(files), ...negative }));
  assert.deepEqual([totals.series, totals.patients], [4, 3]);
  // The name in the files ends at the first "_": none may come from the patient's own.
  assert.deepEqual(Object.values(splits).flat().sort(), ["P-1", "P2", "P3"]);
  const ids = Object.keys(contents(out)).filter((n) => /P-1.*_slice_/.test(n));
  assert.equal(ids.length, 6);
  assert.equal(ids.filter((n) => /P-1_s2_slice_/.test(n)).length, 3);
});

Deno.test("splits: seeded, by patient, stable when a patient is added", () => {
  const patients = Array.from({ length: 40 }, (_, i) => `P${i}`);
  const share = { val: 0.1, test: 0.2 };
  const a = splitPatients(patients, 1, share);
  assert.deepEqual(a, splitPatients([...patients].reverse(), 1, share));
  assert.deepEqual([a.train.length, a.val.length, a.test.length], [28, 4, 8]);
  assert.notDeepEqual(a, splitPatients(patients, 2, share));
  const b = splitPatients([...patients, "new"], 1, share);
  const moved = a.test.filter((p) => !b.test.includes(p)).length;
  assert.ok(moved <= 1);
  assert.deepEqual(splitPatients(["x", "y"], 1, share).train.sort(), ["x", "y"]);
});

Deno.test("a slice with only small nodules is neither positive nor negative: left out, counted", () => {
  const { series, totals } = manifestOf(first);
  const left = series.flatMap((s) => s.slices).filter((s) => s.leftOut === "small nodules only");
  assert.equal(left.length, totals.leftOut["small nodules only"]);
  assert.ok(left.length > 0);
  for (const slice of left) assert.equal(slice.label, 0);
});

Deno.test("--lung-masks: a volume by series UID, slices by SOP UID; a wrong shape names the file", async () => {
  const pixels = new Int16Array(400).fill(1064);
  const input = folderOf({ a: ctBytes({ z: 0, pixels }), b: ctBytes({ z: 2, pixels }) });
  const half = (n: number) => new Uint8Array(n).fill(1, 0, n / 2);
  const run = async (masks: Record<string, Uint8Array>) => {
    const out = newFolder();
    await prepare(options(out, { input, lungMasks: folderOf(masks), ...negative }));
    return manifestOf(out).series[0];
  };
  const series = "P1"; // a patient of one series may name it
  const whole = await run({ [`${series}.npy`]: encodeNpy([2, 20, 20], half(800)) });
  assert.equal(whole.lungMasks, "given");
  assert.deepEqual(whole.slices.map((s) => s.rightPixels), [400, 0]);
  const bySop = await run({
    [`${sopOf({ z: 0 })}.npy`]: encodeNpy([20, 20], half(400)),
    [`${sopOf({ z: 2 })}.npy`]: encodeNpy([20, 20], half(400).fill(2, 300)),
  });
  assert.deepEqual(bySop.slices.map((s) => [s.rightPixels, s.leftPixels]), [[200, 0], [200, 100]]);
  const png = (data: Uint8Array) => encodePng({ width: 20, height: 20, channels: 1, data });
  const byPng = await run({
    [`${sopOf({ z: 0 })}.png`]: png(half(400).fill(255, 0, 200)),
    [`${sopOf({ z: 2 })}.png`]: png(half(400)),
  });
  assert.deepEqual(byPng.slices.map((s) => s.rightPixels), [200, 200]);
  // Its z runs down, x and y as DICOM's: slice 0 of the file is the upper one.
  const upsideDown = nifti(20, 20, 2, 1, -2, (i) => half(400).fill(0, i === 0 ? 100 : 400));
  const byNifti = await run({ "P1.nii.gz": upsideDown });
  assert.deepEqual(byNifti.slices.map((s) => s.rightPixels), [200, 100]);
  await assert.rejects(
    run({ "P1.npy": encodeNpy([2, 20, 10], half(400)) }),
    (error: Error) =>
      error instanceof InputError &&
      /P1\.npy.*shape \[2,20,10\] must be \[2,20,20\]/.test(error.message),
  );
});

Deno.test("NIfTI volumes with nodule masks become the same layout", async () => {
  const planes = Array.from(
    { length: 4 },
    (_, i) => phantomPatient(3, 0).slice(130 - 10 * i, 64, 350 / 64),
  );
  const volume = (values: (i: number) => ArrayLike<number>) =>
    nifti(64, 64, 4, 350 / 64, 10, values);
  const input = folderOf({
    "imagesTr/lung_001.nii.gz": volume((i) => planes[i].ct),
    "labelsTr/lung_001.nii.gz": volume((i) => planes[i].noduleMask),
  });
  const out = newFolder();
  const { totals } = await prepare(options(out, { input, kind: "nifti" }));
  const { series: [record] } = manifestOf(out);
  assert.deepEqual([totals.slices, record.patient], [4, "lung-001"]);
  record.slices.forEach((slice, i) => {
    const wanted = planes[i].noduleMask.reduce((a, b) => a + b, 0);
    assert.equal(slice.nodulePixels, wanted);
    assert.equal(slice.label, wanted >= 10 ? 1 : 0);
  });
});

/** A NIfTI-1 file of int16, its axes as DICOM's (affine of negative x and y). */
function nifti(
  columns: number,
  rows: number,
  slices: number,
  mm: number,
  dz: number,
  values: (slice: number) => ArrayLike<number>,
): Uint8Array {
  const out = new Uint8Array(352 + 2 * columns * rows * slices), view = new DataView(out.buffer);
  view.setInt32(0, 348, true);
  [3, columns, rows, slices, 1, 1, 1, 1].forEach((n, i) => view.setInt16(40 + 2 * i, n, true));
  view.setInt16(70, 4, true);
  view.setInt16(72, 16, true);
  [1, mm, mm, dz].forEach((n, i) => view.setFloat32(76 + 4 * i, n, true));
  view.setFloat32(108, 352, true);
  view.setInt16(254, 1, true);
  [-mm, 0, 0, 0, 0, -mm, 0, 0, 0, 0, dz, Math.max(0, -dz * (slices - 1))].forEach((n, i) =>
    view.setFloat32(280 + 4 * i, n, true)
  );
  out.set(new TextEncoder().encode("n+1\0"), 344);
  for (let z = 0, at = 352; z < slices; z++) {
    const plane = values(z);
    for (let i = 0; i < plane.length; i++, at += 2) view.setInt16(at, Math.round(plane[i]), true);
  }
  return gzipSync(out);
}

Deno.test("nothing usable is an error that says why; a bad series does not stop the others", async () => {
  await assert.rejects(
    prepare(options(newFolder(), { input: folderOf({ "a.txt": "x" }) })),
    /No CT series/,
  );
  const cut = ctBytes({ series: "cut", patient: "CUT" });
  const pixels = new Int16Array(400).fill(1064).fill(174, 63, 77).fill(174, 83, 97);
  for (let y = 5; y < 15; y++) {
    pixels.fill(174, y * 20 + 3, y * 20 + 8);
    pixels.fill(174, y * 20 + 12, y * 20 + 17);
  }
  const input = folderOf({
    "a.dcm": ctBytes({ pixels, spacing: [10, 10] }),
    "b.dcm": cut.subarray(0, cut.length - 50),
  });
  const out = newFolder();
  const { totals, failures } = await prepare(options(out, { input, ...negative }));
  assert.deepEqual([totals.written, totals.failedSeries, failures.length], [1, 1, 1]);
  assert.match(failures[0].reason, /truncated/);
});

realCtTest(
  "prepare --dicom ct/lidc: 92 slices, 11 nodules, 55 positive, as ct/npy has them",
  async (ct) => {
    const out = newFolder();
    const settings = { ...DEFAULT_SETTINGS, minLung: 0 };
    const { totals } = await prepare(options(out, { input: `${ct}/lidc`, settings }));
    assert.deepEqual([totals.slices, totals.written, totals.nodules, totals.positive], [
      92,
      92,
      11,
      55,
    ]);
    const { series: [record] } = manifestOf(out);
    record.slices.forEach((s, i) => assert.ok(i === 0 || s.z > record.slices[i - 1].z));
    for (const { name } of Deno.readDirSync(`${ct}/npy`)) {
      const match = /_slice_(\d+)\.npy$/.exec(name);
      if (!match) continue;
      const theirs = (await readNpy(`${ct}/npy/${name}`)).data as Int16Array;
      const mine = (await readNpy(`${out}/${record.slices[Number(match[1])].output}`))
        .data as Int16Array;
      assert.deepEqual(mine, theirs.map((hu) => Math.max(-1024, hu)), name);
    }
  },
);
