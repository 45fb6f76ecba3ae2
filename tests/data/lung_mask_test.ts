/** Lung masks against truths: a real lung, real slices, and the phantom. */

import assert from "node:assert/strict";
import { scanFolder } from "../../lib/data/dicom/scan.ts";
import { type CtVolume, loadSeries } from "../../lib/data/dicom/series.ts";
import { closeDisc, fillHoles, squaredDistance } from "../../lib/data/lung/morphology.ts";
import { LEFT, RIGHT, segmentLungs } from "../../lib/data/lung_mask.ts";
import { phantomPatient } from "../../lib/data/phantom.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { dice, realCtTest } from "./shared_ct.ts";

function lungsOf(volume: CtVolume) {
  const { slices, row, column, pixelSpacing: [dy, dx] } = volume;
  const patientX = { origin: slices[0].position[0], column: row[0] * dx, row: column[0] * dy };
  return segmentLungs({ ...volume, slices: slices.length, patientX });
}

Deno.test("distance transform: brute force agrees, with unequal spacings", () => {
  const rows = 9, columns = 13, mask = new Uint8Array(rows * columns);
  for (const i of [3, 40, 77, 110]) mask[i] = 1;
  const got = squaredDistance(mask, rows, columns, [1.5, 0.7]);
  for (let i = 0; i < mask.length; i++) {
    let best = Infinity;
    for (let j = 0; j < mask.length; j++) {
      if (!mask[j]) continue;
      const dy = 1.5 * (Math.floor(i / columns) - Math.floor(j / columns));
      const dx = 0.7 * (i % columns - j % columns);
      best = Math.min(best, dx * dx + dy * dy);
    }
    assert.ok(Math.abs(got[i] - best) < 1e-9);
  }
  assert.ok(squaredDistance(new Uint8Array(6), 2, 3, [1, 1]).every((d) => d === Infinity));
});

Deno.test("closing takes in a bay narrower than the disc; the image's border takes nothing away", () => {
  const size = 24, mask = new Uint8Array(size * size).fill(1);
  for (let y = 0; y < 10; y++) for (let x = 10; x < 14; x++) mask[y * size + x] = 0;
  const closed = closeDisc(mask, size, size, [1, 1], 5);
  assert.equal(closed[9 * size + 11], 1);
  assert.equal(closed[12 * size], 1);
});

Deno.test("holes are filled up to a size", () => {
  const size = 20, mask = new Uint8Array(size * size).fill(1);
  mask[3 * size + 3] = 0;
  for (let y = 8; y < 14; y++) for (let x = 8; x < 14; x++) mask[y * size + x] = 0;
  fillHoles(mask, size, size, 10);
  assert.deepEqual([mask[3 * size + 3], mask[10 * size + 10]], [1, 0]);
});

Deno.test("phantom: Dice ≥ 0.97, sides by patient x, the trachea is out", () => {
  const size = 128, count = 24, spacing = 350 / size;
  const patient = phantomPatient(5, 2);
  const hu = new Int16Array(count * size * size), truth = new Uint8Array(hu.length);
  for (let z = 0; z < count; z++) {
    const planes = patient.slice(236 - 10 * z, size, spacing);
    hu.set(Int16Array.from(planes.ct, (v) => Math.max(-1024, Math.round(v))), z * size * size);
    truth.set(planes.lungMask, z * size * size);
  }
  const input = {
    hu,
    slices: count,
    rows: size,
    columns: size,
    pixelSpacing: [spacing, spacing] as const,
    sliceSpacing: 10,
  };
  const { labels, rightMl, leftMl } = segmentLungs(input);
  const value = dice(labels, truth);
  assert.ok(value >= 0.97, `Dice ${value}`);
  assert.ok(rightMl > 500 && leftMl > 500);
  // Columns run from the patient's right to the left.
  const mean = (label: number) => {
    let sum = 0, n = 0;
    labels.forEach((l, i) => {
      if (l === label) sum += i % size, n++;
    });
    return sum / n;
  };
  assert.ok(mean(RIGHT) < mean(LEFT));
  // Mirrored in space, the names change over.
  const mirrored = segmentLungs({
    ...input,
    patientX: { origin: 175, column: -spacing, row: 0 },
  }).labels;
  assert.ok(mirrored.every((l, i) => l === 0 ? labels[i] === 0 : l === 3 - labels[i]));
  // The trachea: gas that is not lung, in the middle of the upper slices.
  let gas = 0, taken = 0;
  for (let i = 18 * size * size; i < hu.length; i++) {
    const x = i % size, y = Math.floor(i / size) % size;
    const isMiddle = Math.abs(x - size / 2) < 8 && Math.abs(y - size / 2) < 16;
    if (!isMiddle || truth[i] || hu[i] > -900) continue;
    gas++;
    if (labels[i]) taken++;
  }
  assert.ok(gas > 20 && taken === 0, `${taken} of ${gas} pixels of the trachea taken for lung`);
});

Deno.test("two lungs that touch are told apart", () => {
  const rows = 80, columns = 120, hu = new Int16Array(rows * columns).fill(40);
  const disc = (cx: number, cy: number, r: number) => {
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        if ((x - cx) ** 2 + ((y - cy) * 0.8) ** 2 < r * r) hu[y * columns + x] = -850;
      }
    }
  };
  disc(35, 40, 24);
  disc(85, 40, 24);
  for (let x = 55; x < 66; x++) hu[40 * columns + x] = hu[41 * columns + x] = -850;
  const { labels } = segmentLungs({
    hu,
    slices: 1,
    rows,
    columns,
    pixelSpacing: [2.5, 2.5],
    sliceSpacing: 0,
  });
  assert.equal(labels[40 * columns + 35], RIGHT);
  assert.equal(labels[40 * columns + 85], LEFT);
});

Deno.test("nothing is found where there is no air inside; no error", () => {
  const input = {
    slices: 2,
    rows: 20,
    columns: 20,
    pixelSpacing: [1, 1] as const,
    sliceSpacing: 1,
  };
  for (const value of [40, -1024]) {
    const found = segmentLungs({ ...input, hu: new Int16Array(800).fill(value) });
    assert.ok(found.labels.every((l) => l === 0));
  }
});

realCtTest(
  "ct/lidc: Dice ≥ 0.97 against lung_mask_truth.npy, and it is a right lung",
  async (ct) => {
    const volume = await loadSeries(scanFolder(`${ct}/lidc`).series[0].files);
    const { labels, leftMl } = lungsOf(volume);
    const packed = (await readNpy(`${ct}/lidc/lung_mask_truth.npy`)).data as Uint8Array;
    const bytes = Math.ceil(volume.columns / 8);
    const truth = labels.map((_, i) => {
      const line = Math.floor(i / volume.columns), x = i % volume.columns;
      return packed[line * bytes + (x >> 3)] >> (7 - (x & 7)) & 1;
    });
    const value = dice(labels, truth);
    console.log(`lung Dice ${value.toFixed(4)}`);
    assert.ok(value >= 0.97, `Dice ${value}`);
    assert.equal(leftMl, 0);
  },
);

realCtTest(
  "nema_ct1 and lungmask: both lungs on one slice, the main bronchi are out",
  async (ct) => {
    const cases = [["nema_ct1/CT1_J2KR.90.dcm", 390, 310], ["lungmask/0.dcm", 430, 330]] as const;
    for (const [name, x, y] of cases) {
      // The first was decompressed, and says so: DERIVED.
      const volume = await loadSeries([`${ct}/dicom/${name}`], { derived: true });
      const { labels, rightMl, leftMl } = lungsOf(volume);
      assert.ok(rightMl > 5 && leftMl > 5, `${name}: right ${rightMl}, left ${leftMl} ml`);
      const at = (x: number, y: number) => labels[y * 512 + x];
      assert.equal(at(150, 250), RIGHT, name);
      assert.equal(at(x, y), LEFT, name);
      // Bronchi of nema_ct1, by eye.
      if (name.startsWith("nema")) assert.deepEqual([at(213, 269), at(268, 274)], [0, 0]);
    }
  },
);
