/** Nodules that are asked for: their shapes, their places, and what a model is told of them. */

import assert from "node:assert/strict";
import { openPhantomDataset, prepareSlice } from "../../lib/data/dataset.ts";
import { type Nodule, NODULE_SHAPES, noduleMask } from "../../lib/data/nodule_shape.ts";
import { components3d } from "../../lib/data/lung/components.ts";
import {
  parseNodule,
  parsePlacement,
  placeNodules,
  wholePixels,
  withNodules,
} from "../../lib/diffusion/nodules.ts";

const SIZE = { height: 96, width: 128 };
const at = (mask: ArrayLike<number>) =>
  Array.from(mask).flatMap((v, i) => v ? [[i % SIZE.width, Math.floor(i / SIZE.width)]] : []);

Deno.test("a nodule's mask has the area of its diameter and its centre where it was asked for", () => {
  for (const shape of NODULE_SHAPES) {
    for (const [diameterMm, spacing] of [[30, 0.7], [12, 0.7], [8, 0.5], [20, 2.7]]) {
      const nodule: Nodule = { x: 70.3, y: 40.6, diameterMm, shape, seed: diameterMm };
      const mask = noduleMask(nodule, SIZE, spacing), points = at(mask);
      const area = points.length * spacing ** 2, wanted = Math.PI * diameterMm ** 2 / 4;
      assert.ok(
        Math.abs(area / wanted - 1) < 0.12,
        `${shape} ${diameterMm} mm: ${area}, ${wanted}`,
      );
      const mean = (axis: number) => points.reduce((s, p) => s + p[axis], 0) / points.length;
      const off = Math.hypot(mean(0) - 70.3, mean(1) - 40.6) * spacing;
      assert.ok(off < 0.12 * diameterMm, `${shape} ${diameterMm} mm: ${off} mm off`);
      assert.ok(mask[41 * SIZE.width + 70]);
    }
  }
});

Deno.test("shapes differ as their names say, and follow from the seed alone", () => {
  const reach = (shape: Nodule["shape"], seed: number) => {
    const nodule: Nodule = { x: 64, y: 48, diameterMm: 30, shape, seed };
    const mask = noduleMask(nodule, SIZE, 0.5);
    assert.deepEqual(noduleMask(nodule, SIZE, 0.5), mask);
    return Math.max(...at(mask).map(([x, y]) => Math.hypot(x - 64, y - 48))) / 30;
  };
  const mean = (shape: Nodule["shape"]) =>
    Array.from({ length: 12 }, (_, i) => reach(shape, i)).reduce((a, b) => a + b) / 12;
  const [round, lobulated, spiculated] = NODULE_SHAPES.map(mean);
  assert.ok(round < 1.1 && round < lobulated - 0.05 && lobulated < spiculated - 0.05);
  assert.notEqual(reach("lobulated", 1), reach("lobulated", 2));
});

Deno.test("one at the edge is cut off there; one smaller than a pixel has the pixel of its centre", () => {
  const near: Nodule = { x: 0, y: 0, diameterMm: 10, shape: "round", seed: 0 };
  const points = at(noduleMask(near, SIZE, 1));
  assert.ok(points.length > 15 && points.every(([x, y]) => x < 7 && y < 7));
  const tiny: Nodule = { x: 100, y: 90, diameterMm: 3, shape: "round", seed: 0 };
  assert.deepEqual(at(noduleMask(tiny, SIZE, 12)), [[100, 90]]);
  const outside: Nodule = { x: -40, y: 20, diameterMm: 10, shape: "round", seed: 0 };
  assert.deepEqual(at(noduleMask(outside, SIZE, 1)), []);
});

Deno.test("random nodules lie in the lungs, clear of the mediastinum and of each other", async () => {
  const { train } = openPhantomDataset({ seed: 5, count: 16, size: 128 });
  const spacing = 350 / 128;
  let placed = 0;
  const shapes = new Set<string>();
  for (const [i, record] of train.entries()) {
    const slice = await record.load();
    const placement = parsePlacement("random:3", "6-20");
    const put = () => placeNodules(slice, placement, spacing, 7, i, record.id);
    let found;
    try {
      found = put();
    } catch (error) {
      assert.match((error as Error).message, /no room for 3 nodules of 6 to 20 mm/);
      continue;
    }
    placed++;
    assert.deepEqual(put(), found, "a function of seed and number");
    assert.equal(found.nodules.length, 3);
    assert.equal(components3d(found.mask, 1, 128, 128).sizes.length - 1, 3, "none touches another");
    assert.ok(found.mask.every((v, p) => v <= slice.lungMask[p]));
    for (const { x, y, diameterMm, shape } of found.nodules) {
      shapes.add(shape);
      assert.ok(diameterMm >= 6 && diameterMm <= 20);
      const row = slice.lungMask.subarray(y * 128, (y + 1) * 128);
      const first = row.indexOf(1), last = row.lastIndexOf(1);
      for (let c = first; c < last; c++) {
        if (!row[c]) assert.ok(Math.abs(c - x) * spacing > diameterMm / 2 + 3.9, `${x}, ${c}`);
      }
    }
  }
  assert.ok(placed >= 12, `${placed} of 16`);
  assert.equal(shapes.size, 3);
});

Deno.test("a nodule at a place must lie in the lung; one on the chest wall is cut at the lung's edge", async () => {
  const { train } = openPhantomDataset({ seed: 5, count: 2, size: 128 });
  const slice = await train[0].load();
  const put = (x: number, y: number, diameterMm: number) =>
    placeNodules(slice, { kind: "at", nodules: [{ x, y, diameterMm }] }, 350 / 128, 1, 0, "S");
  const row = 64, line = slice.lungMask.subarray(row * 128, (row + 1) * 128);
  const wall = line.indexOf(1);
  const on = put(wall + 1, row, 16);
  assert.ok(on.mask.every((v, p) => v <= slice.lungMask[p]) && on.mask.includes(1));
  assert.throws(
    () => put(wall - 4, row, 12),
    /^InputError: S: --nodule .*% of it lies in the lung, at least 60% must/,
  );
  assert.throws(() => put(300, row, 12), /pixels 0 to 127 by 0 to 127/);
  const own = { kind: "own" } as const;
  assert.throws(
    () => placeNodules(slice, own, 1, 0, 0, "S"),
    /--nodules own, but the slice has none/,
  );
  const other = await train[1].load();
  assert.equal(placeNodules(other, own, 1, 0, 0, "T").mask, other.noduleMask);
});

Deno.test("--nodule, --nodules and --diameter: what they may be", () => {
  assert.deepEqual(parseNodule("10, 20.5,8"), { x: 10, y: 20.5, diameterMm: 8 });
  for (const bad of ["", "1,2", "1,2,3,4", "a,2,8", "1,,8", "1,2,2.9", "1,2,41"]) {
    assert.throws(() => parseNodule(bad), { name: "InputError" }, bad);
  }
  assert.deepEqual(parsePlacement("random", "6-20"), {
    kind: "random",
    count: 1,
    diameter: [6, 20],
  });
  assert.deepEqual(parsePlacement("random:3", "8"), { kind: "random", count: 3, diameter: [8, 8] });
  assert.deepEqual(parsePlacement("own", "6-20"), { kind: "own" });
  for (const [where, mm] of [["all", "6-20"], ["random:0", "6-20"], ["random", "20-6"]]) {
    assert.throws(() => parsePlacement(where, mm), { name: "InputError" }, `${where} ${mm}`);
  }
  for (const mm of ["2-8", "6-50", "6-", "x"]) {
    assert.throws(() => parsePlacement("random", mm), /--diameter/, mm);
  }
});

Deno.test("the model is told the asked-for nodules in place of the slice's own, or none", async () => {
  const { train } = openPhantomDataset({ seed: 5, count: 2, size: 128 });
  const size = { height: 32, width: 32 };
  const prepared = await prepareSlice(train[1], size, undefined, { condition: "nodule-mask" });
  assert.ok(prepared.classMap.some((v) => v > 0));
  const none = withNodules(prepared, size, undefined);
  assert.deepEqual([none.label, none.classMap.some((v) => v > 0)], [0, false]);
  const mask = new Uint8Array(128 * 128);
  for (const i of [0, 1, 128]) mask[(40 * 128 + 60) + i] = 1;
  const told = withNodules(prepared, { height: 128, width: 128 }, mask);
  assert.equal(told.label, 1);
  assert.deepEqual([...told.classMap].flatMap((v, i) => v ? [i] : []), [10 * 32 + 15]);
  assert.equal(told.classMap[10 * 32 + 15], Math.fround(48 / 255)); // 3 of 16, in steps of 1/255
  assert.equal(wholePixels(told.classMap)[10 * 32 + 15], 1, "it keeps the pixel it covers most");
  assert.deepEqual([...wholePixels(Float32Array.of(0.6, 0.4, 0, 0.5))], [1, 0, 0, 1]);
});
