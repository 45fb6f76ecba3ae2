import assert from "node:assert/strict";
import { BalancedSampler } from "../../lib/data/sampler.ts";
import { InputError } from "../../lib/errors.ts";

/** `positives` ones, then `negatives` zeros. */
const labels = (positives: number, negatives: number) => [
  ...new Array(positives).fill(1),
  ...new Array(negatives).fill(0),
];
const positivesIn = (batch: number[], positives: number) =>
  batch.filter((i) => i < positives).length;

Deno.test("sampler: even batches are half and half; the smaller class sets the epoch", () => {
  const sampler = new BalancedSampler(labels(10, 50), 8, 1);
  assert.equal(sampler.batchesPerEpoch, 2);
  for (let epoch = 0; epoch < 3; epoch++) {
    const seen = new Set<number>();
    for (let i = 0; i < 2; i++) {
      const batch = sampler.next();
      assert.equal(batch.length, 8);
      assert.equal(positivesIn(batch, 10), 4);
      for (const index of batch) seen.add(index);
    }
    assert.equal(seen.size, 16, "no slice twice in an epoch");
    assert.equal(sampler.epoch, epoch);
  }
});

Deno.test("sampler: odd batches alternate, and over an epoch no slice comes twice", () => {
  for (const [positives, negatives, batch] of [[3, 4, 1], [7, 5, 3], [5, 9, 3], [6, 6, 5]]) {
    const sampler = new BalancedSampler(labels(positives, negatives), batch, 2);
    const counts: number[] = [];
    for (let epoch = 0; epoch < 2; epoch++) {
      const all: number[] = [];
      for (let i = 0; i < sampler.batchesPerEpoch; i++) {
        const next = sampler.next();
        assert.equal(next.length, batch);
        counts.push(positivesIn(next, positives));
        all.push(...next);
      }
      assert.equal(new Set(all).size, all.length, `${positives} ${negatives} ${batch}`);
    }
    const low = Math.floor(batch / 2);
    assert.ok(counts.every((count) => count === low || count === low + 1));
    // Over the two epochs the classes come out even.
    const total = counts.reduce((a, b) => a + b, 0);
    assert.equal(total * 2, counts.length * batch);
  }
});

Deno.test("sampler: classes smaller than half a batch go round", () => {
  const sampler = new BalancedSampler(labels(1, 3), 8, 3);
  assert.equal(sampler.batchesPerEpoch, 1);
  const batch = sampler.next();
  assert.equal(batch.length, 8);
  assert.equal(positivesIn(batch, 1), 4);
});

Deno.test("sampler: the order is the seed's, changes by epoch, and resumes exactly", () => {
  const make = (seed: number) => new BalancedSampler(labels(9, 11), 4, seed);
  const draw = (sampler: BalancedSampler, n: number) =>
    Array.from({ length: n }, () => sampler.next());
  assert.deepEqual(draw(make(5), 9), draw(make(5), 9));
  assert.notDeepEqual(draw(make(5), 4), draw(make(6), 4));
  const epochs = draw(make(5), 8);
  assert.notDeepEqual(epochs.slice(0, 4), epochs.slice(4));
  for (let stop = 0; stop < 10; stop++) {
    const first = make(5);
    draw(first, stop);
    const second = make(5);
    second.restore(JSON.parse(JSON.stringify(first.state())));
    assert.deepEqual(draw(second, 9), draw(first, 9), `stopped after ${stop}`);
  }
});

Deno.test("sampler: unusable labels and states say why", () => {
  assert.throws(() => new BalancedSampler(labels(4, 0), 2, 0), {
    name: "InputError",
    message: /4 slices with a nodule and 0 without/,
  });
  assert.throws(() => new BalancedSampler([], 2, 0), InputError);
  assert.throws(() => new BalancedSampler(labels(4, 4), 0, 0), InputError);
  const sampler = new BalancedSampler(labels(4, 4), 2, 0), state = sampler.state();
  assert.throws(() => sampler.restore({ ...state, positives: 5 }), /positives was 5, now it is 4/);
  assert.throws(() => sampler.restore({ ...state, batch: 99 }), /batch 99 of 4 does not exist/);
  assert.throws(() => sampler.restore({ ...state, epoch: -1 }), InputError);
});
