import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { spacingOf } from "../../lib/data/geometry.ts";
import { parseNifti, readNifti } from "../../lib/data/nifti.ts";
import { InputError } from "../../lib/errors.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { FIXTURES } from "./shared_ct.ts";

const folder = `${FIXTURES}/nifti`;

for (const name of ["ras.nii.gz", "lps.nii", "permuted_f4.nii.gz"]) {
  Deno.test(`NIfTI ${name}, written by nibabel, is turned as DICOM slices lie`, async () => {
    const wanted = await readNpy(`${folder}/volume.npy`);
    const got = await readNifti(`${folder}/${name}`);
    assert.deepEqual(got.size.toReversed(), wanted.shape);
    assert.deepEqual(got.values, wanted.data);
    const round = (mm: number) => Math.round(mm * 1e4) / 1e4;
    assert.deepEqual(spacingOf(got).map(round), [0.7, 0.8, 2.5]);
    assert.deepEqual(got.origin.map(round), [10, 20, -30]);
  });
}

Deno.test("NIfTI: damage is an InputError naming the file", async () => {
  const good = Deno.readFileSync(`${folder}/lps.nii`);
  const huge = good.slice();
  new DataView(huge.buffer).setInt16(42, 4097, true); // dim[1]
  const cases: [string, Uint8Array][] = [
    ["empty", new Uint8Array()],
    ["cut", good.subarray(0, good.length - 8)],
    ["huge", huge],
    ["bad gzip", new Uint8Array([0x1f, 0x8b, 8, 0, 1, 2, 3])],
    ["gzip of nothing", gzipSync(new Uint8Array(10))],
    ["gzip bomb", gzipSync(new Uint8Array(2 ** 24))],
  ];
  for (const [name, bytes] of cases) {
    await assert.rejects(
      () => parseNifti(bytes, `${name}.nii`),
      (error: Error) => error instanceof InputError && error.message.includes(`${name}.nii`),
      name,
    );
  }
});

Deno.test("NIfTI: bytes behind its gzip data are told as such", async () => {
  const packed = gzipSync(Deno.readFileSync(`${folder}/lps.nii`));
  const bytes = new Uint8Array(packed.length + 100).fill(7);
  bytes.set(packed);
  await assert.rejects(
    () => parseNifti(bytes, "x.nii.gz"),
    /no compressed data lie behind it: gunzip/,
  );
});
