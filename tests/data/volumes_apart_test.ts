/** One volume is one patient, one study, one acquisition: files that share a SeriesInstanceUID. */

import assert from "node:assert/strict";
import { scanFolder } from "../../lib/data/dicom/scan.ts";
import { loadSeries } from "../../lib/data/dicom/series.ts";
import type { Element } from "../../lib/data/dicom_write/element.ts";
import { namePatients } from "../../lib/data/prepare/plan.ts";
import { ctBytes, folderOf, type SliceOptions } from "./ct_maker.ts";

const tag = (number: number, vr: "IS" | "DS" | "SH" | "TM" | "UI" | "LO", value: string) =>
  [number, [number, vr, value]] as [number, Element];
const ACQUISITION = 0x00200012;

/** Files of one series; each volume's slices differ in value. */
const put = (slices: (SliceOptions & { name: string })[]) =>
  folderOf(
    Object.fromEntries(slices.map(({ name, ...slice }) => [name, ctBytes(slice)])),
  );
const stack = (
  name: string,
  zs: number[],
  more: (i: number) => SliceOptions,
) =>
  zs.map((z, i) => ({
    name: `${name}${i}`,
    z,
    sop: `${name} ${i}`,
    pixels: new Int16Array(400).fill(name.charCodeAt(0) + i),
    ...more(i),
  }));
const Z = [0, 3, 6, 9, 12];
const zsOf = async (files: string[]) => (await loadSeries(files)).slices.map((s) => s.z);
const counts = (folder: string) => scanFolder(folder).series.map((s) => s.files.length);

Deno.test("two patients under one series UID are two series, and it is told", () => {
  const found = scanFolder(put([
    ...stack("a", Z, (i) => ({ patient: "P1", instance: i })),
    ...stack("b", Z, (i) => ({ patient: "P2", instance: i })),
  ]));
  assert.deepEqual(found.series.map((s) => [s.patientId, s.files.length]), [["P1", 5], ["P2", 5]]);
  assert.match(found.notes.join(), /is of 2 patients or studies/);
});

Deno.test("two patients without PatientID are told apart by name", () => {
  const named = (name: string) => ({
    patient: "",
    changes: [tag(0x00100010, "LO", name), tag(0x0020000d, "UI", "1.2.3")],
  });
  const found = scanFolder(put([
    ...stack("a", Z, (i) => ({ instance: i, ...named("A") })),
    ...stack("b", Z, (i) => ({ instance: i, ...named("B") })),
  ]));
  assert.deepEqual(found.series.map((s) => s.files.length), [5, 5]);
  assert.match(found.notes.join(), /is of 2 patients or studies/);
  const names = namePatients(found.series, new Map()).map(({ patient }) => patient);
  assert.equal(new Set(names).size, 2);
  assert.ok(names.every((name) => /^study-[0-9a-f]{12}$/.test(name)), names.join());
});

Deno.test("two studies under one series UID are two series; one study a file is none", () => {
  const study = (uid: string) => ({ changes: [tag(0x0020000d, "UI", uid)] });
  const two = put([
    ...stack("a", Z, (i) => ({ instance: i, ...study("1.2.3") })),
    ...stack("b", Z, (i) => ({ instance: i, ...study("1.2.4") })),
  ]);
  assert.deepEqual(counts(two), [5, 5]);
  const each = scanFolder(put(stack("a", Z, (i) => ({ instance: i, ...study(`1.2.${i + 1}`) }))));
  assert.deepEqual(each.series.map((s) => s.files.length), [5]);
  assert.match(each.notes.join(), /5 StudyInstanceUIDs on 5 slices/);
});

const between = Z.map((z) => z + 1.5);
const apart: [string, (volume: number, i: number) => SliceOptions][] = [
  ["AcquisitionNumber", (v, i) => ({
    instance: 2 * i + v,
    changes: [tag(ACQUISITION, "IS", `${v + 1}`)],
  })],
  ["EchoNumbers", (v, i) => ({ instance: i, changes: [tag(0x00180086, "IS", `${v}`)] })],
  ["ConvolutionKernel", (v, i) => ({
    instance: 2 * i + v,
    changes: [tag(0x00181210, "SH", v ? "B70f" : "B30f")],
  })],
  ["AcquisitionTime", (v, i) => ({
    instance: 0,
    changes: [tag(0x00080032, "TM", `1${v}000${i}`)],
  })],
  ["ContentTime", (v, i) => ({
    instance: 0,
    changes: [tag(0x00080033, "TM", `1${v}000${i}`)],
  })],
  ["InstanceNumber", (v, i) => ({ instance: 5 * v + i + 1 })],
];
for (const [what, options] of apart) {
  for (
    const [how, second] of [["between one another", between], ["at the same places", Z]] as const
  ) {
    Deno.test(`two volumes ${how}, told apart by ${what}, are two`, async () => {
      const found = scanFolder(put([
        ...stack("a", Z, (i) => options(0, i)),
        ...stack("b", [...second], (i) => options(1, i)),
      ]));
      assert.deepEqual(found.series.map((s) => s.part), [1, 2]);
      const zs = await Promise.all(found.series.map((s) => zsOf(s.files)));
      assert.deepEqual(
        zs.sort((a, b) => a[0] - b[0]),
        [Z, [...second]].sort((a, b) => a[0] - b[0]),
      );
      assert.match(found.notes.join(), new RegExp(`2 volumes in one another.*${what}: 5 \\+ 5`));
    });
  }
}

Deno.test("acquisitions one above the other, and one a slice, are one volume", () => {
  const acquisition = (of: (i: number) => number) =>
    put(stack("a", Z, (i) => ({ instance: i, changes: [tag(ACQUISITION, "IS", `${of(i)}`)] })));
  assert.deepEqual(counts(acquisition((i) => i < 3 ? 1 : 2)), [5]);
  assert.deepEqual(counts(acquisition((i) => i)), [5]);
});

Deno.test("one volume in any order of InstanceNumber stays one", () => {
  for (const order of [[4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [0, 0, 0, 0, 0]]) {
    assert.deepEqual(counts(put(stack("a", Z, (i) => ({ instance: order[i] })))), [5]);
  }
});

Deno.test("equal SOP instance UIDs on different slices are no copies, and it is told", async () => {
  const { series } = scanFolder(put(stack("a", Z, (i) => ({ instance: i, sop: "one" }))));
  const { slices, told } = await loadSeries(series[0].files);
  assert.deepEqual(slices.map((s) => s.z), Z);
  assert.match(told.join(), /5 slices have 1 SOP instance UIDs/);
  const twice = put([
    ...stack("a", Z, (i) => ({ instance: i, sop: `${i}` })),
    ...stack("b", Z, (i) => ({ instance: 100 + i, sop: `${i}` })),
  ]);
  assert.deepEqual(counts(twice), [5, 5]);
});

Deno.test("a copy is equal in position and pixels; a series that loses a tenth is told", async () => {
  const twice = put([...stack("a", Z, (i) => ({ instance: i })), {
    ...stack("a", Z, (i) => ({ instance: i }))[2],
    name: "copy",
    sop: "other",
  }]);
  const copy = await loadSeries(scanFolder(twice).series[0].files);
  assert.deepEqual([copy.slices.length, copy.told], [5, []]);
  assert.match(copy.rejected[0].reason, /^a copy of/);
  const more = put([...stack("a", Z, (i) => ({ instance: i })), {
    name: "second",
    z: 6,
    instance: 9,
    pixels: new Int16Array(400).fill(7),
  }]);
  const lost = await loadSeries(scanFolder(more).series[0].files);
  assert.equal(lost.slices.length, 5);
  assert.match(lost.told.join(), /1 of its 6 slices are not used: 1 × a second slice at 6\.000/);
});

Deno.test("uneven spacing from 5% on is told, and each slice has its own share", async () => {
  const spaced = async (zs: number[]) =>
    await loadSeries(scanFolder(put(stack("a", zs, (i) => ({ instance: i })))).series[0].files);
  const even = await spaced([0, 10, 20.4, 30]);
  assert.deepEqual([even.thickness, even.told], [undefined, []]);
  const uneven = await spaced([0, 10, 20, 35]);
  assert.deepEqual(uneven.thickness, [10, 10, 12.5, 15]);
  assert.match(uneven.told.join(), /10\.000 to 15\.000 mm apart/);
});

Deno.test("a series of which a tenth of the files are no slices is told", () => {
  const some = scanFolder(put(stack("a", Z, (i) => ({
    instance: i,
    changes: i === 2 ? [tag(0x00281053, "DS", "0")] : [],
  }))));
  assert.match(some.notes.join(), /1 of 5 files of series .* are not used: RescaleSlope is 0/);
});
