/** Generated slices as NIfTI and DICOM: read back by our own readers. */

import assert from "node:assert/strict";
import dicomParser from "dicom-parser";
import { encodeSyntheticFile } from "../../lib/data/dicom_write/synthetic_file.ts";
import { spacingOf } from "../../lib/data/geometry.ts";
import { parseNifti } from "../../lib/data/nifti.ts";
import { encodeNifti } from "../../lib/data/nifti_write.ts";

const [rows, columns] = [5, 7];
const values = new Float32Array(rows * columns).map((_, i) => -1350 + 40.25 * i);
const slice = { rows, columns, values, pixelSpacing: [0.75, 0.5] as const, thickness: 2 };

Deno.test("a slice as NIfTI lies as our reader expects an axial slice", async () => {
  const bytes = encodeNifti({ ...slice, description: "synthetic" });
  const read = await parseNifti(bytes, "slice.nii.gz");
  assert.deepEqual(read.size, [columns, rows, 1]);
  assert.deepEqual([...read.values], [...values].map(Math.round));
  assert.deepEqual(spacingOf(read), [0.5, 0.75, 2]);
  assert.deepEqual(read.origin, [-1.5, -1.5, 0]);
  assert.deepEqual(encodeNifti({ ...slice, description: "synthetic" }), bytes);
});

Deno.test("a slice as DICOM: values, the synthetic mark, no patient, UIDs of its own", () => {
  const file = {
    ...slice,
    name: "GEN1-0_slice_0",
    run: "run",
    description: "nodule",
    provenance: "0123abcd".repeat(8),
    window: { level: -600, width: 1500 },
  };
  const bytes = encodeSyntheticFile(file);
  const data = dicomParser.parseDicom(bytes);
  const pixels = data.elements.x7fe00010;
  const view = new DataView(bytes.buffer, pixels.dataOffset, pixels.length);
  const stored = Array.from(values, (_, i) => view.getInt16(2 * i, true));
  assert.deepEqual(stored, [...values].map(Math.round));
  assert.equal(data.string("x00281052"), "0");
  assert.match(data.string("x00080008")!, /^DERIVED\\SECONDARY/);
  assert.equal(data.string("x0008001c"), "YES");
  assert.match(data.string("x0008103e")!, /^SYNTHETIC - NOT A PATIENT/);
  assert.match(data.string("x00204000")!, /not for diagnosis/);
  assert.equal(data.string("x00100010"), "Synthetic^Image");
  assert.match(data.string("x00100020")!, /^SYNTHETIC-[0-9a-f]{12}$/);
  assert.equal(data.string("x00280301"), "NO");
  const [equipment, ...others] = data.elements.x0018a001.items!.map((item) => item.dataSet!);
  assert.equal(others.length, 0);
  assert.match(equipment.string("x0018a003")!, new RegExp(`: ${file.provenance}\\. Run: run\\.$`));
  const purpose = equipment.elements.x0040a170.items![0].dataSet!;
  assert.equal(purpose.string("x00080100"), "109102");
  const uids = (d: dicomParser.DataSet) =>
    ["x00080018", "x0020000d", "x0020000e", "x00200052"].map((tag) => d.string(tag)!);
  assert.ok(uids(data).every((u) => /^2\.25\.[1-9]\d{0,38}$/.test(u)));
  assert.equal(new Set(uids(data)).size, 4);
  assert.deepEqual(encodeSyntheticFile(file), bytes);
  const other = dicomParser.parseDicom(encodeSyntheticFile({ ...file, name: "GEN1-0_slice_1" }));
  const [instance, study, series] = uids(other);
  assert.notEqual(instance, uids(data)[0]);
  assert.equal(study, uids(data)[1]);
  assert.notEqual(series, uids(data)[2]);
});
