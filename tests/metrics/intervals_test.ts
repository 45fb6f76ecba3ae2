/** Intervals, subsets and borders of the metrics: exact, or within what chance allows. */

import assert from "node:assert/strict";
import { summarise } from "../../lib/metrics/bootstrap.ts";
import { histogram } from "../../lib/metrics/histogram_distance.ts";
import { kid } from "../../lib/metrics/kid.ts";
import type { Features } from "../../lib/metrics/linear_algebra.ts";
import { memorisation, nearest } from "../../lib/metrics/nearest.ts";
import { auc, dice } from "../../lib/metrics/overlap.ts";
import { choose, deviation, line, mean, quantile } from "../../lib/metrics/statistics.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

Deno.test("the bootstrap interval is of 95%: percentiles 2.5 and 97.5 of known distributions", () => {
  // The mean of a resample of ten zeros and ones is binomial. With three ones P(≤ 5 ones) = 0.953 and
  // P(≤ 6) = 0.989: the 97.5th percentile is 0.6, the 95th 0.5. With seven ones all is mirrored.
  const interval = (ones: number) => {
    const values = Array.from({ length: 10 }, (_, i) => i < ones ? 1 : 0);
    const { low, high } = summarise(values, new PhiloxStream(2), 20_000)!;
    return [low, high];
  };
  assert.equal(interval(3)[1], 0.6);
  assert.equal(interval(7)[0], 0.4);
});

Deno.test("the bootstrap interval's width by default is that of normal theory", () => {
  const random = new PhiloxStream(1);
  const values = Array.from({ length: 400 }, () => random.normal());
  const { low, high, deviation: d } = summarise(values, new PhiloxStream(5))!;
  const width = 2 * 1.96 * d / Math.sqrt(400);
  // Two quantiles of 2000 resamples: each has a standard error of 0.06 deviations of the mean, so
  // that the width has one of 2.2%. A 90% interval would be 16% narrower.
  assert.ok(Math.abs((high! - low!) / width - 1) < 0.066, `${high! - low!} of ${width}`);
});

const rows = (count: number, size: number, seed: number): Features => {
  const random = new PhiloxStream(seed);
  return { count, size, data: Float64Array.from({ length: count * size }, () => random.normal()) };
};

/** Bińkowski et al. 2018, eq. 4, term by term. */
function naiveMmd(a: number[][], b: number[][]): number {
  const k = (x: number[], y: number[]) =>
    (x.reduce((sum, v, i) => sum + v * y[i], 0) / x.length + 1) ** 3;
  const within = (s: number[][]) => {
    let sum = 0;
    for (const [i, x] of s.entries()) for (const [j, y] of s.entries()) if (i !== j) sum += k(x, y);
    return sum / (s.length * (s.length - 1));
  };
  let cross = 0;
  for (const x of a) for (const y of b) cross += k(x, y);
  return within(a) + within(b) - 2 * cross / (a.length * b.length);
}

const row = ({ data, size }: Features, i: number) => [...data.slice(i * size, (i + 1) * size)];

Deno.test("KID of subsets: their size, their number, their mean and deviation, term by term", () => {
  const a = rows(9, 3, 1), b = rows(7, 3, 2), random = new PhiloxStream(4);
  const expected = Array.from({ length: 12 }, () => {
    const [i, j] = [choose(random, 9, 4), choose(random, 7, 4)];
    return naiveMmd([...i].map((k) => row(a, k)), [...j].map((k) => row(b, k)));
  });
  const found = kid(a, b, new PhiloxStream(4), { subsets: 12, subsetSize: 4 });
  assert.ok(Math.abs(found.mean - mean(expected)) < 1e-12);
  assert.ok(Math.abs(found.deviation - deviation(expected)) < 1e-12);
  assert.deepEqual([found.subsets, found.subsetSize], [12, 4]);
});

Deno.test("KID by default: 100 subsets, of 1000 rows or of the smaller side", () => {
  const small = kid(rows(4, 2, 1), rows(3, 2, 2), new PhiloxStream(1));
  assert.deepEqual([small.subsets, small.subsetSize], [100, 3]);
  const large = kid(rows(1001, 1, 1), rows(1003, 1, 2), new PhiloxStream(1), { subsets: 1 });
  assert.deepEqual([large.subsets, large.subsetSize], [1, 1000]);
  const one = kid(rows(3, 2, 1), rows(3, 2, 2), new PhiloxStream(1));
  assert.deepEqual([one.subsets, one.subsetSize, one.deviation], [1, 3, 0]);
  assert.throws(() => kid(rows(1, 2, 1), rows(3, 2, 2), new PhiloxStream(1)), /at least 2/);
  assert.throws(() => kid(rows(3, 2, 1), rows(3, 3, 2), new PhiloxStream(1)), /2 and 3/);
});

Deno.test("a choice is of different members, all of them where all are asked for", () => {
  const random = new PhiloxStream(3);
  for (const count of [0, 1, 5, 8]) {
    const chosen = choose(random, 8, count);
    assert.equal(new Set(chosen).size, count);
    assert.ok(chosen.every((i) => i < 8));
  }
  assert.throws(() => choose(random, 3, 4), /choose 4 of 3/);
  const counts = new Array(5).fill(0);
  for (let i = 0; i < 5000; i++) for (const j of choose(random, 5, 2)) counts[j]++;
  // Binomial of 5000 and 2/5: a deviation of 35, five of them.
  for (const count of counts) assert.ok(Math.abs(count - 2000) < 175, counts.join());
});

Deno.test("means, deviations (ddof 0), quantiles as numpy's, the line of least squares", () => {
  assert.deepEqual([mean([1, 2, 6]), mean([])], [3, NaN]);
  assert.equal(deviation([2, 4, 4, 4, 5, 5, 7, 9]), 2);
  const quantiles = [0, 0.25, 0.5, 0.9, 1].map((q) => quantile([1, 2, 4, 8, 16], q));
  assert.deepEqual(quantiles, [1, 2, 4, 12.8, 16]);
  assert.equal(quantile([1, Infinity], 0), 1);
  assert.equal(quantile([-Infinity, 3], 1), 3);
  assert.deepEqual(line([-1, 0, 1, 4], [1, 2, 4, 9]), { slope: 23 / 14, intercept: 4 - 23 / 14 });
  assert.deepEqual(line([2, 2], [1, 3]), { slope: 0, intercept: 2 });
});

Deno.test("histogram: a value at a bin's lower border is in it, at the upper end in the last", () => {
  assert.deepEqual([...histogram([0, 1, 2, 3, 4], 0, 4, 4)], [0.2, 0.2, 0.2, 0.4]); // numpy's
  assert.deepEqual([...histogram([-0.01, 3.99, 4.01, 0.5], 0, 4, 4)], [0.25, 0, 0, 0.25]);
});

Deno.test("Dice takes values above a half; AUC of scores that tie counts a half", () => {
  assert.equal(dice([0.5, 0.51], [1, 1]), 2 / 3);
  assert.equal(dice([1, 0, 1, 1], [1, 1, 0, 1]), 2 / 3);
  assert.equal(auc([3, 1, 2, 2], [1, 0, 1, 0]), 3.5 / 4);
  assert.equal(auc([1, 2], [0.5, 0.6]), 1); // labels too: above a half
});

Deno.test("nearest: the first of equals, distance per value; memorised: strictly below, from ten on", () => {
  const set = (...values: number[][]) => ({
    count: values.length,
    size: values[0]?.length ?? 2,
    data: Float64Array.from(values.flat()),
  });
  assert.deepEqual(nearest(set([0, 0, 0, 0]), set([2, 0, 0, 0], [0, 2, 0, 0])), [
    { index: 0, distance: 1 },
  ]);
  assert.deepEqual(nearest(set(), set([1, 2])), []);
  assert.throws(() => nearest(set([1]), set([1, 2])), /1 and 2 values/);
  const ten = Array.from({ length: 10 }, (_, i) => i + 1);
  assert.equal(memorisation([1], ten.slice(1)), null);
  assert.equal(memorisation([], ten), null);
  const found = memorisation([1.45, 1.44, 20, 30], ten)!;
  assert.ok(Math.abs(found.threshold - 1.45) < 1e-12);
  assert.equal(memorisation([found.threshold], ten)!.rate, 0);
  assert.deepEqual([memorisation([1.44, 2, 3], ten)!.rate, found.calibration], [1 / 3, 10]);
  assert.deepEqual(memorisation([1, 9, 5], ten)!.median, { generated: 5, real: 5.5 });
});
