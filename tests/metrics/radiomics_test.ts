/** Radiomic features against PyRadiomics 3.0.1, on real slices and made ones. */

import assert from "node:assert/strict";
import { readNpy } from "../../lib/io/npy_file.ts";
import { frdSubset, RADIOMIC_NAMES, radiomicFeatures, stack } from "../../lib/metrics/frd.ts";
import golden from "../fixtures/metrics/radiomics.json" with { type: "json" };
import { shared } from "./shared.ts";

const HEIGHT = 40, WIDTH = 33;

/** `synthetic` of tests/reference/make_radiomics.py. */
function synthetic(kind: string, phase = 0) {
  const image = new Float64Array(HEIGHT * WIDTH), mask = new Uint8Array(HEIGHT * WIDTH);
  for (let i = 0; i < image.length; i++) {
    const y = Math.floor(i / WIDTH), x = i % WIDTH;
    image[i] = Math.floor(
      -600 + 300 * Math.sin(0.31 * x + 0.17 * y + phase) * Math.cos(0.23 * y) + 0.5,
    );
    let inside = ((x - WIDTH / 2) / (0.45 * WIDTH)) ** 2 +
        ((y - HEIGHT / 2) / (0.4 * HEIGHT)) ** 2 < 1;
    if (kind === "hole") {
      image[i] /= 7;
      inside = inside && (x - WIDTH / 2) ** 2 > 9 && Math.abs(y - HEIGHT / 2) > 2;
    }
    if (kind === "flat") image[i] = -612.5;
    mask[i] = inside ? 1 : 0;
  }
  return { image, mask };
}

/** Largest relative difference over all features; where the golden one is below 1e-9, absolute. */
function compare(values: number[] | null, expected: Record<string, number>, what: string) {
  assert.ok(values);
  assert.equal(values.length, 57);
  let worst = 0;
  RADIOMIC_NAMES.forEach((name, i) => {
    const reference = expected[name];
    assert.notEqual(reference, undefined, name);
    const scale = Math.abs(reference) < 1e-9 ? 1 : Math.abs(reference);
    const error = Math.abs(values[i] - reference) / scale;
    assert.ok(error <= 1e-4, `${what} ${name}: ${values[i]}, PyRadiomics ${reference}`);
    worst = Math.max(worst, error);
  });
  return worst;
}

Deno.test("57 features of made slices agree with PyRadiomics", () => {
  for (const kind of ["plain", "hole", "flat"] as const) {
    const { image, mask } = synthetic(kind);
    const values = radiomicFeatures(image, mask, { height: HEIGHT, width: WIDTH });
    const worst = compare(values, golden.synthetic[kind], kind);
    assert.ok(worst < 1e-7, `${kind}: ${worst}`);
  }
});

Deno.test("57 features of real slices agree with PyRadiomics within 1e-4", async () => {
  const folder = shared("ct/npy");
  if (!folder) return;
  for (const [name, expected] of Object.entries(golden.real)) {
    const image = await readNpy(`${folder}/${name}.npy`);
    const mask = await readNpy(`${folder}/${name.replace("slice", "lung_mask")}.npy`);
    const [height, width] = image.shape.slice(-2);
    const data = Float64Array.from(image.data as ArrayLike<number>);
    const values = radiomicFeatures(data, mask.data as ArrayLike<number>, { height, width });
    const worst = compare(values, expected, name);
    assert.ok(worst < 1e-7, `${name}: ${worst}`);
  }
});

Deno.test("FRD-subset: 0 between equal sets, grows with the difference, refuses one slice", () => {
  const size = { height: HEIGHT, width: WIDTH };
  const of = (phase: number, scale: number) => {
    const { image, mask } = synthetic("plain", phase);
    return radiomicFeatures(image.map((value) => value * scale), mask, size)!;
  };
  const set = (scale: number) => stack([0, 0.7, 1.4, 2.1, 2.8, 3.5].map((p) => of(p, scale)));
  const real = set(1);
  assert.ok(Math.abs(frdSubset(real, real)) < 1e-6);
  const near = frdSubset(real, set(1.02)), far = frdSubset(real, set(1.3));
  assert.ok(near > 0 && far > 2 * near, `${near} ${far}`);
  assert.throws(() => frdSubset(real, stack([of(0, 1)])), /at least 2 slices a side, got 6 and 1/);
});

Deno.test("radiomic features: empty and one-pixel masks give null, NaN is refused", () => {
  const size = { height: 4, width: 4 }, image = new Float64Array(16).fill(-500);
  const mask = new Uint8Array(16);
  assert.equal(radiomicFeatures(image, mask, size), null);
  mask[0] = 1;
  assert.equal(radiomicFeatures(image, mask, size), null);
  mask[15] = 1; // two pixels that do not touch
  assert.equal(radiomicFeatures(image, mask, size), null);
  image[15] = NaN;
  assert.throws(() => radiomicFeatures(image, mask, size), /pixel 15 is NaN/);
  assert.throws(() => radiomicFeatures(image, mask, { height: 3, width: 4 }), /from 16 pixels/);
});
