/** The nodule classifier learns what can be learnt, on the GPU. */

import assert from "node:assert/strict";
import { type ClassifierSlice, NoduleClassifier } from "../../lib/evaluate/classifier.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { auc } from "../../lib/metrics/overlap.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

Deno.test("the classifier tells slices with a bright spot from those without", async () => {
  const side = 16, random = new PhiloxStream(1);
  const slice = (label: 0 | 1): ClassifierSlice => {
    const ct = Float32Array.from({ length: side * side }, () => -0.8 + 0.1 * random.normal());
    const at = [2 + random.int(side - 4), 2 + random.int(side - 4)];
    if (label) {
      for (let y = -1; y <= 1; y++) {
        for (let x = -1; x <= 1; x++) ct[(at[0] + y) * side + at[1] + x] = 0.5;
      }
    }
    return { ct, lungMask: new Float32Array(side * side).fill(1), label };
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
  const unseen = set(40);
  const area = auc(await classifier.scores(unseen), unseen.map(({ label }) => label))!;
  assert.ok(area > 0.95, `AUC ${area}`);
  assert.equal(seen.length, 40);
  classifier.destroy();
  gpu.destroy();
});
