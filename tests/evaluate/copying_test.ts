/** Copies of training slices: whose distance is compared with whose, and where a slice is looked at. */

import assert from "node:assert/strict";
import { copying, isCopied } from "../../lib/evaluate/copying.ts";

const rows = (...values: number[]) => ({
  count: values.length,
  size: 1,
  data: Float64Array.from(values),
});

Deno.test("a copy of one of a patient's many like slices: the ratio is to other patients", () => {
  // Patient a has three slices that are almost the same; b and c are far off.
  const train = rows(10, 10.1, 10.2, 50, 90);
  const { pairs } = copying(rows(10.04, 60), train, ["a", "a", "a", "b", "c"], {
    rows: rows(),
    patients: [],
  });
  assert.deepEqual(pairs.map(({ generated, train }) => [generated, train]), [[0, 0], [1, 3]]);
  assert.ok(Math.abs(pairs[0].ratio! - 0.04 / 39.96) < 1e-9, `${pairs[0].ratio}`);
  assert.ok(Math.abs(pairs[1].ratio! - 10 / 30) < 1e-9);
  assert.ok(Math.abs(pairs[0].distance - 0.04) < 1e-9 && pairs[1].distance === 10);
});

Deno.test("real slices judge without their own patient: in training, and held out", () => {
  const patients = Array.from({ length: 12 }, (_, i) => `p${i}`);
  // Each patient at i², twice: were a patient's own slice counted, all real ratios would be 0.
  const places = patients.map((_, i) => i * i);
  const train = rows(...places, ...places);
  const held = { rows: rows(4), patients: ["p2"] };
  const { memorisation } = copying(rows(100), train, [...patients, ...patients], held);
  assert.equal(memorisation!.calibration, 25);
  // p2 held out stands at 4, where p2 trains: its nearest other is p1 at 1 (3), then p3 at 9 (5).
  assert.ok(memorisation!.median.real > 0.5, `${memorisation!.median.real}`);
  assert.equal(memorisation!.rate, 1); // the copy of p10
  const stranger = copying(rows(100), train, [...patients, ...patients], {
    rows: rows(4),
    patients: ["q"],
  });
  assert.ok(stranger.memorisation!.threshold < memorisation!.threshold, "4 is p2's own then");
});

Deno.test("one patient alone gives distances and no ratios; too few patients no rate", () => {
  const one = copying(rows(3, 1), rows(1, 2), ["a", "a"], { rows: rows(), patients: [] });
  assert.deepEqual(one.pairs, [
    { generated: 1, train: 0, distance: 0, ratio: null },
    { generated: 0, train: 1, distance: 1, ratio: null },
  ]);
  assert.equal(one.memorisation, null);
});

Deno.test("a slice is a copy by what is inside its own lungs, whatever is outside", () => {
  const width = 4;
  const lungMask = Float32Array.of(0, 1, 1, 0, 0, 1, 0, 0);
  const ct = Float32Array.of(9, 0.1, 0.2, 9, 9, 0.3, 9, 9);
  const plane = (change: (v: number, i: number) => number) => ({
    ct: ct.map(change),
    lungMask: new Float32Array(8).fill(1),
  });
  const copied = (other: ReturnType<typeof plane>, limit = 0.01) =>
    isCopied({ ct, lungMask }, [other], width, limit);
  assert.equal(copied(plane((v, i) => lungMask[i] ? v : -5)), true, "other outside");
  assert.equal(copied(plane((v, i) => lungMask[i] ? v + 1 : v)), false, "other inside");
  // Root mean square over the three pixels inside: √(0.03²/3) = 0.0173.
  const moved = plane((v, i) => i === 5 ? v + 0.03 : v);
  assert.equal(copied(moved, 0.0174), true);
  assert.equal(copied(moved, 0.0172), false);
  // Its mirror image, row by row.
  const mirror = { ct: Float32Array.of(9, 0.2, 0.1, 9, 9, 9, 0.3, 9), lungMask };
  assert.equal(copied(mirror), true);
  assert.equal(copied({ ct: Float32Array.of(9, 9, 0.3, 9, 9, 0.2, 0.1, 9), lungMask }), false);
  const first = { ct: new Float32Array(8).fill(7), lungMask };
  assert.equal(isCopied({ ct, lungMask }, [first, mirror], width, 0.01), true, "any of them");
  const none = { ct, lungMask: new Float32Array(8) };
  assert.equal(isCopied(none, [plane((v) => v)], width, 0.01), false, "no lung");
  assert.equal(isCopied({ ct, lungMask }, [], width, 0.01), false);
});
