/** The DICOM reader, trap by trap. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rejection } from "../../lib/data/dicom/accept.ts";
import { parseHeader } from "../../lib/data/dicom/header.ts";
import { decodePixels } from "../../lib/data/dicom/pixels.ts";
import { readWhole } from "../../lib/data/dicom/read_header.ts";
import { scanFolder } from "../../lib/data/dicom/scan.ts";
import { loadSeries } from "../../lib/data/dicom/series.ts";
import { InputError } from "../../lib/errors.ts";
import { parseNpy } from "../../lib/io/npy.ts";
import { ctBytes, folderOf, type SliceOptions } from "./ct_maker.ts";
import { FIXTURES, realCtTest, sharedCase } from "./shared_ct.ts";

const reasonFor = (changes: SliceOptions["changes"]) =>
  rejection(parseHeader(ctBytes({ changes }), "x.dcm").header);

/** First 16 hex digits of the SHA-256 of the pixels, little endian. */
const digest = (pixels: Int16Array | Uint16Array) =>
  createHash("sha256").update(new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength))
    .digest("hex").slice(0, 16);

const load = (files: Record<string, Uint8Array>) => {
  const folder = folderOf(files);
  return loadSeries(Object.keys(files).map((name) => `${folder}/${name}`));
};

const expected: Record<string, string> = JSON.parse(
  Deno.readTextFileSync(`${FIXTURES}/dicom/expected.json`),
);
for (const [name, sha] of Object.entries(expected)) {
  Deno.test(`encoding ${name} decodes to the very pixels`, async () => {
    assert.equal(digest(await decodePixels(readWhole(`${FIXTURES}/dicom/${name}`))), sha);
  });
}

Deno.test("8-bit baseline JPEG (.50) decodes as pylibjpeg does", async () => {
  const folder = `${FIXTURES}/dicom`;
  const pixels = await decodePixels(readWhole(`${folder}/eight_bit.jpeg_baseline.50.dcm`));
  const wanted = parseNpy(Deno.readFileSync(`${folder}/eight_bit.npy`), "npy").data;
  let sum = 0;
  for (let i = 0; i < pixels.length; i++) sum += Math.abs(pixels[i] - Number(wanted[i]));
  assert.ok(sum / pixels.length < 0.1, `mean error ${sum / pixels.length}`);
});

Deno.test("12-bit JPEG (.51) is refused by name, naming the file", async () => {
  const path = `${FIXTURES}/dicom/twelve_bit.jpeg_extended.51.dcm`;
  const dicom = readWhole(path);
  assert.match(rejection(dicom.header)!, /1\.2\.840\.10008\.1\.2\.4\.51.*12 bit.*dcmdjpeg/);
  await assert.rejects(
    decodePixels(dicom),
    (error: Error) =>
      error instanceof InputError && error.message.includes(path) && /12 bit/.test(error.message),
  );
});

realCtTest("nema_ct1: every lossless encoding has raw sum 40028413 and its SHA", async (ct) => {
  const folder = `${ct}/dicom/nema_ct1`;
  // .91 and the near-lossless .81 are lossy.
  const names = [...Deno.readDirSync(folder)].map((e) => e.name)
    .filter((name) => !/\.91\.|JLSN/.test(name));
  assert.equal(names.length, 9);
  for (const name of names) {
    const pixels = await decodePixels(readWhole(`${folder}/${name}`));
    let sum = 0;
    for (const value of pixels) sum += value;
    assert.equal(sum, 40028413, name);
    assert.equal(digest(pixels), "1add6ede29758c6f", name);
  }
});

realCtTest("nema_ct1 .70: the last pixel is −2000, not 0", async (ct) => {
  const pixels = await decodePixels(readWhole(`${ct}/dicom/nema_ct1/CT1_JPLL.70.dcm`));
  assert.equal(pixels.at(-1), -2000);
});

realCtTest(
  "padding of −3024 HU is clamped at −1024 although the tag names another value",
  async (ct) => {
    const volume = await loadSeries([`${ct}/dicom/nema_ct1/CT1_J2KR.90.dcm`], {
      derived: true,
    });
    assert.equal(volume.hu[0], -1024);
    assert.equal(volume.hu.reduce((low, hu) => Math.min(low, hu), 0), -1024);
  },
);

realCtTest("a real slice without Modality tag is read; a real localizer is rejected", (ct) => {
  const { header } = readWhole(`${ct}/dicom/lungmask/0.dcm`);
  assert.equal(header.modality, "");
  assert.equal(rejection(header), null);
  assert.equal(
    rejection(readWhole(`${ct}/dicom/localizer/ami_topogram_j2k.dcm`).header),
    "a localizer",
  );
});

Deno.test("signed and unsigned pixels, slope and intercept, clamp at −1024", async () => {
  const signed = new Int16Array(400).fill(-2000), unsigned = new Uint16Array(400).fill(3000);
  const volume = await load({
    a: ctBytes({ z: 0, pixels: signed }),
    b: ctBytes({ z: 2, pixels: unsigned }),
    c: ctBytes({
      z: 4,
      pixels: unsigned,
      changes: [[0x00281053, [0x00281053, "DS", "0.5"]], [0x00281052, [0x00281052, "DS", "-1000"]]],
    }),
  });
  assert.deepEqual([0, 400, 800].map((i) => volume.hu[i]), [-1024, 1976, 500]);
});

Deno.test("bits above BitsStored are an overlay, not the value", async () => {
  const pixels = new Uint16Array(400).fill(0xf000 | 1100);
  const stored = ctBytes({
    pixels,
    changes: [[0x00280101, [0x00280101, "US", 12]], [0x00280102, [0x00280102, "US", 11]]],
  });
  assert.equal((await load({ a: stored })).hu[0], 76);
});

Deno.test("order is by position along the normal, not by file name or instance number", async () => {
  const files: Record<string, Uint8Array> = {};
  [7, 1, 5, 3].forEach((z, i) => files[`f${i}`] = ctBytes({ z, instance: 10 - z }));
  const volume = await load(files);
  assert.deepEqual(volume.slices.map((s) => s.z), [1, 3, 5, 7]);
  assert.deepEqual([0, 1, 2, 3].map((i) => volume.hu[i * 400]), [1, 3, 5, 7]);
});

Deno.test("a series whose normal points to the feet is ordered along it", async () => {
  const prone: SliceOptions["changes"] = [
    [0x00200037, [0x00200037, "DS", [-1, 0, 0, 0, 1, 0]]],
  ];
  const volume = await load({
    a: ctBytes({ z: 0, changes: prone }),
    b: ctBytes({ z: 4, changes: prone }),
  });
  assert.deepEqual(volume.slices.map((s) => s.position[2]), [4, 0]);
});

Deno.test("spacing is the difference of positions, never SliceThickness", async () => {
  // The files say SliceThickness 3.
  const volume = await load({ a: ctBytes({ z: 0 }), b: ctBytes({ z: 2 }), c: ctBytes({ z: 4 }) });
  assert.equal(volume.sliceSpacing, 2);
});

Deno.test("a gap is reported", async () => {
  const files: Record<string, Uint8Array> = {};
  [0, 2, 4, 10, 12].forEach((z) => files[`z${z}`] = ctBytes({ z }));
  const { notes, sliceSpacing } = await load(files);
  assert.equal(sliceSpacing, 2);
  assert.match(notes.join(), /gap of 6\.000 mm between z = 4\.000 and 10\.000/);
});

Deno.test("of two slices at one position the lower InstanceNumber is kept, and it is reported", async () => {
  const volume = await load({
    a: ctBytes({ z: 0, instance: 9, pixels: new Int16Array(400).fill(900) }),
    b: ctBytes({ z: 0, instance: 4, pixels: new Int16Array(400).fill(400) }),
    c: ctBytes({ z: 2, instance: 5 }),
  });
  assert.equal(volume.slices.length, 2);
  assert.equal(volume.hu[0], 400 - 1024);
  assert.match(volume.rejected[0].reason, /second slice at 0\.000 mm: instance 9, kept 4/);
  assert.match(volume.notes.join(), /duplicate position/);
});

Deno.test("a copy of a file under another name is one slice", async () => {
  const bytes = ctBytes({ z: 0 });
  const volume = await load({ a: bytes, b: bytes, c: ctBytes({ z: 2 }) });
  assert.equal(volume.slices.length, 2);
  assert.match(volume.rejected[0].reason, /a copy/);
});

Deno.test("of mixed sizes the largest consistent group is kept, and it is said", async () => {
  const volume = await load({
    a: ctBytes({ z: 0, size: 32 }),
    b: ctBytes({ z: 2 }),
    c: ctBytes({ z: 4 }),
    d: ctBytes({ z: 6, spacing: [2, 2] }),
  });
  assert.deepEqual([volume.slices.length, volume.rows], [2, 20]);
  assert.match(volume.notes.join("\n"), /32×32 pixels among 20×20/);
  assert.match(volume.notes.join("\n"), /pixel spacing 2\\2 mm among 1\\1 mm/);
  assert.equal(volume.rejected.length, 2);
});

Deno.test("CR, DX, enhanced multi-frame and other objects are rejected by what they are", () => {
  const sop = (uid: string, modality = "CT") =>
    reasonFor([[0x00080016, [0x00080016, "UI", uid]], [0x00080060, [0x00080060, "CS", modality]]]);
  assert.match(sop("1.2.840.10008.5.1.4.1.1.1", "CR")!, /\(CR\)/);
  assert.match(sop("1.2.840.10008.5.1.4.1.1.1.1", "DX")!, /\(DX\)/);
  assert.match(sop("1.2.840.10008.5.1.4.1.1.2.1")!, /enhanced multi-frame CT/);
  assert.match(sop("1.2.840.10008.5.1.4.1.1.7")!, /secondary capture/);
  assert.match(reasonFor([[0x00080060, [0x00080060, "CS", "MR"]]])!, /modality MR/);
  assert.match(reasonFor([[0x00280008, [0x00280008, "IS", "3"]]])!, /3 frames/);
});

Deno.test("a missing Modality tag is no reason to reject a CT image", () => {
  assert.equal(reasonFor([[0x00080060, null]]), null);
});

Deno.test("localizers, derived, secondary and reformatted images are rejected", () => {
  const type = (value: string) => reasonFor([[0x00080008, [0x00080008, "CS", value]]]);
  assert.equal(type("ORIGINAL\\PRIMARY\\AXIAL"), null);
  assert.equal(type("ORIGINAL\\PRIMARY\\LOCALIZER"), "a localizer");
  assert.match(type("DERIVED\\PRIMARY\\AXIAL")!, /derived/);
  assert.match(type("ORIGINAL\\SECONDARY\\AXIAL")!, /secondary/);
  const coronal = [0x00200037, "DS", [1, 0, 0, 0, 0, -1]] as const;
  assert.equal(reasonFor([[0x00200037, coronal]]), "not axial");
});

Deno.test("DERIVED and SECONDARY: taken with --derived, whether compressed or not; projections never", () => {
  for (const name of ["signed.jpegls.80", "signed.explicit"]) {
    const { header } = readWhole(`${FIXTURES}/dicom/${name}.dcm`);
    for (const type of [["DERIVED", "PRIMARY", "AXIAL"], ["ORIGINAL", "SECONDARY", "AXIAL"]]) {
      const slice = { ...header, imageType: type };
      assert.match(rejection(slice)!, /: --derived takes it$/, name);
      assert.equal(rejection(slice, true), null, name);
      assert.match(rejection({ ...slice, pixelSpacing: null }, true)!, /PixelSpacing/);
    }
    const mip = { ...header, imageType: ["DERIVED", "SECONDARY", "AXIAL", "MIP"] };
    assert.match(rejection(mip, true)!, /a projection/);
  }
});

Deno.test("JPEG XL and unknown transfer syntaxes are refused by name, with what to do", () => {
  const { header } = readWhole(`${FIXTURES}/dicom/signed.explicit.dcm`);
  const why = (uid: string) => rejection({ ...header, transferSyntax: uid })!;
  assert.match(why("1.2.840.10008.1.2.4.110"), /JPEG XL lossless.*not supported: decompress it/);
  assert.match(why("1.2.840.10008.1.2.4.112"), /JPEG XL/);
  assert.match(why("1.2.840.10008.1.2.4.51"), /12 bit.*dcmdjpeg/);
});

sharedCase(
  "cases/data/htj2k: a codestream that is none is refused by file and reason",
  "htj2k",
  (input) => {
    const path = `${input}/000.dcm`;
    return assert.rejects(
      async () => await decodePixels(readWhole(path)),
      (error: Error) =>
        error instanceof InputError && /000\.dcm" \(HTJ2K lossless\)/.test(error.message),
    );
  },
);

sharedCase("cases/data/secondary_ct: taken with --derived", "secondary_ct", async (input) => {
  const files = scanFolder(input).series;
  assert.equal(files.length, 0);
  const [series] = scanFolder(input, undefined, true).series;
  const volume = await loadSeries(series.files, { derived: true });
  assert.equal(volume.slices.length, 24);
});

Deno.test("missing geometry is a reason to reject", () => {
  assert.match(reasonFor([[0x00200032, null]])!, /ImagePositionPatient/);
  assert.match(reasonFor([[0x00200037, null]])!, /ImageOrientationPatient/);
  assert.match(reasonFor([[0x00280030, null]])!, /PixelSpacing/);
});

Deno.test("series are found by UID in any layout, with and without .dcm, beside other files", () => {
  const folder = folderOf({
    "LIDC-IDRI-0001/1.2.3/4.5.6/a.dcm": ctBytes({ z: 0, series: "one" }),
    "deep/er/still/0001": ctBytes({ z: 2, series: "one" }),
    "b.IMA": ctBytes({ z: 4, series: "two", patient: "P2" }),
    "cr.dcm": ctBytes({ changes: [[0x00080016, [0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.1"]]] }),
    "notes.txt": "hello",
    "cut.dcm": ctBytes().subarray(0, 300),
    "069.xml": "<IdriReadMessage/>",
    "metadata.csv": "Series UID\n",
  });
  const found = scanFolder(folder);
  assert.deepEqual(found.series.map((s) => [s.patientId, s.files.length]), [["P1", 2], ["P2", 1]]);
  assert.equal(found.others.length, 1);
  assert.deepEqual([found.xmlFiles.length, found.csvFiles.length], [1, 1]);
  assert.deepEqual(found.rejected.map((r) => r.file.slice(folder.length + 1)).sort(), [
    "cr.dcm",
    "cut.dcm",
  ]);
  for (const { reason } of found.rejected) assert.ok(reason.length > 10);
});

Deno.test("a header longer than the first read is read on", () => {
  const long = ctBytes({ changes: [[0x00204000, [0x00204000, "OB", new Uint8Array(100_000)]]] });
  const folder = folderOf({ "a.dcm": long });
  assert.equal(scanFolder(folder).series.length, 1);
});

Deno.test("a slice whose pixels are cut short is rejected, the rest is read", async () => {
  const whole = ctBytes({ z: 2 });
  const volume = await load({
    a: ctBytes({ z: 0 }),
    b: whole.subarray(0, whole.length - 10),
    c: ctBytes({ z: 4 }),
  });
  assert.deepEqual(volume.slices.map((s) => s.z), [0, 4]);
  assert.match(volume.rejected[0].reason, /truncated/);
});
