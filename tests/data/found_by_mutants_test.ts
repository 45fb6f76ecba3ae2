/** Cases that a mutation run showed to be missing: scales of ratings, volumes in Fortran order, masks. */

import assert from "node:assert/strict";
import { encodeLidcXml } from "../../lib/data/dicom_write/lidc_file.ts";
import { CHARACTERISTICS, type Characteristics, parseLidcXml } from "../../lib/data/lidc/xml.ts";
import { interpolationJobs } from "../../lib/diffusion/jobs.ts";
import { readNpyPlane } from "../../lib/io/npy_file.ts";
import { radiomicFeatures } from "../../lib/metrics/frd.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

/** The LIDC's own scales: the highest value of each rating; the lowest is 1. */
const HIGHEST = {
  ...{ subtlety: 5, internalStructure: 4, calcification: 6, sphericity: 5, margin: 5 },
  ...{ lobulation: 5, spiculation: 5, texture: 5, malignancy: 5 },
};

Deno.test("each rating is taken up to the end of its own scale, and not beyond", () => {
  assert.deepEqual(Object.keys(CHARACTERISTICS).sort(), Object.keys(HIGHEST).sort());
  const ones = Object.fromEntries(
    Object.keys(HIGHEST).map((name) => [name, 1]),
  ) as unknown as Characteristics;
  const roi = { sopInstance: "1.0", z: 0, inclusion: true, points: [5, 5] };
  const text = encodeLidcXml("2.1", "2.2", [
    { nodules: [{ id: "1", characteristics: ones, rois: [roi] }], nonNodules: [] },
  ]);
  const rated = (name: string, value: number) => {
    const changed = text.replace(`<${name}>1`, `<${name}>${value}`);
    const file = parseLidcXml(new TextEncoder().encode(changed), "t.xml");
    return file.kind === "ct" ? file.readers[0].nodules[0].characteristics : null;
  };
  for (const [name, most] of Object.entries(HIGHEST)) {
    assert.equal(rated(name, most)?.[name as keyof Characteristics], most, name);
    assert.equal(rated(name, most + 1), null, name);
    assert.equal(rated(name, -1), null, name);
  }
});

Deno.test("of a volume in Fortran order the middle slice is taken, as of one in C order", async () => {
  const folder = await Deno.makeTempDir(), [d, h, w] = [5, 3, 4];
  const value = (z: number, y: number, x: number) => 100 * z + 10 * y + x;
  for (const isFortran of [false, true]) {
    const header = `{'descr': '<f4', 'fortran_order': ${isFortran ? "True" : "False"}, ` +
      `'shape': (${d}, ${h}, ${w}), }`;
    const padded = header.padEnd(118 - 1) + "\n", data = new Float32Array(d * h * w);
    for (let z = 0; z < d; z++) {
      for (let y = 0; y < h; y++) {
        for (let x = 0; x < w; x++) {
          data[isFortran ? z + d * (y + h * x) : x + w * (y + h * z)] = value(z, y, x);
        }
      }
    }
    const head = new TextEncoder().encode(`\x00NUMPY\x01\x00\x00\x00${padded}`);
    head[0] = 0x93;
    head[8] = padded.length;
    const path = `${folder}/${isFortran}.npy`;
    await Deno.writeFile(path, Uint8Array.from([...head, ...new Uint8Array(data.buffer)]));
    const plane = await readNpyPlane(path);
    assert.deepEqual(plane.shape, [h, w]);
    const wanted = Array.from({ length: h * w }, (_, i) => value(2, Math.floor(i / w), i % w));
    assert.deepEqual(Array.from(plane.data as Float32Array), wanted, `Fortran ${isFortran}`);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("radiomic features are of what is inside the mask alone", () => {
  const random = new PhiloxStream(1), size = { height: 12, width: 12 };
  const image = Float32Array.from({ length: 144 }, () => -800 + 60 * random.normal());
  const mask = image.map((_, i) => i % 12 > 2 && i % 12 < 9 ? 1 : 0);
  const features = radiomicFeatures(image, mask, size)!;
  for (const outside of [-3000, 0, 2000]) {
    const other = image.map((v, i) => mask[i] ? v : outside);
    assert.deepEqual(radiomicFeatures(other, mask, size), features, `${outside} outside`);
  }
});

Deno.test("interpolation goes from the first class value to the last in even steps", () => {
  const mask = { record: { id: "A_slice_1", label: 1 }, slice: {} };
  const masks = [mask] as unknown as Parameters<typeof interpolationJobs>[0];
  const values = (from: number, to: number, steps: number) =>
    interpolationJobs(masks, [from, to], steps, 0).map((job) => job.classValue);
  assert.deepEqual(values(0.2, 0.8, 4), [0.2, 0.4, 0.6, 0.8]);
  assert.deepEqual(values(1, -1, 3), [1, 0, -1]);
  assert.deepEqual(values(0, 1, 5), [0, 0.25, 0.5, 0.75, 1]);
});
