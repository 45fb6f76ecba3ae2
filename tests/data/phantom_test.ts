import assert from "node:assert/strict";
import {
  PHANTOM_SLICES,
  phantomLabel,
  phantomPatient,
  phantomSlice,
} from "../../lib/data/phantom.ts";

const mean = (values: ArrayLike<number>, where: (i: number) => boolean) => {
  let sum = 0, count = 0;
  for (let i = 0; i < values.length; i++) if (where(i)) [sum, count] = [sum + values[i], count + 1];
  return sum / count;
};
const area = (mask: Uint8Array) => mask.reduce((a, b) => a + b, 0);

Deno.test("phantom: a pure function of seed, patient, slice and size", () => {
  const first = phantomSlice(3, 1, 2, 48);
  phantomSlice(3, 2, 5, 32);
  assert.deepEqual(phantomSlice(3, 1, 2, 48), first);
  for (const [seed, patient, slice] of [[4, 1, 2], [3, 2, 2], [3, 1, 4]]) {
    assert.notDeepEqual(phantomSlice(seed, patient, slice, 48).lungMask, first.lungMask);
  }
});

Deno.test("phantom: tissues have their HU and the masks lie where they should", () => {
  for (const [patient, slice] of [[0, 1], [1, 4], [2, 3], [5, 6]]) {
    const size = 96, { ct, lungMask, noduleMask } = phantomSlice(9, patient, slice, size);
    assert.ok(ct.every((hu) => Number.isFinite(hu) && hu >= -1024 && hu < 2000));
    const lung = mean(ct, (i) => lungMask[i] === 1 && noduleMask[i] === 0);
    assert.ok(lung > -900 && lung < -720, `lung ${lung}`);
    const corner = mean(ct, (i) => i < size * 5);
    assert.ok(Math.abs(corner + 1000) < 10, `air ${corner}`);
    // Between the lungs: the middle of the image, a little behind the centre.
    const middle = mean(ct, (i) => {
      const x = i % size, y = Math.floor(i / size);
      return Math.abs(x - size / 2) < 4 && Math.abs(y - size * 0.53) < 3;
    });
    assert.ok(middle > -500 && middle < 300, `mediastinum ${middle}`);
    const share = area(lungMask) / ct.length;
    assert.ok(share > 0.08 && share < 0.4, `lungs fill ${share}`);
    const left = lungMask.filter((_, i) => i % size < size / 2);
    assert.ok(area(left) > 0.2 * area(lungMask) && area(left) < 0.8 * area(lungMask));
    assert.ok(noduleMask.every((v, i) => v === 0 || lungMask[i] === 1));
  }
});

Deno.test("phantom: every other slice has a nodule that can be seen, the rest none", () => {
  for (let patient = 0; patient < 4; patient++) {
    let positives = 0;
    for (let slice = 0; slice < PHANTOM_SLICES; slice++) {
      const { ct, lungMask, noduleMask, label } = phantomSlice(7, patient, slice, 64);
      assert.equal(label, phantomLabel(patient, slice));
      positives += label;
      if (label === 0) assert.equal(area(noduleMask), 0);
      else {
        assert.ok(area(noduleMask) >= 10, `${patient}/${slice}: ${area(noduleMask)} pixels`);
        const nodule = mean(ct, (i) => noduleMask[i] === 1);
        const lung = mean(ct, (i) => lungMask[i] === 1 && noduleMask[i] === 0);
        assert.ok(nodule > lung + 350, `${nodule} in ${lung}`);
      }
    }
    assert.equal(positives, PHANTOM_SLICES / 2);
  }
});

Deno.test("phantom: a patient is continuous in z and the same at any pixel spacing", () => {
  const patient = phantomPatient(1, 3);
  assert.ok(patient.nodules.length > 0);
  assert.ok(patient.nodules.every(({ radius }) => radius >= 2 && radius <= 15));
  const [a, b, far] = [100, 101, 140].map((z) => patient.slice(z, 64).lungMask);
  const dice = (p: Uint8Array, q: Uint8Array) =>
    2 * area(p.map((v, i) => v & q[i])) / (area(p) + area(q));
  assert.ok(dice(a, b) > 0.95, `${dice(a, b)}`);
  assert.ok(dice(a, far) < dice(a, b));
  const fine = patient.slice(100, 128, 2), coarse = patient.slice(100, 64, 4);
  assert.ok(Math.abs(area(fine.lungMask) / 4 / area(coarse.lungMask) - 1) < 0.05);
});

Deno.test("phantom: arguments out of range are refused", () => {
  assert.throws(() => phantomSlice(1, 0, 8), /slice 8/);
  assert.throws(() => phantomSlice(1, 0, 0, 7), /7 pixels/);
  assert.throws(() => phantomPatient(1, -1), /patient -1/);
  assert.throws(() => phantomPatient(1, 0, { minNoduleMm: 40 }), /40 mm/);
});
