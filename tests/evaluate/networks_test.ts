/** FID, KID, IS and LPIPS in a report, with networks of seeded weights in place of the real ones. */

import assert from "node:assert/strict";
import type { EvalSlice, EvaluationInput } from "../../lib/evaluate/slices.ts";
import { networkScores } from "../../lib/evaluate/networks.ts";
import { LUNG_WINDOW } from "../../lib/data/window.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { alexnet } from "../../lib/metrics/alexnet.ts";
import { InceptionExtractor, LpipsExtractor } from "../../lib/metrics/extract.ts";
import { fidelityShapes, inception } from "../../lib/metrics/inception.ts";
import { LPIPS_CHANNELS } from "../../lib/metrics/lpips.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";
import { fill, image } from "../metrics/seeded.ts";

const SIDE = 48;

function slices(seed: number, count: number, factor: number): EvalSlice[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `slice ${i}`,
    patient: `${i % 4}`,
    label: i % 2 ? 1 : 0,
    ct: image(1, SIDE, seed + i).map((v) => v * factor),
    lungMask: new Float32Array(SIDE * SIDE).fill(1),
  }));
}

Deno.test("a report's scores of networks: equal sets, then different ones", async () => {
  const gpu = await openGpu();
  const config = { divisor: 16, classes: 20, channels: 3 } as const;
  const graph = new Graph();
  inception(graph, graph.input("x", { shape: [1, 3, 299, 299], dtype: "f32" }), config);
  const seeded = fill(fidelityShapes(graph));
  const alex = new Graph();
  alexnet(alex, alex.input("x", { shape: [1, 3, SIDE, SIDE], dtype: "f32" }));
  const heads = new Map(LPIPS_CHANNELS.map((channels, layer) => [
    `lin${layer}.model.1.weight`,
    { shape: [1, channels, 1, 1], data: new Float32Array(channels).fill(0.1) },
  ]));
  const evaluators = {
    inception: await InceptionExtractor.create(gpu, seeded, { batch: 5, config }),
    lpips: await LpipsExtractor.create(
      gpu,
      { height: SIDE, width: SIDE },
      fill(new Map([...alex.states].map(([name, { shape }]) => [name, [...shape]]))),
      heads,
    ),
    classifier: null,
    classifierHeldOut: [],
    noClassifier: "not in this test",
  };
  const score = async (generated: EvalSlice[], paired = true) => {
    const input: EvaluationInput = {
      height: SIDE,
      width: SIDE,
      window: LUNG_WINDOW,
      pixelSpacing: [1, 1],
      generated,
      real: slices(300, 10, 1),
      train: [],
      partners: paired ? slices(300, 10, 1) : null,
      seed: 1,
    };
    const found = await networkScores(input, evaluators, new PhiloxStream(1), () => {});
    const of = (name: string) => found.scores.find((one) => one.name === name)!;
    return { ...found, of };
  };
  const same = await score(slices(300, 10, 1)), other = await score(slices(400, 10, 0.3), false);
  assert.ok(Math.abs(same.of("fid").value!) < 1e-6 && other.of("fid").value! > 0.1);
  assert.ok(same.of("kid").value! < other.of("kid").value!);
  assert.ok(same.of("inception_score").value! >= 1);
  assert.equal(same.of("lpips").value, 0);
  assert.equal(other.of("lpips").value, null); // no pairs
  assert.equal(same.of("fid_infinity").value, null);
  assert.match(same.of("fid_infinity").note!, /needs 20 slices/);
  assert.match(same.warnings.join(), /FID is biased: 10 slices, 2048 or more are usual/);
  assert.match(same.of("nodule_auc").note!, /not in this test/);
  assert.equal(same.features!.generated.size, 128);
  evaluators.inception.destroy();
  evaluators.lpips.destroy();
  gpu.destroy();
});
