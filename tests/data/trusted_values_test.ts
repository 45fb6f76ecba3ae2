/** What a data folder's values and names must be before a model learns from them. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openFolder } from "../../lib/data/open_folder.ts";
import { folderSource } from "../../lib/evaluate/sources.ts";
import { writeNpy } from "../../lib/io/npy_file.ts";
import { encodePng } from "../../lib/io/png.ts";
import { withFolder } from "../train/tiny.ts";

const SIDE = 16, PIXELS = SIDE * SIDE;
/** Lung in the left half, tissue in the right. */
const CT = Float32Array.from({ length: PIXELS }, (_, i) => i % SIDE < 4 ? -850 + i : 40);
const LUNG = Uint8Array.from({ length: PIXELS }, (_, i) => i % SIDE < 4 ? 1 : 0);
const NONE = new Uint8Array(PIXELS);
type Values = Parameters<typeof writeNpy>[2];

async function put(folder: string, name: string, values: Values) {
  await writeNpy(join(folder, name), [SIDE, SIDE], values);
}

/** Slice 0 of a patient. */
async function slice(folder: string, patient: string, ct: Values = CT, lung: Values = LUNG) {
  await put(folder, `${patient}_slice_0.npy`, ct);
  await put(folder, `${patient}_lung_mask_0.npy`, lung);
  await put(folder, `${patient}_nodule_mask_0.npy`, NONE);
}

/** As `train` opens and loads a folder. */
async function load(folder: string, checkHu = true) {
  const { train } = await openFolder(folder, undefined, { checkHu });
  for (const record of train) await record.load();
}

const BAD_LUNGS: [string, Values, RegExp][] = [
  ["all 0", NONE, /A_lung_mask_0\.npy": the lung mask is empty/],
  ["all −1", new Int8Array(PIXELS).fill(-1), /A_lung_mask_0\.npy": -1 at row 0, column 0/],
  [
    "NaN",
    Float32Array.from(LUNG).with(17, NaN),
    /A_lung_mask_0\.npy": NaN at row 1, column 1; a mask is 0 outside/,
  ],
  ["infinite", Float32Array.from(LUNG).with(0, Infinity), /Infinity at row 0/],
];
for (const [what, lung, message] of BAD_LUNGS) {
  Deno.test(`a lung mask of ${what} is refused by file`, () =>
    withFolder(async (folder) => {
      await slice(folder, "A", CT, lung);
      await assert.rejects(load(folder), { name: "InputError", message });
      await assert.rejects(load(folder, false), { name: "InputError", message });
    }));
}

Deno.test("masks of 0/255 and of labels are taken", () =>
  withFolder(async (folder) => {
    await slice(folder, "A", CT, LUNG.map((v) => 255 * v));
    await slice(folder, "B", CT, Int16Array.from(LUNG, (v) => 3 * v));
    await load(folder);
  }));

Deno.test("a nodule mask with NaN or below 0 is refused by file, not counted as none", () =>
  withFolder(async (folder) => {
    await slice(folder, "A");
    for (const value of [NaN, -1]) {
      await put(folder, "A_nodule_mask_0.npy", Float32Array.from(NONE).with(255, value));
      await assert.rejects(load(folder), {
        message: /A_nodule_mask_0\.npy": .* at row 15, column 15/,
      });
    }
  }));

Deno.test("pairs of images: an empty or negative mask, a CT that is no HU are refused; PNG is gray", () =>
  withFolder(async (folder) => {
    await put(folder, "a.npy", CT);
    await put(folder, "a_mask.npy", LUNG);
    await load(folder);
    await put(folder, "a_mask.npy", NONE);
    await assert.rejects(load(folder), { message: /a_mask\.npy": the lung mask is empty/ });
    await put(folder, "a_mask.npy", new Int8Array(PIXELS).fill(-1));
    await assert.rejects(load(folder), { message: /a_mask\.npy": -1 at row 0/ });
    await put(folder, "a_mask.npy", LUNG);
    await put(folder, "a.npy", CT.map((v) => v / 1000 + 1));
    await assert.rejects(load(folder), { message: /a\.npy" as HU: .*--any-values/ });
    await load(folder, false);
    await Deno.remove(join(folder, "a.npy"));
    const data = new Uint8Array(PIXELS).fill(200);
    await Deno.writeFile(
      join(folder, "a.png"),
      encodePng({ width: SIDE, height: SIDE, channels: 1, data }),
    );
    await load(folder);
  }));

Deno.test("train on stored values, [0, 1] or a constant is refused by file; --any-values takes them", () =>
  withFolder(async (folder) => {
    await slice(folder, "A");
    const wrong: [Values, RegExp][] = [
      [Uint16Array.from(CT, (v) => v + 1024), /B_slice_0\.npy" as HU: the values are 174 … 1064/],
      [CT.map((v) => (v + 1024) / 2000), /none of 64 in the lung mask is air/],
      [CT.map(() => 0), /every value is 0/],
    ];
    for (const [ct, message] of wrong) {
      await slice(folder, "B", ct);
      await assert.rejects(load(folder), { name: "InputError", message });
      await load(folder, false);
    }
  }));

Deno.test("a split file decides which part of a name with _ is the patient", () =>
  withFolder(async (folder) => {
    for (const patient of ["LIDC_0001", "LIDC_0002", "LIDC_0003_b", "P"]) {
      await slice(folder, patient);
    }
    await Deno.writeTextFile(join(folder, "train_patients.txt"), "LIDC_0001\nP\n");
    await Deno.writeTextFile(join(folder, "val_patients.txt"), "LIDC_0003\n");
    const { train, val, notes } = await openFolder(folder);
    assert.deepEqual(train.map(({ patient }) => patient), ["LIDC_0001", "P"]);
    assert.deepEqual(val.map(({ id, patient }) => [id, patient]), [
      ["LIDC_0003_b_slice_0", "LIDC_0003"],
    ]);
    assert.match(notes.join("\n"), /1 slices are of patients in no split file.*"LIDC_0002"/);
    // The original's rule, where the file has the short name.
    await Deno.writeTextFile(join(folder, "train_patients.txt"), "LIDC\n");
    await Deno.remove(join(folder, "val_patients.txt"));
    assert.deepEqual((await openFolder(folder)).train.map(({ patient }) => patient), [
      ...["LIDC", "LIDC", "LIDC"],
    ]);
    await Deno.writeTextFile(join(folder, "test_patients.txt"), "LIDC_0001\n");
    await assert.rejects(openFolder(folder), {
      message: /LIDC_0001_slice_0 is of "LIDC" in train_patients.txt and of "LIDC_0001" in test_/,
    });
  }));

Deno.test("a split file that names nobody here: the error has both lists of names and the rule", () =>
  withFolder(async (folder) => {
    for (const n of [1, 2, 3, 4]) await slice(folder, `LIDC_000${n}`);
    await Deno.writeTextFile(join(folder, "train_patients.txt"), "LIDC-0001\nLIDC-0002\n");
    await assert.rejects(openFolder(folder), {
      name: "InputError",
      message:
        /names "LIDC-0001", "LIDC-0002", the slices are of "LIDC_0001", "LIDC_0002", "LIDC_0003", … \(4\) \(the name before _slice_/,
    });
  }));

Deno.test("without a split file, names that all begin alike are told to count as one patient", () =>
  withFolder(async (folder) => {
    for (const n of [1, 2]) await slice(folder, `LIDC_000${n}`);
    assert.match((await openFolder(folder)).notes.join("\n"), /count as one patient, "LIDC" /);
  }));

Deno.test("evaluate: slices whose lungs are lost at the size that is scored are refused by name", () =>
  withFolder(async (folder) => {
    for (const patient of ["A", "B"]) await slice(folder, patient);
    const score = (side: number, anyValues = false) =>
      folderSource(folder, folder, {
        ...{ count: 0, seed: 0, trainLimit: 0, show: () => {}, anyValues },
        size: { height: side, width: side },
      });
    assert.equal((await score(4)).real.length, 2);
    // One pixel that nearest-neighbour resizing to 4×4 passes over.
    await put(folder, "B_lung_mask_0.npy", new Uint8Array(PIXELS).with(SIDE + 1, 1));
    await assert.rejects(score(4), {
      name: "InputError",
      message: /no lung of B_slice_0 is left at 4×4: give a larger --resolution/,
    });
    assert.equal((await score(SIDE)).real.length, 2);
    await slice(folder, "B", CT.map((v) => v + 1024));
    await assert.rejects(score(SIDE), { message: /B_slice_0\.npy" as HU/ });
    assert.equal((await score(SIDE, true)).real.length, 2);
  }));
