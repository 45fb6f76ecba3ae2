/**
 * One scan as DICOM in every way that its slices can be stored: the same slices, masks and labels come
 * out. Values are a formula of the place in the patient, so that no code of the project makes both.
 */

import assert from "node:assert/strict";
import { encodeCtFile, uidOf } from "../../lib/data/dicom_write/ct_file.ts";
import { encodeLidcXml } from "../../lib/data/dicom_write/lidc_file.ts";
import { outlines } from "../../lib/data/dicom_write/outline.ts";
import type { Vec3, Volume } from "../../lib/data/geometry.ts";
import { prepare } from "../../lib/data/prepare/prepare.ts";
import { DEFAULT_SETTINGS, type SeriesRecord } from "../../lib/data/prepare/types.ts";
import { encodeNpy } from "../../lib/io/npy.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { folderOf, newFolder } from "./ct_maker.ts";
import { nifti } from "./volume_writers.ts";

/** Columns, rows, slices and mm of the axial grid; nothing is square. */
const SIZE: Vec3 = [44, 36, 5], MM: Vec3 = [7, 8, 9], ORIGIN: Vec3 = [-150, -140, -300];

const inLung = ([x, y]: Vec3) =>
  ((x + 70) / 55) ** 2 + ((y + 35) / 75) ** 2 < 1 ||
  ((x - 75) / 45) ** 2 + ((y + 30) / 65) ** 2 < 1;
/** A mask of the lungs: no two slices of it are alike. */
const lungOf = (p: Vec3) => inLung(p) && p[1] < p[2] + 290 ? (p[0] > 0 ? 2 : 1) : 0;
const inNodule = ([x, y, z]: Vec3) => Math.hypot(x + 80, y + 30, 2 * (z + 276)) < 30;
const inBody = ([x, y]: Vec3) => (x / 145) ** 2 + (y / 135) ** 2 < 1;
/** HU at a place: no two planes, rows or halves are alike. */
const huAt = (p: Vec3) =>
  !inBody(p)
    ? -1000
    : inNodule(p)
    ? 60
    : inLung(p)
    ? -850 + Math.round(p[0] / 10 + p[1] / 5 + (p[2] + 300))
    : 40 + Math.round(p[1] / 10);

interface Stored {
  size: Vec3;
  axes: [Vec3, Vec3, Vec3];
  origin: Vec3;
}
/** The axial grid stored with columns and rows exchanged and any axis reversed. */
function storedAs(isTransposed: boolean, flips: readonly boolean[]): Stored {
  const order = isTransposed ? [1, 0, 2] : [0, 1, 2], origin: Vec3 = [...ORIGIN];
  const axes = order.map((old, n): Vec3 => {
    const axis: Vec3 = [0, 0, 0];
    axis[old] = flips[n] ? -MM[old] : MM[old];
    if (flips[n]) origin[old] += MM[old] * (SIZE[old] - 1);
    return axis;
  }) as Stored["axes"];
  return { size: order.map((old) => SIZE[old]) as Vec3, axes, origin };
}
const AXIAL = storedAs(false, [false, false, false]);

function valuesOf({ size, axes, origin }: Stored, of: (p: Vec3) => number): Int16Array {
  const out = new Int16Array(size[0] * size[1] * size[2]);
  for (let i = 0; i < out.length; i++) {
    const index = [
      i % size[0],
      Math.floor(i / size[0]) % size[1],
      Math.floor(i / size[0] / size[1]),
    ];
    out[i] = of(origin.map((v, n) => v + index.reduce((a, c, m) => a + c * axes[m][n], 0)) as Vec3);
  }
  return out;
}
const plane = (values: Int16Array, { size }: Stored, k: number) =>
  values.subarray(k * size[0] * size[1], (k + 1) * size[0] * size[1]);

/** As DICOM files in a random order of names and instances, with one reader's outlines. */
function dicomOf(grid: Stored, name: string): Record<string, Uint8Array | string> {
  const { size: [columns, rows, count], axes } = grid;
  const hu = valuesOf(grid, huAt), nodule = valuesOf(grid, (p) => inNodule(p) ? 1 : 0);
  const direction = (n: 0 | 1) => axes[n].map((v) => v / Math.hypot(...axes[n]));
  const files: Record<string, Uint8Array | string> = {}, rois = [];
  for (let k = 0; k < count; k++) {
    const position = grid.origin.map((v, n) => v + k * axes[2][n]) as Vec3;
    const sopInstance = uidOf(`${name} ${k}`);
    files[`d/${(k * 3) % count}`] = encodeCtFile({
      patientId: "P1",
      studyUid: uidOf("study"),
      seriesUid: uidOf("series"),
      frameOfReferenceUid: uidOf("frame"),
      sopInstance,
      instanceNumber: (k * 2) % count,
      rows,
      columns,
      position,
      pixelSpacing: [Math.hypot(...axes[1]), Math.hypot(...axes[0])],
      sliceThickness: 1,
      pixels: plane(hu, grid, k).map((v) => v + 1024),
      intercept: -1024,
      changes: new Map([[0x00200037, [
        0x00200037,
        "DS",
        [...direction(0), ...direction(1)].join("\\"),
      ]]]),
    });
    const mask = Uint8Array.from(plane(nodule, grid, k));
    for (const points of outlines(mask, rows, columns)) {
      rois.push({ sopInstance, z: position[2], points });
    }
  }
  const ratings = {
    ...{ subtlety: 3, internalStructure: 1, calcification: 6, sphericity: 3, margin: 3 },
    ...{ lobulation: 3, spiculation: 3, texture: 3, malignancy: 3 },
  };
  files["d/x.xml"] = encodeLidcXml(uidOf("study"), uidOf("series"), [
    { nodules: [{ id: "1", characteristics: ratings, rois }], nonNodules: [] },
  ]);
  return files;
}

async function run(
  files: Record<string, Uint8Array | string>,
  kind: "dicom" | "nifti",
  masks?: Record<string, Uint8Array>,
  settings: Partial<typeof DEFAULT_SETTINGS> = {},
) {
  const out = newFolder();
  const { notes } = await prepare({
    input: folderOf(files),
    kind,
    out,
    lungMasks: masks && folderOf(masks),
    settings: { ...DEFAULT_SETTINGS, minLung: 0, ...settings },
    seed: 0,
    val: 0,
    test: 0,
    jobs: 1,
    contactSheet: 0,
  });
  const [record] = JSON.parse(Deno.readTextFileSync(`${out}/manifest.json`))
    .series as SeriesRecord[];
  const read = async (kind: string) =>
    await Promise.all(record.slices.map(async ({ output }) => {
      const { data, shape } = await readNpy(`${out}/${output!.replace("_slice_", `_${kind}_`)}`);
      return { shape, data: [...data].map(Number) };
    }));
  return {
    record,
    notes,
    ct: await read("slice"),
    nodules: await read("nodule_mask"),
    combined: await read("combined_mask"),
  };
}

const wanted = (of: (p: Vec3) => number) => {
  const values = valuesOf(AXIAL, of);
  return Array.from({ length: SIZE[2] }, (_, k) => ({
    shape: [SIZE[1], SIZE[0]],
    data: [...plane(values, AXIAL, k)],
  }));
};
const CT = wanted(huAt), NODULES = wanted((p) => inNodule(p) ? 1 : 0);
/** In patient coordinates left is +x. */
const LUNGS = wanted((p) => inNodule(p) ? 255 : lungOf(p));

const volume = (grid: Stored, of: (p: Vec3) => number): Volume => ({
  ...grid,
  values: valuesOf(grid, of),
});

for (let n = 0; n < 16; n++) {
  const flips = [n & 1, n & 2, n & 4].map(Boolean), isTransposed = (n & 8) > 0;
  const how = ["columns", "rows", "slices"].filter((_, i) => flips[i]).join(", ") || "nothing";
  Deno.test(`DICOM with ${how} reversed${isTransposed ? ", transposed" : ""}: slices, nodules and lungs are the same`, async () => {
    const grid = storedAs(isTransposed, flips);
    // Masks in another orientation than the image's: the affine says how they lie.
    const mask = nifti(volume(storedAs(!isTransposed, [true, false, true]), lungOf));
    const { record, ct, nodules, combined } = await run(
      dicomOf(grid, String(n)),
      "dicom",
      { "P1.nii": mask },
    );
    assert.deepEqual(ct, CT);
    assert.deepEqual(nodules, NODULES);
    assert.deepEqual(combined, LUNGS);
    assert.deepEqual(record.slices.map((s) => s.label), [0, 0, 1, 1, 1]);
    assert.deepEqual(record.pixelSpacing, [8, 7]);
    record.slices.forEach((s, k) => assert.ok(Math.abs(s.z - (-300 + 9 * k)) < 1e-6));
    assert.equal(
      record.notes.some((note) => /stored another way/.test(note)),
      n % 8 !== 0 && n !== 4 || isTransposed,
    );
    // An array has rows and columns as the files, slices from the feet up.
    const rising = storedAs(isTransposed, [flips[0], flips[1], false]);
    const array = encodeNpy(rising.size.toReversed(), valuesOf(rising, lungOf));
    const byArray = await run(dicomOf(grid, String(n)), "dicom", { "P1.npy": array });
    assert.deepEqual(byArray.combined, LUNGS);
  });
}

Deno.test("DICOM and NIfTI of one scan give the same files", async () => {
  const grid = storedAs(true, [true, false, true]);
  const files = {
    "imagesTr/a.nii": nifti(volume(grid, huAt)),
    "labelsTr/a.nii": nifti(volume(AXIAL, (p) => inNodule(p) ? 1 : 0)),
  };
  const a = await run(files, "nifti"), b = await run(dicomOf(AXIAL, "0"), "dicom");
  assert.deepEqual([a.ct, a.nodules, a.combined], [b.ct, b.nodules, b.combined]);
});

Deno.test("a mask that lies elsewhere is refused, naming how; --mask-by-index takes it as it stands", async () => {
  const files = dicomOf(AXIAL, "0");
  const identity: Stored = { ...AXIAL, axes: [[1, 0, 0], [0, 1, 0], [0, 0, 1]], origin: [0, 0, 0] };
  const mask = { ...volume(AXIAL, lungOf), axes: identity.axes, origin: identity.origin };
  await assert.rejects(
    run(files, "dicom", { "P1.nii": nifti(mask) }),
    /voxels of 1 × 1 × 1 mm/, // the beginning may be cut: the path is as long as it is
  );
  const far = { ...volume(AXIAL, lungOf), origin: [350, -140, -300] as Vec3 };
  await assert.rejects(
    run(files, "dicom", { "P1.nii": nifti(far) }),
    /500\.0 mm apart.*--mask-by-index/,
  );
  for (const given of [mask, far]) {
    const byIndex = await run(files, "dicom", { "P1.nii": nifti(given) }, { maskByIndex: true });
    assert.deepEqual(byIndex.combined, LUNGS);
  }
});

Deno.test("an array that fits the image only when it is turned over is refused", async () => {
  const grid = storedAs(false, [false, true, false]);
  const array = encodeNpy(SIZE.toReversed(), valuesOf(grid, lungOf));
  await assert.rejects(
    run(dicomOf(AXIAL, "0"), "dicom", { "P1.npy": array }),
    /with its rows reversed/,
  );
});

Deno.test("a nodule's mask that lies elsewhere is refused", async () => {
  const nodule = volume(AXIAL, (p) => inNodule(p) ? 1 : 0);
  const moved = { ...nodule, origin: [-150, -140, -295.4] as Vec3 };
  const files = (mask: Volume) => ({
    "imagesTr/a.nii": nifti(volume(AXIAL, huAt)),
    "labelsTr/a.nii": nifti(mask),
  });
  await assert.rejects(run(files(moved), "nifti"), /does not lie where .* 4\.6 mm apart/);
  const near = { ...nodule, origin: [-150, -140, -295.6] as Vec3 };
  assert.deepEqual((await run(files(near), "nifti")).nodules, NODULES);
});

Deno.test("nodule masks that are all empty are told, an empty lung mask is refused", async () => {
  const files = {
    "imagesTr/a.nii": nifti(volume(AXIAL, huAt)),
    "labelsTr/a.nii": nifti(volume(AXIAL, () => 0)),
  };
  const { record, notes } = await run(files, "nifti");
  assert.deepEqual(record.slices.map((s) => s.label), [0, 0, 0, 0, 0]);
  assert.match(notes.join(), /no slice has a nodule of 10 pixels or more: 0 nodules in 1 series/);
  const empty = { "a.nii": nifti(volume(AXIAL, () => 0)) };
  await assert.rejects(run(files, "nifti", empty), /lung mask is empty/);
});

Deno.test("values that are no HU are refused with their range; --any-values takes them", async () => {
  const of = (change: (hu: number) => number) => ({
    "imagesTr/a.nii": nifti(volume(AXIAL, (p) => change(huAt(p)))),
    "labelsTr/a.nii": nifti(volume(AXIAL, (p) => inNodule(p) ? 1 : 0)),
  });
  const wrong: [(hu: number) => number, RegExp][] = [
    [(hu) => hu + 1024, /a\.nii" as HU: the values are 24 … 1084: none/],
    [(hu) => Math.round((hu + 1000) / 5), /the values are 0 … 2\d\d: none/],
    [(hu) => hu === -1000 ? -2000 : hu + 1024, /nearly none is lung or air.*but padding/],
    [(hu) => hu - 1024, /nearly none is tissue/],
    [() => 40, /every value is 40/],
  ];
  for (const [change, message] of wrong) {
    await assert.rejects(run(of(change), "nifti"), message);
    const taken = await run(of(change), "nifti", undefined, { anyValues: true });
    assert.equal(taken.record.slices.length, SIZE[2]);
  }
});
