/** Enhanced multi-frame CT against pydicom; DICOM without preamble, and compressed by gzip. */

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { readHeader } from "../../lib/data/dicom/read_header.ts";
import { scanFolder } from "../../lib/data/dicom/scan.ts";
import { loadSeries } from "../../lib/data/dicom/series.ts";
import { encodeElements } from "../../lib/data/dicom_write/element.ts";
import { InputError } from "../../lib/errors.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { prepare } from "../../lib/data/prepare/prepare.ts";
import { DEFAULT_SETTINGS } from "../../lib/data/prepare/types.ts";
import { ctBytes, folderOf, newFolder } from "./ct_maker.ts";
import { FIXTURES, sharedCase } from "./shared_ct.ts";

const folder = `${FIXTURES}/objects`;

for (const name of ["enhanced", "enhanced_rle"]) {
  Deno.test(`${name}: frames in any order, shared and per-frame groups, as pydicom reads them`, async () => {
    const input = folderOf({ "a.dcm": Deno.readFileSync(`${folder}/${name}.dcm`) });
    const { series, rejected } = scanFolder(input);
    assert.deepEqual(rejected, []);
    assert.equal(series.length, 1);
    const volume = await loadSeries(series[0].files);
    assert.deepEqual(volume.hu, (await readNpy(`${folder}/${name}.npy`)).data);
    assert.deepEqual(volume.slices.map((s) => s.z), [40, 42.5, 45, 47.5, 50]);
    assert.deepEqual(volume.pixelSpacing, [0.8, 0.7]);
    assert.deepEqual(volume.slices.map((s) => s.frame), [1, 3, 0, 4, 2]);
  });
}

Deno.test("an enhanced CT goes from its file to training slices", async () => {
  const out = newFolder();
  const { totals } = await prepare({
    input: folderOf({ "a.dcm": Deno.readFileSync(`${folder}/enhanced.dcm`) }),
    kind: "dicom",
    out,
    settings: { ...DEFAULT_SETTINGS, minLung: 0, anyValues: true, unannotated: "negative" },
    seed: 0,
    val: 0,
    test: 0,
    jobs: 1,
    contactSheet: 0,
  });
  assert.equal(totals.written, 5);
  const wanted = (await readNpy(`${folder}/enhanced.npy`)).data;
  const got = await readNpy(`${out}/slices/OBJECTS-1/scan1/OBJECTS-1_slice_003.npy`);
  assert.deepEqual([...got.data], [...wanted.slice(3 * 17 * 19, 4 * 17 * 19)]);
});

Deno.test("a cut enhanced CT, or two of one series: refused by name, or apart", async () => {
  const bytes = Deno.readFileSync(`${folder}/enhanced.dcm`);
  const cut = folderOf({ "a.dcm": bytes.subarray(0, bytes.length - 200) });
  await assert.rejects(
    loadSeries(scanFolder(cut).series[0].files),
    (error: Error) => error instanceof InputError && /a\.dcm.*truncated/.test(error.message),
  );
  const two = scanFolder(folderOf({ "a.dcm": bytes, "b.dcm": bytes }));
  assert.deepEqual(two.series.map((s) => [s.part, s.files.length]), [[1, 1], [2, 1]]);
});

/** Where the data set begins: behind preamble, marker and the file meta group. */
const afterMeta = (bytes: Uint8Array) =>
  144 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(140, true);

Deno.test("DICOM without preamble, with and without file meta group, is the same slice", async () => {
  const whole = ctBytes({ z: 7 });
  const { hu } = await loadSeries([`${folderOf({ a: whole })}/a`]);
  for (const bytes of [whole.subarray(132), whole.subarray(afterMeta(whole))]) {
    const { series, others } = scanFolder(folderOf({ "a.dcm": bytes }));
    assert.deepEqual([series.length, others.length], [1, 0]);
    assert.deepEqual((await loadSeries(series[0].files)).hu, hu);
  }
});

Deno.test("files that only begin like DICOM are other files", () => {
  const element = encodeElements([[0x00080005, "CS", "ISO_IR 100"]]);
  const found = scanFolder(folderOf({
    "a.bin": element,
    "b.bin": new Uint8Array([8, 0, 5, 0, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    "c.bin": new Uint8Array(1000).fill(8),
    "d.txt": "plain text of a reader",
  }));
  assert.deepEqual([found.others.length, found.rejected.length], [4, 0]);
});

Deno.test(".dcm.gz is the slice it holds; a bomb or damage is refused, other gzip files are none", async () => {
  const whole = ctBytes({ z: 7 }), packed = gzipSync(whole);
  const { hu } = await loadSeries([`${folderOf({ a: whole })}/a`]);
  const { series } = scanFolder(folderOf({ "a.dcm.gz": packed }));
  assert.deepEqual((await loadSeries(series[0].files)).hu, hu);
  const huge = new Uint8Array(2 ** 29);
  huge.set(whole);
  const bad = scanFolder(folderOf({
    "bomb.dcm.gz": gzipSync(huge, { level: 1 }),
    "cut.dcm.gz": packed.subarray(0, packed.length - 20),
    "b.nii.gz": gzipSync(new Uint8Array(500)),
  }));
  assert.deepEqual(bad.rejected.map(({ file }) => file.replace(/.*\//, "")).sort(), [
    "bomb.dcm.gz",
    "cut.dcm.gz",
  ]);
  assert.equal(bad.others.length, 1);
});

Deno.test("a header that is longer than the first piece of a gzip file is read", () => {
  const long = ctBytes({ changes: [[0x00204000, [0x00204000, "LT", "x".repeat(40_000)]]] });
  assert.ok(readHeader(`${folderOf({ "a.dcm.gz": gzipSync(long) })}/a.dcm.gz`));
});

sharedCase("cases/data/no_preamble: read as a scan of 24 slices", "no_preamble", async (input) => {
  const { series } = scanFolder(input);
  assert.deepEqual(series.map((s) => s.files.length), [24]);
  assert.equal((await loadSeries(series[0].files)).slices.length, 24);
});
