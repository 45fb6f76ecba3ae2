/** Who votes, and with how many votes, when readers' outlines become one nodule. */

import assert from "node:assert/strict";
import {
  annotate,
  CONSENSUS_DEFAULTS,
  type Grid,
  nodulePlane,
} from "../../lib/data/lidc/consensus.ts";
import { CHARACTERISTICS, type Characteristics, type Reader } from "../../lib/data/lidc/xml.ts";

const grid: Grid = {
  rows: 64,
  columns: 64,
  pixelSpacing: [0.5, 0.8],
  sliceSpacing: 2.5,
  slices: [0, 1].map((i) => ({
    file: `${i}`,
    sopInstance: `1.${i}`,
    instanceNumber: i,
    z: 2.5 * i,
    position: [0, 0, 2.5 * i],
  })),
};

/** A closed outline whose inside is `side` × `side` pixels, around (x, y). */
function square(x: number, y: number, side: number): number[] {
  const r = (side + 1) / 2, points: number[] = [];
  const [x0, y0, x1, y1] = [x - r, y - r, x + r, y + r];
  for (let i = x0; i < x1; i++) points.push(i, y0);
  for (let i = y0; i < y1; i++) points.push(x1, i);
  for (let i = x1; i > x0; i--) points.push(i, y1);
  for (let i = y1; i > y0; i--) points.push(x0, i);
  return [...points, x0, y0];
}

const mark = (id: string, points: number[], rating = 3, slice = 0) => ({
  id,
  characteristics: Object.fromEntries(
    Object.keys(CHARACTERISTICS).map((name) => [name, rating]),
  ) as Characteristics,
  rois: [{ sopInstance: `1.${slice}`, z: 0, inclusion: true, points: Int32Array.from(points) }],
});
const readers = (...marks: ReturnType<typeof mark>[][]): Reader[] =>
  marks.map((nodules, index) => ({ index, nodules, nonNodules: [] }));

const pixels = (given: Reader[], options?: typeof CONSENSUS_DEFAULTS) => {
  const { nodules } = annotate(given, grid, options);
  return [0, 1].map((slice) => nodulePlane(nodules, slice, grid).reduce((a, b) => a + b, 0));
};

Deno.test("by default a pixel is a nodule's where two of four readers drew it, not one", () => {
  const four = readers(...[9, 7, 5, 3].map((side) => [mark("1", square(30, 30, side))]));
  const wide = { ...CONSENSUS_DEFAULTS, tolerance: 20 };
  assert.equal(CONSENSUS_DEFAULTS.threshold, 0.5);
  assert.deepEqual(pixels(four, wide), [49, 0]);
  const share = (threshold: number) => pixels(four, { ...wide, threshold })[0];
  assert.deepEqual([0.25, 0.26, 0.5, 0.51, 0.75, 0.76, 1].map(share), [81, 49, 49, 25, 25, 9, 9]);
  // Of three readers a half is two; of one it is one.
  assert.deepEqual(pixels(four.slice(0, 3), wide), [49, 0]);
  assert.deepEqual(pixels(four.slice(0, 1)), [81, 0]);
});

Deno.test("outlines are of one nodule within the slice spacing by default", () => {
  // Columns are 0.8 mm: borders 3 pixels apart are 2.4 mm apart, 4 pixels 3.2 mm; slices are 2.5 mm.
  const apart = (gap: number) =>
    annotate(
      readers([mark("1", square(20, 20, 5))], [mark("1", square(26 + gap, 20, 5))]),
      grid,
    ).nodules.length;
  assert.deepEqual([apart(3), apart(4)], [1, 2]);
  assert.equal(CONSENSUS_DEFAULTS.tolerance, 0);
});

Deno.test("a reader who drew a nodule in two parts has one vote on each pixel", () => {
  // The first reader's two marks overlap; the others agree only on the left.
  const twice = [mark("1", square(30, 30, 5)), mark("2", square(32, 30, 5))];
  const others = [[mark("1", square(28, 30, 5))], [mark("1", square(28, 30, 5))]];
  const { nodules: [found, ...more] } = annotate(readers(twice, ...others), grid);
  assert.deepEqual([more.length, found.readers], [0, 3]);
  // Two of three votes needed: what the two others drew, 5 × 5, and nothing of the overlap besides.
  const plane = nodulePlane([found], 0, grid);
  assert.equal(plane.reduce((a, b) => a + b, 0), 25);
  assert.equal(plane[30 * 64 + 31], 0, "drawn twice by one reader, by no other");
  assert.equal(plane[30 * 64 + 28], 1);
});

Deno.test("the two parts of one reader's nodule are united", () => {
  const parts = [mark("1", square(30, 30, 3)), mark("2", square(34, 30, 3))];
  assert.deepEqual(pixels(readers(parts)), [18, 0]);
});

Deno.test("volume and diameter in mm, of the consensus, over all slices", () => {
  const [low, high] = [mark("1", square(30, 30, 5)), mark("1", square(30, 30, 3), 3, 1)];
  const both = [{ ...low, rois: [...low.rois, ...high.rois] }];
  const { nodules: [found] } = annotate(readers(both, both), grid);
  assert.equal(found.volumeMm3, (25 + 9) * 0.5 * 0.8 * 2.5);
  assert.equal(found.diameterMm, Math.cbrt(6 * found.volumeMm3 / Math.PI));
  assert.deepEqual([...found.patches.keys()], [0, 1]);
  const one = annotate(readers(both), { ...grid, sliceSpacing: 0 }, {
    threshold: 0.5,
    tolerance: 3,
  });
  assert.equal(one.nodules[0].volumeMm3, (25 + 9) * 0.5 * 0.8, "no slice spacing: 1 mm");
});

Deno.test("ratings are means over the marks of the lesion, not of others", () => {
  const found = annotate(
    readers(
      [mark("1", square(20, 20, 5), 1), mark("2", square(50, 50, 5), 5)],
      [mark("1", square(20, 20, 5), 4)],
    ),
    grid,
  );
  assert.deepEqual(found.nodules.map((n) => n.characteristics!.malignancy), [2.5, 5]);
  assert.deepEqual([found.marks, found.nodules.map((n) => n.readers)], [3, [2, 1]]);
});

Deno.test("outlines up to a pixel outside the image count, further ones are noted", () => {
  const edge = annotate(readers([mark("1", square(1, 1, 3))]), grid);
  assert.deepEqual([edge.notes, edge.nodules.length], [[], 1]);
  const outside = annotate(readers([mark("1", square(0, 1, 3))]), grid);
  assert.equal(outside.nodules.length, 0);
  assert.match(outside.notes.join(), /outside the 64×64 image/);
  const far = annotate(readers([mark("1", square(62, 62, 3))]), grid);
  assert.deepEqual(far.notes, []);
  assert.match(annotate(readers([mark("1", square(63, 62, 3))]), grid).notes.join(), /outside/);
});
