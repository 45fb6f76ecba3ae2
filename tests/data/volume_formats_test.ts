/** One scan in every format of volumes, turned in every way, becomes the same training slices. */

import assert from "node:assert/strict";
import {
  gridDifference,
  type Turn,
  turnGeometry,
  turnValues,
  type Vec3,
  type Volume,
} from "../../lib/data/geometry.ts";
import { openNpyDataset } from "../../lib/data/npy_dataset.ts";
import { phantomPatient } from "../../lib/data/phantom.ts";
import { prepare, type PrepareOptions } from "../../lib/data/prepare/prepare.ts";
import { DEFAULT_SETTINGS, type SeriesRecord } from "../../lib/data/prepare/types.ts";
import { sortVolumes } from "../../lib/data/prepare/volume_names.ts";
import { readVolume } from "../../lib/data/volume.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";
import { folderOf, newFolder } from "./ct_maker.ts";
import { sharedCase } from "./shared_ct.ts";
import { FORMATS, metaImage } from "./volume_writers.ts";

const SIZE = 64, SLICES = 6, MM = 350 / SIZE;
const planes = Array.from(
  { length: SLICES },
  (_, i) => phantomPatient(3, 1).slice(155 + 7 * i, SIZE, MM),
);
const volumeOf = (of: (plane: typeof planes[0]) => ArrayLike<number>): Volume => ({
  size: [SIZE, SIZE, SLICES],
  axes: [[MM, 0, 0], [0, MM, 0], [0, 0, 7]],
  origin: [-170, -160, 100],
  values: Int16Array.from(planes.flatMap((plane) => Array.from(of(plane), Math.round))),
});
const ct = volumeOf((p) => p.ct), nodules = volumeOf((p) => p.noduleMask);
const right = volumeOf((p) => p.lungMask.map((v, i) => i % SIZE < SIZE / 2 ? v : 0));
const left = volumeOf((p) => p.lungMask.map((v, i) => i % SIZE < SIZE / 2 ? 0 : v));

const options = (input: string, kind: PrepareOptions["kind"], out: string): PrepareOptions => ({
  input,
  kind,
  out,
  settings: { ...DEFAULT_SETTINGS, minLung: 0.02 },
  seed: 0,
  val: 0,
  test: 0,
  jobs: 1,
  contactSheet: 0,
});
const manifestOf = (out: string): { series: SeriesRecord[]; notes: string[] } =>
  JSON.parse(Deno.readTextFileSync(`${out}/manifest.json`));

/** All slices as the training reads them. */
async function slicesOf(out: string) {
  const { train, val, test } = await openNpyDataset(out);
  const all = [...train, ...val, ...test].sort((a, b) => a.id < b.id ? -1 : 1);
  return await Promise.all(all.map(async (record) => {
    const { ct, lungMask, noduleMask } = await record.load();
    return { label: record.label, ct, lungMask, noduleMask };
  }));
}

const PERMUTATIONS: Vec3[] = [[0, 1, 2], [1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0], [2, 0, 1]];
const turned = (volume: Volume, turn: Turn): Volume => ({
  ...turnGeometry(volume, turn),
  values: turnValues(volume.values, volume.size, turn),
});

Deno.test("property: any grid, turned and flipped, in any format, is read as it lies", async () => {
  const random = new PhiloxStream(11, 0), below = (n: number) => Math.floor(random.uniform() * n);
  const folder = newFolder();
  for (let round = 0; round < 60; round++) {
    const size: Vec3 = [1 + below(7), 1 + below(7), 1 + below(7)];
    const mm = size.map(() => 0.3 + 4 * random.uniform());
    const volume: Volume = {
      size,
      axes: [[mm[0], 0, 0], [0, mm[1], 0], [0, 0, mm[2]]],
      origin: size.map(() => 400 * random.uniform() - 200) as Vec3,
      values: Int16Array.from({ length: size[0] * size[1] * size[2] }, () => below(4000) - 1000),
    };
    const turn: Turn = {
      axis: PERMUTATIONS[below(6)],
      flip: [below(2) === 1, below(2) === 1, below(2) === 1],
    };
    for (const [ending, encode] of Object.entries(FORMATS)) {
      const path = `${folder}/x.${ending}`;
      Deno.writeFileSync(path, encode(turned(volume, turn)));
      const got = await readVolume(path), name = `round ${round}, ${ending}`;
      assert.deepEqual(got.values, volume.values, name);
      assert.equal(gridDifference(volume, got), null, name);
    }
  }
});

Deno.test("every format, turned, becomes the same slices, masks and labels", async () => {
  const turn: Turn = { axis: [2, 0, 1], flip: [true, false, true] };
  let wanted: Awaited<ReturnType<typeof slicesOf>> | undefined;
  for (const [ending, encode] of Object.entries(FORMATS)) {
    const input = folderOf({
      [`imagesTr/a.${ending}`]: encode(turned(ct, turn)),
      [`labelsTr/a.${ending}`]: encode(nodules),
    });
    const out = newFolder();
    await prepare(options(input, "nifti", out));
    const got = await slicesOf(out);
    assert.equal(got.length, SLICES, ending);
    assert.ok(got.some(({ label }) => label === 1) && got.some(({ label }) => label === 0));
    wanted ??= got;
    assert.deepEqual(got, wanted, ending);
  }
});

/** Centre of the nodules of `nodules`, LPS mm, and the diameter of the sphere of their size. */
function noduleOf() {
  const at = [0, 0, 0];
  let count = 0;
  nodules.values.forEach((v, i) => {
    if (!v) return;
    count++;
    at[0] += i % SIZE, at[1] += Math.floor(i / SIZE) % SIZE, at[2] += Math.floor(i / SIZE / SIZE);
  });
  assert.ok(count > 0);
  return at.map((sum, n) => nodules.origin[n] + nodules.axes[n][n] * sum / count);
}

Deno.test("LUNA16: spheres where annotations.csv has them, LUNA16's lung values, doubtful slices left out", async () => {
  const centre = noduleOf(), uid = "1.2.3.4", other = "1.2.3.5";
  // 3 is here the patient's right: sides are told by place; 5 is the trachea.
  const lungs = {
    ...right,
    values: right.values.map((v, i) => v ? 3 : left.values[i] ? 4 : i % SIZE === 32 ? 5 : 0),
  };
  const table = "seriesuid,coordX,coordY,coordZ,diameter_mm\n";
  const input = folderOf({
    [`subset0/${uid}.mha`]: metaImage(ct),
    [`subset1/${other}.mha`]: metaImage(ct),
    [`seg-lungs-LUNA16/${uid}.mha`]: metaImage(lungs, true),
    "annotations.csv": `${table}${uid},${centre.join(",")},24\n`,
    "annotations_excluded.csv": `${table}${other},0,0,114,-1\n`,
    "candidates_V2.csv": "anything",
  });
  const out = newFolder();
  const { totals } = await prepare(options(input, "luna16", out));
  assert.deepEqual([totals.series, totals.nodules, totals.rejectedFiles], [2, 1, 0]);
  const { series } = manifestOf(out);
  const [own, second] = [uid, other].map((u) => series.find((s) => s.seriesUid === u)!);
  assert.match(own.notes.join(), /nodule masks are spheres/);
  assert.equal(own.lungMasks, "given");
  const pixels = (volume: Volume) => volume.values.reduce((a, b) => a + b, 0);
  const count = (key: "rightPixels" | "leftPixels") => own.slices.reduce((a, s) => a + s[key], 0);
  assert.deepEqual([count("rightPixels"), count("leftPixels")], [pixels(right), pixels(left)]);
  // A pixel is in where its centre is within 12 mm of the nodule's, in the patient.
  own.slices.forEach((slice, z) => {
    let wanted = 0;
    for (let y = 0; y < SIZE; y++) {
      for (let x = 0; x < SIZE; x++) {
        const p = [-170 + x * MM, -160 + y * MM, 100 + 7 * z];
        if (Math.hypot(...p.map((v, n) => v - centre[n])) <= 12) wanted++;
      }
    }
    assert.equal(slice.nodulePixels, wanted, `slice ${z}`);
  });
  assert.deepEqual(second.slices.map((s) => s.leftOut), [
    ...[null, null],
    "small nodules only",
    ...[null, null, null],
  ]);
  assert.ok((await slicesOf(out)).length > 0);
});

Deno.test("LUNA16 without annotations.csv, or with a broken one, is refused", async () => {
  const files = { "subset0/1.2.mha": metaImage(ct) };
  const run = (more: Record<string, string>) =>
    prepare(options(folderOf({ ...files, ...more }), "luna16", newFolder()));
  await assert.rejects(run({}), /no annotations\.csv/);
  await assert.rejects(
    run({ "annotations.csv": "seriesuid,x\n1.2,3\n" }),
    /no column "diameter_mm"/,
  );
  const row = "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2,a,0,0,5\n";
  await assert.rejects(run({ "annotations.csv": row }), /row 1: coordx "a" is no number/);
});

Deno.test("TotalSegmentator's folders: the folder is the patient, five lobes are the lungs", async () => {
  const half = (volume: Volume, upper: boolean): Volume => ({
    ...volume,
    values: volume.values.map((v, i) => (i < volume.values.length / 2) === upper ? v : 0),
  });
  const { nii } = FORMATS, none = { ...ct, values: new Int16Array(ct.values.length) };
  const subject = (id: string) => ({
    [`${id}/ct.nii`]: nii(ct),
    [`${id}/segmentations/lung_upper_lobe_right.nii`]: nii(half(right, true)),
    [`${id}/segmentations/lung_middle_lobe_right.nii`]: nii(none),
    [`${id}/segmentations/lung_lower_lobe_right.nii`]: nii(half(right, false)),
    [`${id}/segmentations/lung_upper_lobe_left.nii`]: nii(half(left, true)),
    [`${id}/segmentations/lung_lower_lobe_left.nii`]: nii(half(left, false)),
    [`${id}/segmentations/liver.nii`]: nii(right),
  });
  const out = newFolder();
  const input = folderOf({
    ...subject("s0001"),
    ...subject("s0002"),
    "s0001/segmentations/lung_nodules.nii": nii(nodules),
    "s0002/segmentations/lung_nodules.nii": nii(none),
  });
  await prepare(options(input, "nifti", out));
  const { series, notes } = manifestOf(out);
  assert.deepEqual(series.map((s) => [s.patient, s.lungMasks]), [
    ["s0001", "given"],
    ["s0002", "given"],
  ]);
  assert.match(notes.join("\n"), /2 structures of TotalSegmentator are not used/);
  const sum = (volume: Volume) => volume.values.reduce((a, b) => a + b, 0);
  for (const record of series) {
    assert.equal(record.slices.reduce((a, s) => a + s.rightPixels, 0), sum(right));
    assert.equal(record.slices.reduce((a, s) => a + s.leftPixels, 0), sum(left));
  }
  assert.ok(series[0].nodules.length > 0 && series[1].nodules.length === 0);
});

Deno.test("a lobe that lies elsewhere is refused", async () => {
  const away: Volume = { ...left, origin: [-170, -160, 107] }, { nii } = FORMATS;
  const input = folderOf({
    "s1/ct.nii": nii(ct),
    ...Object.fromEntries(
      ["upper_lobe_right", "middle_lobe_right", "lower_lobe_right", "upper_lobe_left"].map((
        name,
      ) => [`s1/segmentations/lung_${name}.nii`, nii(right)]),
    ),
    "s1/segmentations/lung_lower_lobe_left.nii": nii(away),
    "s1/segmentations/lung_nodules.nii": nii(nodules),
  });
  await assert.rejects(
    prepare(options(input, "nifti", newFolder())),
    /7\.0 mm apart/,
  );
});

const pairs: [string, string[], [string, string | null, string | null][]][] = [
  [
    "nnU-Net: X_0000 with X, imagesTs without labels, a second channel unused",
    [
      "imagesTr/a_0000.nii.gz",
      "imagesTr/a_0001.nii.gz",
      "imagesTs/b_0000.nii.gz",
      "labelsTr/a.nii.gz",
    ],
    [["imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", null], ["imagesTs/b_0000.nii.gz", null, null]],
  ],
  [
    "names that repeat: the mask of the same folder",
    ["p1/ct.nii", "p1/ct_mask.nii", "p2/ct.nii", "p2/ct_mask.nii"],
    [["p1/ct.nii", "p1/ct_mask.nii", null], ["p2/ct.nii", "p2/ct_mask.nii", null]],
  ],
  [
    "a mask that is only called so",
    ["p1/image.nrrd", "p1/mask.nrrd", "p2/image.nrrd", "p2/mask.nrrd"],
    [["p1/image.nrrd", "p1/mask.nrrd", null], ["p2/image.nrrd", "p2/mask.nrrd", null]],
  ],
  [
    "3D Slicer's names",
    ["p1/CT.nrrd", "p1/Segmentation.seg.nrrd", "p2/a.nrrd", "p2/a.seg.nrrd", "p2/a_label.nrrd"],
    [["p1/CT.nrrd", "p1/Segmentation.seg.nrrd", null], ["p2/a.nrrd", "p2/a.seg.nrrd", null]],
  ],
  [
    "folders images and masks of each site",
    ["x/images/1.nii", "x/masks/1.nii", "y/images/1.nii"],
    [["x/images/1.nii", "x/masks/1.nii", null], ["y/images/1.nii", null, null]],
  ],
  [
    "COVID-19-CT-Seg: lungs are lungs, infections are no nodules",
    [
      "COVID-19-CT-Seg_20cases/coronacases_001.nii.gz",
      "Lung_Mask/coronacases_001.nii.gz",
      "Infection_Mask/coronacases_001.nii.gz",
      "Lung_and_Infection_Mask/coronacases_001.nii.gz",
    ],
    [[
      "COVID-19-CT-Seg_20cases/coronacases_001.nii.gz",
      null,
      "Lung_Mask/coronacases_001.nii.gz",
    ]],
  ],
  [
    "COVID-19-20: lesions are no nodules",
    ["volume-covid19-A-0003_ct.nii.gz", "volume-covid19-A-0003_seg.nii.gz"],
    [["volume-covid19-A-0003_ct.nii.gz", null, null]],
  ],
];
for (const [name, paths, wanted] of pairs) {
  Deno.test(`names, ${name}`, () => {
    const { images } = sortVolumes(paths);
    assert.deepEqual(
      images.map(({ path, nodules, lungs }) => [path, nodules, lungs?.both[0] ?? null]),
      wanted,
    );
  });
}

Deno.test("of two masks of one image the nodules' counts, and a note names the other", () => {
  const { images, notes } = sortVolumes(["a.nii", "a_mask.nii", "a_nodule.nii"]);
  assert.equal(images[0].nodules, "a_nodule.nii");
  assert.deepEqual(notes, ['"a_mask.nii" is a second mask of "a.nii": not used']);
});

Deno.test("COVID-19-CT-Seg: 1 is the left lung, 2 the right; a lung mask of other labels asks", async () => {
  const { nii } = FORMATS;
  const run = async (other: number) => {
    const lungs = {
      ...left,
      values: left.values.map((v, i) => v || (right.values[i] ? 2 : i % SIZE === 32 ? other : 0)),
    };
    const out = newFolder();
    const input = folderOf({
      "COVID-19-CT-Seg_20cases/coronacases_001.nii": nii(ct),
      "Lung_Mask/coronacases_001.nii": nii(lungs),
      "Infection_Mask/coronacases_001.nii": nii(nodules),
    });
    const settings = { ...DEFAULT_SETTINGS, minLung: 0.02, unannotated: "negative" as const };
    await prepare({ ...options(input, "nifti", out), settings });
    return manifestOf(out).series[0];
  };
  const record = await run(0), sum = (v: Volume) => v.values.reduce((a, b) => a + b, 0);
  assert.deepEqual(record.nodules, []);
  assert.equal(record.slices.reduce((a, s) => a + s.rightPixels, 0), sum(right));
  assert.equal(record.slices.reduce((a, s) => a + s.leftPixels, 0), sum(left));
  await assert.rejects(run(7), /--lung-label/);
});

Deno.test("patients: folders where names repeat, scans of one folder together", async () => {
  const { nii } = FORMATS;
  const input = folderOf({
    "A/first.nii": nii(ct),
    "A/second.nii": nii(ct),
    "B/first.nii": nii(ct),
    "B/first_mask.nii": nii(nodules),
  });
  const out = newFolder();
  await prepare(options(input, "nifti", out));
  assert.deepEqual(
    manifestOf(out).series.map((s) => [s.patient, s.scan, s.nodules.length > 0]),
    [["A", 1, false], ["A", 2, false], ["B", 1, true]],
  );
});

sharedCase("cases/data/luna16_mhd: read as SimpleITK reads it", "luna16_mhd", async (input) => {
  const out = newFolder();
  const { totals } = await prepare(options(input, "luna16", out));
  assert.deepEqual([totals.slices, totals.nodules], [24, 1]);
  const [record] = manifestOf(out).series;
  // The voxels within 4 mm of (10, 20, -100), on a grid of 2.73 × 2.73 × 10.21 mm.
  assert.deepEqual(record.slices.map((s) => s.nodulePixels).filter((n) => n > 0), [3]);
});
Deno.test("LUNA16 given to --nifti: refused, with the option that reads it", async () => {
  const input = folderOf({
    "subset0/1.mha": metaImage(ct),
    "seg-lungs-LUNA16/1.mha": metaImage(ct),
  });
  await assert.rejects(prepare(options(input, "nifti", newFolder())), /give it to --luna16/);
});

sharedCase("cases/data/nnunet_names: the pair is found", "nnunet_names", async (input) => {
  const out = newFolder();
  const { totals } = await prepare(options(input, "nifti", out));
  assert.ok(totals.positive > 0);
});
