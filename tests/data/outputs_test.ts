/** Files of a generated image: masks, spacing, values, as other programs read them. */

import assert from "node:assert/strict";
import { join } from "node:path";
import dicomParser from "dicom-parser";
import { spacingOf } from "../../lib/data/geometry.ts";
import { parseNifti } from "../../lib/data/nifti.ts";
import { writeImage } from "../../lib/diffusion/outputs.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { decodePng } from "../../lib/io/png.ts";

const [height, width] = [10, 20];
const hu = Float32Array.from({ length: 200 }, (_, i) => -1350 + 7.4 * i);
const lungMask = Float32Array.from({ length: 200 }, (_, i) => i % 20 > 4 && i % 20 < 15 ? 1 : 0);

async function written(
  classValue: number,
  noduleMask: Float32Array | undefined,
  lungs = lungMask,
): Promise<
  {
    read: (name: string) => Promise<Uint8Array>;
    plane: (kind: string) => Promise<number[]>;
    names: string[];
  }
> {
  const out = await Deno.makeTempDir();
  const job = { prefix: "GEN1-0", number: 4, classValue, source: "A_slice_1", mask: 0 };
  await writeImage(job as unknown as Parameters<typeof writeImage>[0], hu, lungs, noduleMask, {
    ...{ out, height, width, fieldMm: 300, seed: 5, run: "run" },
    formats: ["npy", "png16", "nifti", "dicom"],
    window: { level: -600, width: 1500 },
  });
  const files = new Map<string, Uint8Array>(), planes = new Map<string, number[]>();
  for (const { name } of Deno.readDirSync(out)) {
    files.set(name, await Deno.readFile(join(out, name)));
    const kind = /^GEN1-0_(\w+)_4\.npy$/.exec(name)?.[1];
    if (kind) planes.set(kind, Array.from((await readNpy(join(out, name))).data as Uint8Array));
  }
  await Deno.remove(out, { recursive: true });
  return {
    read: (name) => Promise.resolve(files.get(name)!),
    plane: (kind) => Promise.resolve(planes.get(kind)!),
    names: [...files.keys()].sort(),
  };
}

Deno.test("--field-mm is the width of the image: NIfTI and DICOM say mm a pixel", async () => {
  const { read, names } = await written(1, undefined);
  assert.deepEqual(names, [
    ...["GEN1-0_lung_mask_4.npy", "GEN1-0_nodule_mask_4.npy", "GEN1-0_slice_4.dcm"],
    ...["GEN1-0_slice_4.nii.gz", "GEN1-0_slice_4.npy", "GEN1-0_slice_4.png"],
  ]);
  const nifti = await parseNifti(await read("GEN1-0_slice_4.nii.gz"), "a.nii.gz");
  assert.deepEqual(spacingOf(nifti), [15, 15, 1]);
  const dicom = dicomParser.parseDicom(await read("GEN1-0_slice_4.dcm"));
  assert.equal(dicom.string("x00280030"), "15\\15");
  assert.equal(dicom.string("x00180050"), "1");
  assert.deepEqual([dicom.uint16("x00280010"), dicom.uint16("x00280011")], [height, width]);
  assert.deepEqual([...nifti.values], [...hu].map(Math.round));
});

Deno.test("PNG of 16 bits holds HU + 1024, and no less than 0", async () => {
  const { read } = await written(1, undefined);
  const png = decodePng(await read("GEN1-0_slice_4.png"), "a.png");
  assert.deepEqual([png.width, png.height], [width, height]);
  assert.deepEqual([...png.data], [...hu].map((v) => Math.max(0, Math.round(v) + 1024)));
});

Deno.test("the nodule mask: as asked for; the lungs where only the class says so; else nothing", async () => {
  const lungs = Array.from(lungMask);
  const nodule = Float32Array.from({ length: 200 }, (_, i) => i === 47 ? 1 : 0);
  const planes = async (c: number, mask?: Float32Array) => {
    const { plane } = await written(c, mask);
    assert.deepEqual(await plane("lung_mask"), lungs);
    return await plane("nodule_mask");
  };
  assert.deepEqual(await planes(1, nodule), Array.from(nodule));
  assert.deepEqual(await planes(0, nodule), Array.from(nodule));
  assert.deepEqual(await planes(1), lungs);
  assert.deepEqual(await planes(0.51), lungs);
  assert.ok((await planes(0.5)).every((v) => v === 0));
  assert.ok((await planes(0)).every((v) => v === 0));
  const { plane } = await written(1, undefined, new Float32Array(200));
  assert.ok((await plane("nodule_mask")).every((v) => v === 1), "no lung: still a positive");
});
