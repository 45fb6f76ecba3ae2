/** Scores of an evaluation against figures worked out here: pairs, references, ranges, lungs. */

import assert from "node:assert/strict";
import { openPhantomDataset, prepareSlice, type SliceRecord } from "../../lib/data/dataset.ts";
import { LUNG_WINDOW, unwindowHu } from "../../lib/data/window.ts";
import { lungsSeen, maskAdherence } from "../../lib/evaluate/conditions.ts";
import { evaluate } from "../../lib/evaluate/evaluation.ts";
import type { EvalSlice, EvaluationInput } from "../../lib/evaluate/slices.ts";
import { METRICS } from "../../lib/evaluate/score.ts";

const SIZE = { height: 48, width: 48 };
const NO_NETWORKS = { inception: null, lpips: null, classifier: null, classifierHeldOut: [] };
const SPACING: [number, number] = [360 / 48, 360 / 48];

const { train: trained, val } = openPhantomDataset({ seed: 5, count: 24, size: 96 });
const prepare = (records: SliceRecord[]) =>
  Promise.all(records.map((r) => prepareSlice(r, SIZE, LUNG_WINDOW, { antialias: true })));
const real: EvalSlice[] = await prepare(val), train: EvalSlice[] = await prepare(trained);

const scores = async (change: Partial<EvaluationInput>) => {
  const evaluation = await evaluate({
    ...SIZE,
    window: LUNG_WINDOW,
    pixelSpacing: SPACING,
    generated: real,
    real,
    partners: null,
    train,
    seed: 1,
    ...change,
  }, NO_NETWORKS);
  const of = (name: string) => evaluation.scores.find((score) => score.name === name)!;
  return { evaluation, of };
};
const near = (actual: number | null | undefined, expected: number, what: string, relative = 1e-5) =>
  assert.ok(
    Math.abs(actual! - expected) <= relative * Math.abs(expected),
    `${what}: ${actual}, expected ${expected}`,
  );
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Different in each slice, so that pairs in another order show. */
const moved = real.map((slice, i) => ({
  ...slice,
  ct: slice.ct.map((v, k) => v * 0.8 + (i + 1) * 0.03 + 0.01 * (k % 3)),
}));
const squares = (a: EvalSlice, b: EvalSlice) =>
  [...a.ct.keys()].map((k) => (a.ct[k] - b.ct[k]) ** 2);

Deno.test("MSE and PSNR, of all pixels times the mask and inside it, of a range of 2", async () => {
  const { of } = await scores({ generated: moved, partners: real });
  const masks = real.map(({ lungMask }) => lungMask);
  const inside = moved.map((s, i) => mean(squares(s, real[i]).filter((_, k) => masks[i][k] > 0.5)));
  const both = moved.map((s, i) => mean(squares(s, real[i]).map((v, k) => v * masks[i][k])));
  const psnr = (mse: number) => 10 * Math.log10(4 / mse);
  near(of("mse_in_mask").value, mean(inside), "MSE inside");
  near(of("mse").value, mean(both), "MSE times the mask");
  near(of("psnr_in_mask").value, mean(inside.map(psnr)), "PSNR inside");
  near(of("psnr").value, mean(both.map(psnr)), "PSNR times the mask");
  const spread = inside.map((v) => (v - mean(inside)) ** 2);
  near(of("mse_in_mask").deviation, Math.sqrt(mean(spread)), "deviation, ddof 0");
});

Deno.test("each slice is paired with its partner, whatever the order of the real ones", async () => {
  const straight = await scores({ generated: moved, partners: real });
  const turned = await scores({
    generated: moved.toReversed(),
    partners: real.toReversed(),
    real,
  });
  for (const name of ["psnr", "ssim", "ms_ssim", "mse_in_mask"]) {
    near(turned.of(name).value, straight.of(name).value!, name, 1e-9);
  }
  const wrong = await scores({ generated: moved, partners: real.toReversed() });
  assert.ok(wrong.of("mse_in_mask").value! > straight.of("mse_in_mask").value!);
  const ids = straight.evaluation.slices.map((s) => s.id);
  assert.deepEqual(ids, moved.map((s) => s.id));
});

/** 1-Wasserstein distance by the quantiles of both, a sum over the joint steps. */
function distance(a: number[], b: number[]): number {
  const [x, y] = [a, b].map((v) => v.toSorted((p, q) => p - q));
  let sum = 0, at = 0;
  for (let i = 0, j = 0; i < x.length && j < y.length;) {
    const end = Math.min((i + 1) / x.length, (j + 1) / y.length);
    sum += (end - at) * Math.abs(x[i] - y[j]);
    at = end;
    if ((i + 1) / x.length <= end + 1e-15) i++;
    if ((j + 1) / y.length <= end + 1e-15) j++;
  }
  return sum;
}
const hu = (slices: EvalSlice[]) =>
  slices.flatMap(({ ct, lungMask }) =>
    [...unwindowHu(ct, LUNG_WINDOW)].filter((_, k) => lungMask[k] > 0.5)
  );

Deno.test("HU distance is of generated and real, its reference of training and real slices", async () => {
  const { of } = await scores({ generated: moved });
  near(of("hu_distance").value, distance(hu(moved), hu(real)), "value", 1e-4);
  near(of("hu_distance").reference, distance(hu(train), hu(real)), "reference", 1e-4);
});

Deno.test("references do not hang on what was generated; without training slices there are none", async () => {
  const names = [
    "frd",
    "frd_subset",
    "mmd",
    "hu_distance",
    "spectrum_distance",
    "mask_dice",
    "copied",
  ];
  const [one, other] = [await scores({ generated: moved }), await scores({ generated: real })];
  for (const name of names) {
    const { reference, value } = one.of(name);
    assert.equal(other.of(name).reference, reference, name);
    assert.ok(Number.isFinite(reference), name);
    if (name !== "copied") assert.notEqual(reference, value, `${name} is its own reference`);
  }
  const none = await scores({ generated: moved, train: [] });
  for (const name of names.slice(0, 4)) assert.equal(none.of(name).reference, null, name);
  near(none.of("mask_dice").reference, one.of("mask_dice").reference!, "of real slices alone");
});

Deno.test("mask adherence sees both lungs", () => {
  const options = { ...SIZE, window: LUNG_WINDOW, pixelSpacing: SPACING };
  for (const { ct, lungMask, id } of real) {
    const seen = lungsSeen(ct, options);
    // Left and right of the image's middle each lung is found where the mask has one.
    for (const isLeft of [true, false]) {
      const half = (plane: Float32Array) =>
        plane.reduce((sum, v, k) => sum + ((k % 48 < 24) === isLeft ? v : 0), 0);
      if (half(lungMask) < 40) continue;
      assert.ok(half(seen) > 0.6 * half(lungMask), `${id}: ${half(seen)} of ${half(lungMask)}`);
    }
    const whole = maskAdherence(ct, lungMask, options);
    const oneLung = lungMask.map((v, k) => k % 48 < 24 ? v : 0);
    assert.ok(whole.dice > 0.75, `${id}: ${whole.dice}`);
    assert.ok(maskAdherence(ct, oneLung, options).dice < whole.dice - 0.1, id);
    assert.deepEqual(whole.seen, seen);
  }
});

Deno.test("copies are sought inside the lungs and within 10 HU", async () => {
  // The window is 1500 HU wide: 10 HU are 10/750.
  const share = async (change: (v: number, inside: boolean) => number) =>
    (await scores({
      generated: train.slice(0, 4).map((slice, i) => ({
        ...slice,
        id: `g${i}`,
        ct: slice.ct.map((v, k) => change(v, slice.lungMask[k] > 0.5)),
      })),
    })).of("copied").value;
  assert.equal(await share((v, inside) => inside ? v : -v), 1, "all else is other");
  assert.equal(await share((v) => v + 9.9 / 750), 1);
  assert.equal(await share((v) => v + 10.1 / 750), 0);
});

Deno.test("every metric says which way is better", () => {
  const higher = ["psnr", "ssim", "ssim_cropped", "ms_ssim", "psnr_in_mask", "ssim_in_mask"]
    .concat("inception_score", "mask_dice", "nodule_auc", "nodule_agreement");
  for (const { name, better } of METRICS) {
    assert.equal(better, higher.includes(name) ? "higher" : "lower", name);
  }
});
