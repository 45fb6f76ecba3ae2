/** Histogram, spectrum, bootstrap, neighbours and overlaps, against worked values. */

import assert from "node:assert/strict";
import { summarise } from "../../lib/metrics/bootstrap.ts";
import { earthMover, histogram, valuesInside } from "../../lib/metrics/histogram_distance.ts";
import { memorisation, nearest } from "../../lib/metrics/nearest.ts";
import { auc, dice } from "../../lib/metrics/overlap.ts";
import {
  meanSpectrum,
  radialSpectrum,
  spectralDistance,
} from "../../lib/metrics/power_spectrum.ts";
import { jsonNumber, quantile } from "../../lib/metrics/statistics.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

function near(actual: number, expected: number, tolerance: number, what: string) {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
}

Deno.test("earth mover's distance as scipy.stats.wasserstein_distance has it", () => {
  assert.equal(earthMover([0, 1, 3], [5, 6, 8]), 5); // the example of scipy's documentation
  near(earthMover([0, 1], [0, 1, 1]), 1 / 6, 1e-12, "unequal numbers");
  near(earthMover([3.4, 3.9, 7.5, 7.8], [4.5, 1.4]), 2.7, 1e-6, "interleaved");
  assert.equal(earthMover([-700, -700], [-700]), 0);
  assert.throws(() => earthMover([], [1]), /of 0 and 1 values/);
  assert.throws(() => earthMover([NaN, 1], [1]), /not a number/);
  assert.deepEqual([...valuesInside([[1, 2, 3], [4, 5, 6]], [[1, 0, 1], [0, 1, 0]])], [1, 3, 5]);
  assert.deepEqual([...histogram([0, 1, 2, 4, 9], 0, 4, 2)], [0.4, 0.4]);
});

Deno.test("radial spectrum: a wave has one ring, noise is flat, any size works", () => {
  for (const [height, width] of [[32, 32], [30, 21]]) {
    const side = Math.min(height, width);
    const wave = Float64Array.from(
      { length: height * width },
      (_, i) => 3 + Math.cos(2 * Math.PI * 4 * (i % width) / width),
    );
    const spectrum = radialSpectrum(wave, { height, width });
    const ring = Math.round(4 / width * side);
    spectrum.forEach((value, k) => assert.ok(k === ring ? value > 1 : value < 1e-20, `${k}`));
    // Parseval: the sum over all coefficients of power/pixels is the sum of squares.
    const random = new PhiloxStream(3);
    const noise = Array.from(
      { length: 20 },
      () => Float64Array.from({ length: height * width }, () => 2 * random.normal()),
    );
    meanSpectrum(noise, { height, width }).slice(1).forEach((value, k) =>
      near(value, 4, 1.5, `noise of variance 4, ring ${k + 1}`)
    );
  }
  const a = [9, 1, 10, 100];
  assert.equal(spectralDistance(a, a), 0);
  near(spectralDistance(a, [5, 10, 100, 1000]), 10, 1e-12, "ten times the power is 10 dB");
  assert.throws(() => spectralDistance([1], [1]), /1 and 1 rings/);
});

Deno.test("bootstrap intervals hold the mean, shrink with √N, and repeat under a seed", () => {
  const draw = (count: number) => {
    const random = new PhiloxStream(1);
    return Array.from({ length: count }, () => random.normal());
  };
  const few = summarise(draw(25), new PhiloxStream(2))!;
  const many = summarise(draw(2500), new PhiloxStream(2), 400)!;
  assert.ok(few.low! < few.mean && few.mean < few.high!);
  const width = (one: typeof few) => one.high! - one.low!;
  near(width(few) / width(many), 10, 4, "√(2500/25)");
  near(width(many), 2 * 1.96 / 50, 0.02, "normal theory");
  assert.equal(summarise([3], new PhiloxStream(2))!.low, undefined, "one value says no interval");
  assert.deepEqual(summarise(draw(25), new PhiloxStream(2)), few);
  assert.equal(summarise([], new PhiloxStream(2)), null);
  assert.equal(summarise([Infinity, 1], new PhiloxStream(2))!.mean, Infinity);
  assert.equal(jsonNumber(Infinity), "Infinity");
  assert.equal(quantile([1, 2, 4], 0.75), 3);
});

Deno.test("nearest neighbours and the memorisation rate", () => {
  const set = (...rows: number[][]) => ({
    count: rows.length,
    size: 2,
    data: Float64Array.from(rows.flat()),
  });
  const found = nearest(set([0, 0], [5, 5]), set([3, 4], [5, 5], [0, 2]));
  assert.deepEqual(found, [{ index: 2, distance: Math.sqrt(2) }, { index: 1, distance: 0 }]);
  const other = nearest(set([5, 5]), set([3, 4], [5, 5]), (_, row) => row === 1);
  assert.equal(other[0]!.index, 0);
  assert.deepEqual(nearest(set([1, 1]), set([1, 1]), () => true), [null]);

  const real = Array.from({ length: 21 }, (_, i) => 1 + i / 20);
  const half = memorisation([0.5, 0.6, 1.5, 2], real)!;
  near(half.threshold, 1.05, 1e-12, "5th percentile");
  assert.equal(half.rate, 0.5);
  assert.deepEqual(half.median, { generated: 1.05, real: 1.5 });
  assert.equal(memorisation([1], [1, 2, 3]), null);
});

Deno.test("Dice and AUC", () => {
  assert.equal(dice([1, 1, 0, 0], [1, 0, 0, 0]), 2 / 3);
  assert.equal(dice([0, 0], [0, 0]), 1);
  assert.throws(() => dice([0], [0, 0]), /1 and 2 pixels/);
  assert.equal(auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 0.75); // scikit-learn's example
  assert.equal(auc([1, 1, 1], [0, 1, 1]), 0.5);
  assert.equal(auc([1, 2], [1, 1]), null);
});
