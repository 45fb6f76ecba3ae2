/** LIDC annotations, trap by trap. */

import assert from "node:assert/strict";
import { noduleOnSlice } from "../../lib/data/lidc/contour.ts";
import { clusterMarks } from "../../lib/data/lidc/cluster.ts";
import { annotate, type Grid, nodulePlane } from "../../lib/data/lidc/consensus.ts";
import { parseMetadata } from "../../lib/data/lidc/metadata.ts";
import { CHARACTERISTICS, type Characteristics, parseLidcXml } from "../../lib/data/lidc/xml.ts";
import { encodeLidcXml, type ReaderText } from "../../lib/data/dicom_write/lidc_file.ts";
import { outlines } from "../../lib/data/dicom_write/outline.ts";
import { scanFolder } from "../../lib/data/dicom/scan.ts";
import { loadSeries } from "../../lib/data/dicom/series.ts";
import { InputError } from "../../lib/errors.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { dice, realCtTest } from "./shared_ct.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const RATED = Object.fromEntries(
  Object.keys(CHARACTERISTICS).map((name) => [name, 3]),
) as Characteristics;

/** A closed square outline of `side` × `side` pixels. */
function square(x: number, y: number, side: number): number[] {
  const points: number[] = [], e = side - 1;
  for (let i = 0; i < e; i++) points.push(x + i, y);
  for (let i = 0; i < e; i++) points.push(x + e, y + i);
  for (let i = 0; i < e; i++) points.push(x + e - i, y + e);
  for (let i = 0; i < e; i++) points.push(x, y + e - i);
  return [...points, x, y];
}

const grid = (count = 3, size = 64): Grid => ({
  rows: size,
  columns: size,
  pixelSpacing: [1, 1],
  sliceSpacing: 2,
  slices: Array.from({ length: count }, (_, i) => ({
    file: `${i}`,
    sopInstance: `1.${i}`,
    instanceNumber: i,
    z: 2 * i,
    position: [0, 0, 2 * i],
  })),
});

const roi = (slice: number, points: number[], inclusion = true) => ({
  sopInstance: `1.${slice}`,
  z: 0,
  inclusion,
  points,
});
const reader = (...nodules: ReaderText["nodules"]): ReaderText => ({ nodules, nonNodules: [] });
const nodule = (id: string, rois: ReturnType<typeof roi>[], rated = true) => ({
  id,
  characteristics: rated ? RATED : null,
  rois,
});

function readers(...texts: ReaderText[]) {
  const file = parseLidcXml(encode(encodeLidcXml("2.1", "2.2", texts)), "t.xml");
  assert.equal(file.kind, "ct");
  return file.kind === "ct" ? file.readers : [];
}
const area = (bits: Uint8Array) => bits.reduce((a, b) => a + b, 0);

Deno.test("a square contour 5 pixels wide holds 9 pixels", () => {
  const [{ nodules }] = readers(reader(nodule("1", [roi(0, square(10, 10, 5))])));
  assert.equal(area(noduleOnSlice(nodules[0].rois)!.bits), 9);
});

Deno.test("a FALSE contour takes its inside and its border away", () => {
  const [{ nodules }] = readers(
    reader(nodule("1", [roi(0, square(10, 10, 13)), roi(0, square(14, 14, 5), false)])),
  );
  assert.equal(area(noduleOnSlice(nodules[0].rois)!.bits), 11 * 11 - 5 * 5);
});

Deno.test("TRUE contours of one slice are united, and order does not matter", () => {
  const rois = [
    roi(0, square(14, 14, 5), false),
    roi(0, square(10, 10, 13)),
    roi(0, square(30, 30, 5)),
  ];
  const [{ nodules }] = readers(reader(nodule("1", rois)));
  assert.equal(area(noduleOnSlice(nodules[0].rois)!.bits), 11 * 11 - 25 + 9);
});

Deno.test("a contour of few corners is filled like one of all its pixels", () => {
  const corners = [10, 10, 20, 10, 20, 20, 10, 20];
  const [{ nodules }] = readers(reader(nodule("1", [roi(0, corners)])));
  assert.equal(area(noduleOnSlice(nodules[0].rois)!.bits), 81);
});

Deno.test("outlines drawn around a mask hold that mask", () => {
  const size = 40, mask = new Uint8Array(size * size);
  for (let i = 0; i < mask.length; i++) {
    const x = i % size - 20, y = Math.floor(i / size) - 18;
    if (x * x + 2 * y * y < 90) mask[i] = 1;
  }
  const [points, ...more] = outlines(mask, size, size);
  assert.equal(more.length, 0);
  const [{ nodules }] = readers(reader(nodule("1", [roi(0, points)])));
  const patch = noduleOnSlice(nodules[0].rois)!;
  assert.equal(area(patch.bits), area(mask));
});

Deno.test("both roots: LidcReadMessage is a CT read, IdriReadMessage an X-ray, others are told", () => {
  assert.equal(parseLidcXml(encode("<IdriReadMessage/>"), "x").kind, "xray");
  assert.deepEqual(parseLidcXml(encode("<a><b/></a>"), "x"), { kind: "other", root: "a" });
  const file = parseLidcXml(encode(encodeLidcXml("2.1", "2.2", [reader()])), "x");
  assert.deepEqual([file.kind, file.kind === "ct" && [file.seriesUid, file.studyUid]], [
    "ct",
    ["2.2", "2.1"],
  ]);
});

Deno.test("the namespace may be there, be missing, or come as a prefix", () => {
  const text = encodeLidcXml("2.1", "2.2", [reader(nodule("1", [roi(0, square(5, 5, 5))]))]);
  const without = text.replace(/ xmlns="[^"]*"/, "");
  const prefixed = without.replace(/<(\/?)([A-Za-z])/g, "<$1n:$2")
    .replace("<n:LidcReadMessage", '<n:LidcReadMessage xmlns:n="http://www.nih.gov"');
  for (const variant of [text, without, prefixed]) {
    const file = parseLidcXml(encode(variant), "x");
    assert.ok(file.kind === "ct" && file.readers[0].nodules[0].rois.length === 1);
  }
});

Deno.test("missing, blank or 0 ratings mean below 3 mm", () => {
  const text = encodeLidcXml("2.1", "2.2", [reader(nodule("1", [roi(0, [5, 5])]))]);
  const isSmall = (from: RegExp, to: string) => {
    const file = parseLidcXml(encode(text.replace(from, to)), "x");
    return file.kind === "ct" && file.readers[0].nodules[0].characteristics === null;
  };
  assert.equal(isSmall(/nothing/, ""), false);
  assert.equal(isSmall(/<characteristics>.*<\/characteristics>/s, ""), true);
  assert.equal(isSmall(/<characteristics>.*<\/characteristics>/s, "<characteristics/>"), true);
  assert.equal(isSmall(/<malignancy>3/, "<malignancy>"), true);
  assert.equal(isSmall(/<malignancy>3/, "<malignancy>0"), true);
});

Deno.test("scales: 1–5, internalStructure to 4, calcification to 6; others are noted", () => {
  const text = encodeLidcXml("2.1", "2.2", [reader(nodule("1", [roi(0, [5, 5])]))]);
  const parse = (name: string, value: number) => {
    const file = parseLidcXml(encode(text.replace(`<${name}>3`, `<${name}>${value}`)), "x");
    return file.kind === "ct" ? file : null;
  };
  assert.equal(parse("calcification", 6)!.readers[0].nodules[0].characteristics!.calcification, 6);
  for (
    const [name, value] of [["internalStructure", 5], ["texture", 6], ["subtlety", 9]] as const
  ) {
    const file = parse(name, value)!;
    assert.equal(file.readers[0].nodules[0].characteristics, null);
    assert.match(file.notes.join(), new RegExp(`${name} is "${value}"`));
  }
});

Deno.test("a contour that names no slice is reported, never guessed from z", () => {
  const far = { ...roi(0, square(10, 10, 9)), sopInstance: "9.9", z: 2 };
  const found = annotate(readers(reader(nodule("7", [roi(0, square(10, 10, 9)), far]))), grid());
  assert.deepEqual([...found.nodules[0].patches.keys()], [0]);
  assert.match(found.notes.join(), /nodule "7": no slice has SOP instance UID "9\.9"/);
});

Deno.test("readers' ids do not correspond: marks are joined by distance in mm", () => {
  const found = annotate(
    readers(
      reader(nodule("1", [roi(0, square(10, 10, 9))]), nodule("2", [roi(0, square(40, 40, 9))])),
      reader(nodule("x", [roi(0, square(40, 41, 9))]), nodule("1", [roi(0, square(11, 10, 9))])),
    ),
    grid(),
  );
  assert.deepEqual(found.nodules.map((n) => n.readers), [2, 2]);
});

Deno.test("distance is in mm: on fine pixels the same marks are one nodule", () => {
  const marks = readers(
    reader(nodule("1", [roi(0, square(10, 10, 5))])),
    reader(nodule("1", [roi(0, square(20, 10, 5))])),
  );
  assert.equal(annotate(marks, grid()).nodules.length, 2); // 6 mm apart, 2 mm allowed
  assert.equal(annotate(marks, { ...grid(), pixelSpacing: [0.3, 0.3] }).nodules.length, 1);
});

Deno.test("at most four marks a nodule: the distance is tightened by 0.9", () => {
  const dot = (x: number) => Float64Array.from([x, 0, 0]);
  // Three and three marks, 1.9 apart; within each a tenth.
  const clouds = [0, 0.1, 0.2, 2.1, 2.2, 2.3].map(dot);
  const { clusters, tolerance } = clusterMarks(clouds, 2);
  assert.deepEqual(clusters, [[0, 1, 2], [3, 4, 5]]);
  assert.ok(Math.abs(tolerance - 1.8) < 1e-12);
});

Deno.test("consensus: at least half of the marking readers agree; the threshold is an option", () => {
  const sides = [5, 7, 9, 11];
  const marks = readers(
    ...sides.map((side) =>
      reader(nodule("1", [roi(0, square(30 - (side >> 1), 30 - (side >> 1), side))]))
    ),
  );
  const pixels = (threshold: number) => {
    const options = { threshold, tolerance: 20 };
    return area(nodulePlane(annotate(marks, grid(), options).nodules, 0, grid()));
  };
  assert.equal(pixels(0.5), 49); // the second largest holds 7 × 7
  assert.equal(pixels(0.25), 81);
  assert.equal(pixels(1), 9);
});

Deno.test("characteristics are averaged over the marks of a lesion", () => {
  const one = {
    ...nodule("1", [roi(0, square(10, 10, 9))]),
    characteristics: { ...RATED, malignancy: 5 },
  };
  const two = {
    ...nodule("1", [roi(0, square(10, 10, 9))]),
    characteristics: { ...RATED, malignancy: 2 },
  };
  const { nodules: [found] } = annotate(readers(reader(one), reader(two)), grid());
  assert.equal(found.characteristics!.malignancy, 3.5);
  assert.equal(found.characteristics!.texture, 3);
});

Deno.test("small nodules and non-nodules are no nodules; a small one marks its slice", () => {
  const found = annotate(
    readers({
      nodules: [nodule("s", [roi(1, [30, 30])], false)],
      nonNodules: [{ id: "n", sopInstance: "1.2", z: 0, x: 3, y: 4 }],
    }),
    grid(),
  );
  assert.deepEqual([found.nodules.length, found.smallMarks, found.nonNodules], [0, 1, 1]);
  assert.deepEqual([...found.smallSlices], [1]);
});

Deno.test("an entity bomb, a truncated file and one without a reading are InputErrors naming the file", () => {
  const good = encodeLidcXml("2.1", "2.2", [reader(nodule("1", [roi(0, square(5, 5, 5))]))]);
  const bad = [
    `<!DOCTYPE a [<!ENTITY b "c">]><LidcReadMessage>&b;</LidcReadMessage>`,
    good.slice(0, good.length / 2),
    "",
    encodeLidcXml("2.1", "2.2", []), // no reader looked
  ];
  for (const text of bad) {
    assert.throws(
      () => parseLidcXml(encode(text), "bad.xml"),
      (error: Error) => error instanceof InputError && error.message.includes("bad.xml"),
    );
  }
});

Deno.test("metadata.csv: quoted commas, any order of columns, unknown columns", () => {
  const rows = parseMetadata(
    encode(
      'Collection,"Series UID",Subject ID,Number of Images,Modality\r\n' +
        '"LIDC, repackaged",1.2.3,"A ""quoted"", name",12,CT\r\n',
    ),
    "metadata.csv",
  );
  assert.deepEqual(rows.get("1.2.3"), {
    seriesUid: "1.2.3",
    subject: 'A "quoted", name',
    modality: "CT",
    images: 12,
  });
  assert.throws(
    () => parseMetadata(encode("a,b\n1,2\n"), "metadata.csv"),
    /no column "Series UID"/,
  );
});

realCtTest(
  "ct/lidc: 92 slices in order, 11 nodules of 33 marks, consensus Dice ≥ 0.9",
  async (ct) => {
    const found = scanFolder(`${ct}/lidc`);
    const volume = await loadSeries(found.series[0].files);
    assert.equal(volume.slices.length, 92);
    volume.slices.forEach((s, i) => assert.ok(Math.abs(s.z - (-1369.5 + 2.5 * i)) < 1e-6));
    const file = parseLidcXml(Deno.readFileSync(found.xmlFiles[0]), found.xmlFiles[0]);
    assert.ok(file.kind === "ct" && file.readers.length === 4);
    const { nodules, marks, smallMarks, nonNodules } = annotate(file.readers, volume);
    assert.deepEqual([nodules.length, marks, smallMarks, nonNodules], [11, 33, 4, 4]);
    const truth = new Uint8Array(volume.hu.length), mine = new Uint8Array(volume.hu.length);
    const plane = volume.rows * volume.columns;
    const names = [...Deno.readDirSync(`${ct}/npy`)].map((e) => e.name);
    for (const name of names) {
      const match = /_nodule_mask_(\d+)\.npy$/.exec(name);
      if (match) {
        truth.set(
          (await readNpy(`${ct}/npy/${name}`)).data as Uint8Array,
          +match[1] * plane,
        );
      }
    }
    volume.slices.forEach((_, i) => mine.set(nodulePlane(nodules, i, volume), i * plane));
    const value = dice(mine, truth);
    console.log(`consensus Dice ${value.toFixed(4)}`);
    assert.ok(value >= 0.9, `Dice ${value}`);
  },
);
