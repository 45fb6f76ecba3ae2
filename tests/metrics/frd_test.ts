/** FRD against frd-score 1.0.1 with PyRadiomics 3.0.1. */

import assert from "node:assert/strict";
import { stack } from "../../lib/metrics/frd.ts";
import { frd, FRD_NAMES, frdFeatures } from "../../lib/metrics/frd_full.ts";
import golden from "../fixtures/metrics/frd.json" with { type: "json" };

const HEIGHT = 45, WIDTH = 38, SIZE = { height: HEIGHT, width: WIDTH };

/** `synthetic` of tests/reference/make_frd.py. */
function synthetic(phase: number, contrast: number, height = HEIGHT, width = WIDTH, small = false) {
  const image = new Float64Array(height * width), mask = new Uint8Array(height * width);
  for (let i = 0; i < image.length; i++) {
    const y = Math.floor(i / width), x = i % width;
    const wave = 300 * Math.sin(0.31 * x + 0.17 * y + phase) * Math.cos(0.23 * y);
    const grain = 90 * Math.sin(2.9 * x * (1 + phase / 7) + 1.3 * y) *
      Math.sin(1.9 * y + 5 * phase);
    image[i] = Math.floor(-600 + contrast * (wave + grain) + 0.5);
    const inside = ((x - width / 2) / (0.45 * width)) ** 2 +
        ((y - height / 2) / (0.4 * height)) ** 2 < 1;
    const lungs = inside && Math.abs(x - width / 2) > Math.min(2, width / 20) + phase;
    const piece = ((x - 40) / 7) ** 2 + ((y - 33) / 5) ** 2 < 1;
    const alone = x >= 54 && x < 56 && y >= 34 && y < 36;
    mask[i] = (small ? piece || alone : lungs) ? 1 : 0;
  }
  return { image, mask };
}

function features(phase: number, contrast: number): number[] {
  const { image, mask } = synthetic(phase, contrast);
  return frdFeatures(image, mask, SIZE)!;
}

Deno.test("FRD: the 398 features that frd-score takes of a slice", () => {
  assert.equal(FRD_NAMES.length, 398);
  const small = [
    { ...synthetic(0.2, 1, 15, 13), size: { height: 15, width: 13 } },
    { ...synthetic(0.4, 1, 90, 84, true), size: { height: 90, width: 84 } },
  ];
  const rows = [
    ...[0, 1].map((i) => features(0.37 * i, 1)),
    ...small.map(({ image, mask, size }) => frdFeatures(image, mask, size)!),
  ];
  for (const [i, expected] of golden.features.entries()) {
    const reference = expected as Record<string, number>, row = rows[i];
    assert.deepEqual(Object.keys(reference).sort(), [...FRD_NAMES].sort());
    FRD_NAMES.forEach((name, k) => {
      const scale = Math.max(Math.abs(reference[name]), 1e-6);
      const error = Math.abs(row[k] - reference[name]) / scale;
      // float32 pixels there and here, summed in another order
      assert.ok(error <= 1e-4, `slice ${i} ${name}: ${row[k]}, frd-score ${reference[name]}`);
    });
  }
});

Deno.test("FRD: the distance of frd-score between two sets", () => {
  const left = Array.from({ length: 10 }, (_, i) => features(0.37 * i, 1));
  const right = Array.from({ length: 9 }, (_, i) => features(0.37 * i + 0.2, 1.1));
  const { value, columns } = frd(stack(left), stack(right));
  assert.ok(columns > 380 && columns < 398, `${columns}`);
  const error = Math.abs(value - golden.frd) / Math.abs(golden.frd);
  assert.ok(error <= 1e-3, `${value}, frd-score ${golden.frd}`);
  assert.equal(frd(stack(left), stack(left)).value < value - 5, true);
  assert.throws(
    () => frd(stack(left), stack([right[0]])),
    /at least 2 slices a side, got 10 and 1/,
  );
});

Deno.test("FRD: slices without a number and columns beyond float32 are left out, as frd-score has it", () => {
  const left = Array.from({ length: 5 }, (_, i) => features(0.37 * i, 1));
  const right = Array.from({ length: 4 }, (_, i) => features(0.37 * i + 0.2, 1.1));
  const { value, columns } = frd(stack(left), stack(right));
  const bad = right[0].with(20, NaN);
  assert.deepEqual(frd(stack(left), stack([...right, bad])), { value, columns });
  const huge = right.map((row) => row.with(20, 1e300));
  assert.equal(frd(stack(left), stack(huge)).columns, columns - 1);
  assert.throws(() => frd(stack(left), stack([right[0], bad])), /got 5 and 1/);
});

Deno.test("FRD: masks too small and flat slices give null, NaN is refused", () => {
  const { image, mask } = synthetic(0, 1);
  assert.equal(frdFeatures(image, mask.map(() => 0), SIZE), null);
  assert.equal(frdFeatures(image, mask.map((_, i) => i === 700 ? 1 : 0), SIZE), null);
  assert.equal(frdFeatures(image.map(() => -600), mask, SIZE), null);
  image[3] = NaN;
  assert.throws(() => frdFeatures(image, mask, SIZE), /pixel 3 is NaN/);
  assert.throws(() => frdFeatures(image, mask, { height: 3, width: 4 }), /from 1710 pixels/);
});
