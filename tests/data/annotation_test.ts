/** "Not annotated" is not "no nodule": what becomes of series without a reading that can be used. */

import assert from "node:assert/strict";
import { encodeLidcXml } from "../../lib/data/dicom_write/lidc_file.ts";
import { uidOf } from "../../lib/data/dicom_write/ct_file.ts";
import { prepare } from "../../lib/data/prepare/prepare.ts";
import { summaryTable } from "../../lib/data/prepare/summary.ts";
import { DEFAULT_SETTINGS, type SeriesRecord } from "../../lib/data/prepare/types.ts";
import { ctBytes, folderOf, newFolder, sopOf } from "./ct_maker.ts";

/** Tissue of 40 HU with two lungs of −850 HU, 64 × 64 pixels of 5 mm. */
const CHEST = new Int16Array(64 * 64).fill(1064);
for (let y = 10; y < 54; y++) {
  for (let x = 8; x < 56; x++) if (x < 28 || x > 36) CHEST[y * 64 + x] = 174;
}
const COUNT = 4;
const slice = (z: number, more: Partial<Parameters<typeof ctBytes>[0]> = {}) => ({
  z,
  size: 64,
  pixels: CHEST,
  spacing: [5, 5] as [number, number],
  ...more,
});

/** A square outline of `side` pixels. */
const square = (x: number, y: number, side: number) => [
  ...[x, y, x + side, y, x + side, y + side, x, y + side],
];
const RATED = {
  subtlety: 3,
  internalStructure: 1,
  calcification: 6,
  sphericity: 3,
  margin: 3,
  lobulation: 3,
  spiculation: 3,
  texture: 3,
  malignancy: 3,
};
const roi = (z: number, x = 14) => ({ sopInstance: sopOf(slice(z)), z, points: square(x, 20, 6) });
/** A nodule on slices 0 and 1, another on slice 2. */
const XML = encodeLidcXml(uidOf("study P1"), uidOf("series"), [{
  nodules: [
    { id: "one", characteristics: RATED, rois: [roi(0), roi(1)] },
    { id: "two", characteristics: RATED, rois: [roi(2, 44)] },
  ],
  nonNodules: [],
}]);

async function run(
  files: Record<string, Uint8Array | string>,
  settings: Partial<typeof DEFAULT_SETTINGS> = {},
) {
  const dicom: Record<string, Uint8Array | string> = { ...files };
  for (let z = 0; z < COUNT; z++) dicom[`a/${z}.dcm`] = ctBytes(slice(z));
  const out = newFolder();
  const result = await prepare({
    input: folderOf(dicom),
    kind: "dicom",
    out,
    settings: { ...DEFAULT_SETTINGS, minLung: 0, ...settings },
    seed: 0,
    val: 0,
    test: 0,
    jobs: 1,
    contactSheet: 0,
  });
  const { series } = JSON.parse(Deno.readTextFileSync(`${out}/manifest.json`));
  const [record] = series as SeriesRecord[];
  return { ...result, record, labels: record.slices.map((s) => s.output ? s.label : s.leftOut) };
}

Deno.test("a reading: slices with a nodule and slices without", async () => {
  const { record, labels, told } = await run({ "a/x.xml": XML });
  assert.equal(record.annotation, "read");
  assert.deepEqual(labels, [1, 1, 1, 0]);
  assert.deepEqual(told, []);
});

Deno.test("no XML: nothing is written, unless it is to be taken as negative", async () => {
  await assert.rejects(run({}), /4 read; 4 not annotated; .*--unannotated negative/);
  const { record, labels } = await run({}, { unannotated: "negative" });
  assert.equal(record.annotation, "none");
  assert.deepEqual(labels, [0, 0, 0, 0]);
});

const utf16 = (text: string, mark: boolean, big: boolean) => {
  const units = mark ? `\ufeff${text}` : text, bytes = new Uint8Array(2 * units.length);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < units.length; i++) view.setUint16(2 * i, units.charCodeAt(i), !big);
  return bytes;
};
const readable: Record<string, Uint8Array | string> = {
  "UTF-16 little endian": utf16(XML, true, false),
  "UTF-16 big endian": utf16(XML, true, true),
  "UTF-16 without a mark": utf16(XML, false, false),
  "a blank first line": `\r\n  \n${XML}`,
  "a byte order mark": `\ufeff${XML}`,
  "whole numbers as 44.0": XML.replace(/(Coord>\d+)</g, "$1.0<"),
  "no series UID, beside its slices": XML.replace(/<SeriesInstanceU[iI][dD]>.*?<\/[^>]*>/, ""),
};
for (const [name, xml] of Object.entries(readable)) {
  Deno.test(`an XML with ${name} is read`, async () => {
    assert.deepEqual((await run({ "a/x.xml": xml })).labels, [1, 1, 1, 0]);
  });
}

const broken: Record<string, string> = {
  "is cut off": XML.slice(0, XML.length - 200),
  "has a document type": XML.replace("?>", '?><!DOCTYPE a SYSTEM "b">'),
  "has no reading": XML.replace(/<readingSession>.*<\/readingSession>/s, ""),
  "marks slices of other UIDs": XML.replace(/<imageSOP_UID>/g, "<imageSOP_UID>9."),
};
for (const [name, xml] of Object.entries(broken)) {
  Deno.test(`an XML that ${name}: the series is left out as unreadable, and it is told`, async () => {
    await assert.rejects(run({ "a/x.xml": xml }), /4 annotation unreadable/);
    const { record, told } = await run({ "far/x.xml": xml }, { unannotated: "negative" });
    assert.equal(record.annotation, "unreadable");
    assert.match(told.join(), /Cannot read ".*x\.xml"|none of the 3 outlines/);
  });
}

Deno.test("one outline that cannot be read costs that outline: its slice is left out", async () => {
  for (
    const [from, to] of [
      [/<xCoord>\d+/, "<xCoord>1e9"],
      [/<edgeMap>.*?<\/roi>/s, "</roi>"],
      [/<xCoord>14/, "<xCoord>-40"],
    ] as const
  ) {
    const { record, labels, told } = await run({ "a/x.xml": XML.replace(from, to) });
    assert.deepEqual(labels, ["outline unreadable", 1, 1, 0]);
    assert.match(
      [...told, ...record.notes].join(),
      /reader 1, nodule "one": (outline 1 cannot be read|an outline lies outside)/,
    );
  }
});

Deno.test("missing ratings: the outline decides; a point is still below 3 mm", async () => {
  const unrated = XML.replace(/<malignancy>3<\/malignancy>/, "");
  const { record, labels, told } = await run({ "a/x.xml": unrated });
  assert.deepEqual(labels, [1, 1, 1, 0]);
  assert.equal(record.nodules[0].characteristics, null);
  assert.equal(record.nodules[1].characteristics!.texture, 3);
  assert.match(told.join(), /1 marks without ratings/);
  const none = XML.replace(/<characteristics>.*?<\/characteristics>/gs, "");
  assert.deepEqual((await run({ "a/x.xml": none })).labels, [1, 1, 1, 0]);
  const point = none.replace(/(<edgeMap>.*?<\/edgeMap>)\s*(<edgeMap>.*?<\/edgeMap>\s*)+/gs, "$1");
  const small = await run({ "a/x.xml": point });
  assert.deepEqual(small.labels, [...Array(3).fill("small nodules only"), 0]);
});

Deno.test("the table's counts add up", async () => {
  const result = await run({ "a/x.xml": XML, "b/0.dcm": ctBytes(slice(9, { series: "bare" })) });
  const lines = summaryTable(result).map((line) => line.trim().split(/\s{2,}/));
  const of = (name: string) => lines.filter(([what]) => what === name).map((l) => l.slice(1));
  assert.deepEqual(of("annotation read"), [["1", "4"]]);
  assert.deepEqual(of("not annotated"), [["1", "1"]]);
  assert.deepEqual(of("all that was found"), [["2", "5"], ["5"]]);
  const [first, rest] = [lines.findIndex((l) => l[0] === ""), lines.slice(7)];
  assert.ok(first >= 0);
  const fates = rest.filter(([what]) => what && !what.startsWith("all"));
  assert.equal(fates.reduce((sum, line) => sum + Number(line.at(-1)), 0), 5);
});
