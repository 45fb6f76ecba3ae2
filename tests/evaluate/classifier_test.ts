/** The nodule classifier learns what can be learnt, on the GPU. */

import assert from "node:assert/strict";
import {
  type ClassifierSlice,
  isTeachable,
  NoduleClassifier,
} from "../../lib/evaluate/classifier.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { auc } from "../../lib/metrics/overlap.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

Deno.test("the classifier tells slices with a bright spot from those without", async () => {
  const side = 16, random = new PhiloxStream(1);
  const slice = (label: 0 | 1): ClassifierSlice => {
    const ct = Float32Array.from({ length: side * side }, () => -0.8 + 0.1 * random.normal());
    const noduleMask = new Uint8Array(side * side);
    const at = [2 + random.int(side - 4), 2 + random.int(side - 4)];
    if (label) {
      for (let y = -1; y <= 1; y++) {
        for (let x = -1; x <= 1; x++) noduleMask[(at[0] + y) * side + at[1] + x] = 1;
      }
    }
    noduleMask.forEach((value, i) => value && (ct[i] = 0.5));
    return { ct, lungMask: new Float32Array(side * side).fill(1), label, noduleMask };
  };
  const set = (count: number) => Array.from({ length: count }, (_, i) => slice(i % 2 ? 1 : 0));
  const gpu = await openGpu();
  const seen: number[] = [];
  const classifier = await NoduleClassifier.train(gpu, set(64), {
    height: side,
    width: side,
    steps: 40,
    batch: 8,
    onStep: (done) => seen.push(done),
  });
  const unseen = set(40), scores = await classifier.scores(unseen);
  const area = auc(scores, unseen.map(({ label }) => label))!;
  assert.ok(area > 0.95, `AUC ${area}`);
  const right = unseen.filter(({ label }, i) => (scores[i] > 0.5) === (label === 1)).length;
  assert.ok(right >= 34, `${right} of 40 on the right side of 0.5`);
  // What lies outside the lungs is not looked at.
  const outside = { ...unseen[1], lungMask: new Float32Array(side * side) };
  assert.ok((await classifier.scores([outside]))[0] < scores[1]);
  assert.equal(seen.length, 40);
  // A nodule that a smaller size has swallowed teaches nothing.
  const swallowed = { ...unseen[1], noduleMask: new Uint8Array(side * side) };
  assert.deepEqual([unseen[0], unseen[1], swallowed].map(isTeachable), [true, true, false]);
  classifier.destroy();
  gpu.destroy();
});
