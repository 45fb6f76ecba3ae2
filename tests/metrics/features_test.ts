/** Distances between given feature sets against torchmetrics, torch-fidelity and scipy. */

import assert from "node:assert/strict";
import { fidInfinity, frechetDistance } from "../../lib/metrics/fid.ts";
import { inceptionScore, numpyPermutation } from "../../lib/metrics/inception_score.ts";
import { kid, polynomialMmd } from "../../lib/metrics/kid.ts";
import { type Features, singularValues } from "../../lib/metrics/linear_algebra.ts";
import { lpipsDistance } from "../../lib/metrics/lpips.ts";
import { gaussianMmd } from "../../lib/metrics/mmd.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";
import golden from "../fixtures/metrics/feature_metrics.json" with { type: "json" };
import { uniforms } from "./shared.ts";

/** `features` of tests/reference/make_feature_metrics.py. */
function features(count: number, size: number, seed: number, shift: number): Features {
  const own = uniforms(count * size, seed), groups = size / 4;
  const common = uniforms(count * groups, seed + 7);
  const data = own.map((value, i) => {
    const row = Math.floor(i / size), column = i % size;
    return value / 2 + common[row * groups + Math.floor(column / 4)] / 2 + shift;
  });
  return { count, size, data };
}

function near(actual: number, expected: number, tolerance: number, what: string) {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
}

Deno.test("FID of given features agrees with torchmetrics within 1e-3, with scipy within 1e-9", () => {
  const [small, few] = golden.fid;
  const value = frechetDistance(features(200, 64, 1, 0), features(180, 64, 2, 0.125));
  near(value, small.torchmetrics, 1e-9, "FID 200/180, 64");
  near(value, small.scipy!, 1e-9, "FID 200/180, 64 (scipy)");
  const wide = frechetDistance(features(32, 2048, 3, 0), features(32, 2048, 4, 0.03125));
  near(wide, few.torchmetrics, 1e-3, "FID 32, 2048");
});

Deno.test("FID of identical sets is below 1e-6, few or many rows", () => {
  for (const [count, size] of [[32, 2048], [200, 64], [65, 64], [2, 8]]) {
    const set = features(count, size, 9, 3);
    const value = frechetDistance(set, set);
    assert.ok(Math.abs(value) < 1e-6, `${count}×${size}: ${value}`);
  }
});

Deno.test("FID refuses one image, sizes that differ and values that are not finite", () => {
  const set = features(4, 8, 1, 0);
  assert.throws(() => frechetDistance(features(1, 8, 1, 0), set), /at least 2 images.*1 and 4/);
  assert.throws(() => frechetDistance(features(4, 4, 1, 0), set), /different size: 4 and 8/);
  const broken = features(4, 8, 1, 0);
  broken.data[3] = NaN;
  assert.throws(() => frechetDistance(broken, set), /not finite/);
});

Deno.test("FID∞ is nearer the truth than FID of few images, and needs twenty", () => {
  // Two draws of one distribution: the truth is 0, every finite FID is above.
  const a = features(160, 32, 1, 0), b = features(160, 32, 2, 0);
  const plain = frechetDistance(a, b);
  const { value, points } = fidInfinity(a, b, new PhiloxStream(1))!;
  assert.ok(Math.abs(value) < plain / 2, `FID ${plain}, FID∞ ${value}`);
  assert.equal(points.length, 18);
  assert.equal(fidInfinity(features(19, 8, 1, 0), b, new PhiloxStream(1)), null);
});

Deno.test("KID agrees with torch-fidelity; one subset where both sets are one", () => {
  const head = (set: Features) => ({ ...set, count: 150, data: set.data.subarray(0, 150 * 64) });
  const a = head(features(200, 64, 1, 0)), b = head(features(180, 64, 2, 0.125));
  near(polynomialMmd(a, b), golden.kid, 1e-12, "KID");
  const whole = kid(a, b, new PhiloxStream(0));
  near(whole.mean, golden.kid, 1e-12, "KID of the only subset");
  assert.deepEqual([whole.subsets, whole.subsetSize, whole.deviation], [1, 150, 0]);
  const drawn = kid(a, b, new PhiloxStream(0), { subsets: 10, subsetSize: 50 });
  near(drawn.mean, golden.kid, 0.02, "KID of subsets");
  assert.ok(drawn.deviation > 0);
});

Deno.test("Inception Score agrees with torch-fidelity, its shuffle included", () => {
  assert.deepEqual([...numpyPermutation(20, 2020)], golden.permutation);
  const logits = features(53, 100, 5, 0);
  logits.data = logits.data.map((value) => value * 12);
  const score = inceptionScore(logits);
  near(score.mean, golden.inception_score[0], 1e-12, "mean");
  near(score.deviation, golden.inception_score[1], 1e-12, "deviation");
  assert.throws(() => inceptionScore(features(9, 4, 1, 0)), /at least 10 images, got 9/);
});

Deno.test("singular values: known matrices, rank deficient, wide and tall", () => {
  const of = (
    rows: number,
    columns: number,
    ...values: number[]
  ) => [...singularValues(Float64Array.from(values), rows, columns)];
  const close = (actual: number[], expected: number[]) => {
    assert.equal(actual.length, expected.length);
    actual.forEach((value, i) => near(value, expected[i], 1e-14 * (1 + expected[0]), `σ${i}`));
  };
  close(of(2, 2, 3, 0, 0, -4), [4, 3]);
  close(of(2, 2, 1, 1, 1, 1), [2, 0]);
  close(of(2, 3, 3, 2, 2, 2, 3, -2), [5, 3]);
  close(of(3, 2, 3, 2, 2, 3, 2, -2), [5, 3]);
  close(of(1, 1, -7), [7]);
  close(of(3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0), [0, 0, 0]);
});

Deno.test("Gaussian MMD: hand-worked pairs, and near 0 between two draws of one distribution", () => {
  // One-dimensional rows {0, 1} and {3, 5}, sigma 1.
  const set = (...values: number[]) => ({
    count: values.length,
    size: 1,
    data: Float64Array.from(values),
  });
  const k = (d: number) => Math.exp(-d * d / 2);
  const { squared } = gaussianMmd(set(0, 1), set(3, 5), 1);
  near(squared, k(1) + k(2) - 2 * (k(3) + k(5) + k(2) + k(4)) / 4, 1e-15, "MMD²");
  near(gaussianMmd(set(0, 1), set(3, 5)).sigma, 2.5, 1e-15, "median of 1 2 2 3 4 5");
  const same = gaussianMmd(features(100, 16, 1, 0), features(100, 16, 2, 0)).squared;
  const moved = gaussianMmd(features(100, 16, 1, 0), features(100, 16, 2, 0.3)).squared;
  assert.ok(Math.abs(same) < 0.01 && moved > 0.1, `${same} ${moved}`);
});

Deno.test("LPIPS arithmetic: a hand-worked tap, zero features, shapes that differ", () => {
  const tap = (...values: number[]) => ({ channels: 2, data: Float32Array.from(values) });
  // Two channels, two pixels: (3, 4) → (0.6, 0.8) against (1, 0); the second pixel is zero in both.
  const a = tap(3, 0, 4, 0), b = tap(2, 0, 0, 0), head = Float32Array.of(1, 10);
  near(lpipsDistance([a], [b], [head]), (0.16 + 10 * 0.64) / 2, 1e-6, "LPIPS");
  assert.equal(lpipsDistance([a], [a], [head]), 0);
  assert.throws(() => lpipsDistance([a], [tap(1, 2)], [head]), /tap 0/);
});
