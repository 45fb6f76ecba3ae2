/** Do nodules stand where they were asked for: what is measured, and the detector that looks. */

import assert from "node:assert/strict";
import type { LoadedSlice } from "../../lib/data/dataset.ts";
import { spread } from "../../lib/evaluate/inputs.ts";
import { measurePlacement } from "../../lib/evaluate/placement.ts";
import { placementRows, placementTable } from "../../lib/evaluate/placement_report.ts";
import {
  byClass,
  heldOut,
  type MeasuredSlice,
  nodulesOf,
} from "../../lib/evaluate/placement_run.ts";
import { NoduleSegmenter, type SegmenterSlice } from "../../lib/evaluate/segmenter.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { dice } from "../../lib/metrics/overlap.ts";
import { mean } from "../../lib/metrics/statistics.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

const SIZE = { height: 24, width: 24 };
const plane = (of: (x: number, y: number) => number) =>
  Float32Array.from({ length: 576 }, (_, i) => of(i % 24, Math.floor(i / 24)));
const square = (cx: number, cy: number, reach: number) =>
  plane((x, y) => Math.max(Math.abs(x - cx), Math.abs(y - cy)) <= reach ? 1 : 0);
const LUNG = square(12, 12, 10);

/** A lung at −800 HU with nodules at 40 HU where `bright` says. */
function slice(nodules: Float32Array[], bright: Float32Array, detected = bright) {
  return { ...SIZE, hu: bright.map((v) => v ? 40 : -800), lungMask: LUNG, nodules, detected };
}

Deno.test("placement: contrast, overlap and detection of a nodule that stands where it should", () => {
  const at = square(8, 8, 1);
  const { nodules, extra, apart } = measurePlacement(slice([at], at));
  assert.deepEqual(nodules, [{ contrast: 840, dice: 1, found: true }]);
  assert.deepEqual([extra, apart], [0, undefined]);
});

Deno.test("placement: a nodule elsewhere is not found, has no contrast, and is one too many", () => {
  const { nodules, extra } = measurePlacement(slice([square(8, 8, 1)], square(17, 17, 1)));
  assert.deepEqual(nodules, [{ contrast: 0, dice: 0, found: false }]);
  assert.equal(extra, 1);
  // Off by one pixel it still counts, by two beyond its edge it does not.
  const off = (by: number) => measurePlacement(slice([square(8, 8, 1)], square(9 + 2 + by, 8, 1)));
  assert.equal(off(0).nodules[0].found, true);
  assert.equal(off(1).nodules[0].found, false);
  // Outside the lungs nothing is looked for.
  assert.equal(measurePlacement(slice([], square(0, 0, 1))).extra, 0);
});

Deno.test("placement: coverage weighs the contrast; the surroundings are lung without other nodules", () => {
  const half = square(8, 8, 1).map((v, i) => i === 8 * 24 + 8 ? 1 : v / 2);
  const hu = plane((x, y) => x === 8 && y === 8 ? 200 : -800);
  const { nodules } = measurePlacement({ ...slice([half], square(8, 8, 0)), hu });
  assert.equal(nodules[0].contrast, 1000 / 5); // one pixel of weight 1, eight of ½
  const second = square(12, 8, 1); // within the ring of the first, and bright
  const both = measurePlacement(
    slice(
      [square(8, 8, 1), second],
      plane((x, y) => square(8, 8, 1)[y * 24 + x] || second[y * 24 + x]),
    ),
  );
  assert.deepEqual(both.nodules.map(({ contrast }) => contrast), [840, 840]);
});

Deno.test("placement: two are told apart where each has a detection of its own", () => {
  const [a, b] = [square(7, 8, 1), square(16, 8, 1)];
  const both = a.map((v, i) => v || b[i]);
  assert.equal(measurePlacement(slice([a, b], both)).apart, true);
  assert.equal(measurePlacement(slice([a, b], a)).apart, false);
  const bridge = plane((x, y) => y === 8 && x >= 6 && x <= 17 ? 1 : 0);
  const joined = measurePlacement(slice([a, b], both, bridge));
  assert.deepEqual([joined.apart, joined.nodules.map(({ found }) => found)], [false, [true, true]]);
  // Without room between them there is nothing to tell apart.
  assert.equal(measurePlacement(slice([a, square(9, 8, 1)], a)).apart, undefined);
});

Deno.test("placement: size classes, rows and table; nothing is counted twice or lost", () => {
  const nodule = (found: boolean) => ({ contrast: found ? 600 : 0, dice: found ? 0.9 : 0, found });
  const one = (group: MeasuredSlice["group"], diameter: number, found: boolean): MeasuredSlice => ({
    id: "a",
    group,
    diameters: [diameter],
    nodules: [nodule(found)],
    extra: found ? 0 : 1,
  });
  const none: MeasuredSlice = { id: "b", group: "none", diameters: [], nodules: [], extra: 0 };
  const asked = [one("one", 4, true), one("one", 7.99, false), one("wall", 8, true)];
  const real = [one("real", 30, true), none];
  assert.equal(byClass(asked, [4, 8]).length, 2);
  assert.equal(byClass(asked, [8, 15]).length, 1);
  assert.equal(byClass(real, [15, 30]).length, 1);
  const rows = placementRows({ asked: [...asked, none], real, notes: [], shown: [] }, 0);
  const of = (what: string, which: string) =>
    rows.find((r) => r.what.startsWith(what) && r.of === which)!;
  assert.deepEqual([of("found", "4 to 8 mm").count, of("found", "4 to 8 mm").value], [2, 0.5]);
  assert.equal(of("found", "15 to 30 mm").real, 1);
  assert.equal(of("detections elsewhere", "all slices").value, 0.25);
  assert.equal(of("nothing found", "none asked for").value, 1);
  assert.match(placementTable(rows), /^found at the place, share +4 to 8 mm +2 +0\.500/m);
});

Deno.test("nodules of a slice are its pieces, with the diameter of their area; a held-out split is needed", () => {
  const noduleMask = Uint8Array.from(square(6, 6, 1).map((v, i) => v || square(16, 16, 0)[i]));
  const loaded = { ...SIZE, noduleMask } as unknown as LoadedSlice;
  const own = nodulesOf(loaded, 2);
  assert.deepEqual(own.map(({ diameterMm }) => diameterMm.toFixed(3)), [
    (4 * Math.sqrt(9 / Math.PI)).toFixed(3),
    (4 * Math.sqrt(1 / Math.PI)).toFixed(3),
  ]);
  assert.throws(() => heldOut({ val: [], test: [] }), /no test and no validation split/);
});

/** Bright squares in noise: what a segmenter learns within seconds. */
function slices(count: number, seed: number): SegmenterSlice[] {
  const random = new PhiloxStream(seed, 0);
  return Array.from({ length: count }, (_, i) => {
    const has = i % 2 === 1, spot = square(5 + random.int(14), 5 + random.int(14), 1);
    const ct = plane((x, y) =>
      -0.6 + 0.1 * random.range(-1, 1) + (has && spot[y * 24 + x] ? 1 : 0)
    );
    const noduleMask = has ? spot : new Float32Array(576);
    return { ct, lungMask: LUNG, label: has ? 1 as const : 0 as const, noduleMask };
  });
}

Deno.test("the segmenter learns where nodules are, the same way each time; what cannot teach is refused", async () => {
  const gpu = await openGpu();
  const options = { ...SIZE, steps: 80, batch: 8, seed: 1 };
  const train = slices(24, 1), test = slices(12, 2);
  const run = async (steps = options.steps) => {
    const segmenter = await NoduleSegmenter.train(gpu, train, { ...options, steps });
    const out = await segmenter.probabilities(test);
    segmenter.destroy();
    return out;
  };
  const found = await run();
  const measures = test.map((s, i) =>
    measurePlacement({
      ...SIZE,
      hu: s.ct,
      lungMask: LUNG,
      nodules: s.label ? [s.noduleMask] : [],
      detected: found[i],
    })
  );
  assert.ok(measures.every(({ nodules }) => nodules.every((n) => n.found)));
  assert.ok(measures.reduce((sum, { extra }) => sum + extra, 0) <= 1);
  assert.deepEqual(await run(3), await run(3));
  const positive = train.filter(({ label }) => label === 1);
  await assert.rejects(NoduleSegmenter.train(gpu, positive, options), /no slice without a nodule/);
  const odd = { ...options, height: 22 };
  await assert.rejects(NoduleSegmenter.train(gpu, train, odd), /22×24: multiples of 4/);
  gpu.destroy();
});

Deno.test("the segmenter of small nodules does not settle for marking nothing, whatever the seed", async () => {
  const gpu = await openGpu();
  const size = { height: 40, width: 40 }, pixels = 40 * 40;
  const random = new PhiloxStream(3, 0);
  const train = Array.from({ length: 24 }, (_, i): SegmenterSlice => {
    const noduleMask = new Float32Array(pixels);
    const at = (8 + random.int(24)) * 40 + 8 + random.int(24);
    if (i % 2) { for (const by of [0, 1, 40, 41]) noduleMask[at + by] = 1; }
    const ct = noduleMask.map((v) => -0.6 + 0.2 * random.range(-1, 1) + 0.8 * v);
    return { ct, noduleMask, lungMask: new Float32Array(pixels).fill(1), label: i % 2 as 0 | 1 };
  });
  for (const seed of [0, 1, 2]) {
    const segmenter = await NoduleSegmenter.train(gpu, train, {
      ...size,
      steps: 60,
      batch: 8,
      seed,
    });
    const maps = await segmenter.probabilities(train);
    segmenter.destroy();
    const found = train.map(({ noduleMask }, i) =>
      dice(maps[i].map((p) => +(p >= 0.5)), noduleMask)
    );
    assert.ok(mean(found.filter((_, i) => i % 2)) > 0.5, `seed ${seed}: Dice ${found}`);
  }
  gpu.destroy();
});

Deno.test("a part of the training slices has both classes, whatever pattern they come in", () => {
  // Eight slices a patient, every other one with a nodule, the parity turning from patient to patient.
  const records = Array.from({ length: 3200 }, (_, i) => ({
    i,
    label: ((Math.floor(i / 8) + i % 8) % 2) as 0 | 1,
  }));
  for (const limit of [600, 1000, 200, 37, 2]) {
    const chosen = spread(records, limit);
    const positive = chosen.filter(({ label }) => label === 1).length;
    assert.ok(Math.abs(chosen.length - limit) <= 1, `${chosen.length} of ${limit}`);
    assert.ok(Math.abs(2 * positive - chosen.length) <= 1, `${positive} of ${chosen.length}`);
    assert.ok(chosen.every((r, k) => k === 0 || chosen[k - 1].i < r.i));
    assert.ok(chosen[chosen.length - 1].i > 3200 - 2 * 3200 / limit - 16, "up to the end");
  }
  assert.deepEqual(spread(records, 0), records);
  assert.deepEqual(spread(records.slice(0, 5), 9), records.slice(0, 5));
});
