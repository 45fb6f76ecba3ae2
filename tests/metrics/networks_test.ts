/** InceptionV3 and AlexNet on the GPU, stage by stage, against PyTorch with seeded weights. */

import assert from "node:assert/strict";
import { openGpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { alexnet, alexnetStates, lpipsHeads, lpipsInput } from "../../lib/metrics/alexnet.ts";
import {
  fidelityShapes,
  foldInception,
  inception,
  type NamedTensors,
  ONE_PIXEL,
  planePixels,
} from "../../lib/metrics/inception.ts";
import { LPIPS_CHANNELS, lpipsDistance } from "../../lib/metrics/lpips.ts";
import { InceptionExtractor, inceptionInput } from "../../lib/metrics/extract.ts";
import { frechetDistance } from "../../lib/metrics/fid.ts";
import { OPS } from "../../lib/ops/mod.ts";
import golden from "../fixtures/metrics/networks.json" with { type: "json" };
import { fill, image } from "./seeded.ts";
import { uniforms } from "./shared.ts";

const TOLERANCE = 1e-4;

interface Summary {
  shape: number[];
  norm: number;
  values: number[];
}

/** Relative error of the values kept, and of the norm. */
function compare(actual: Float32Array, expected: Summary, what: string): number {
  const { shape, values } = expected;
  assert.equal(actual.length, shape.reduce((a, b) => a * b, 1), `${what}: size`);
  let difference = 0, size = 0, squares = 0;
  values.forEach((value, i) => {
    const at = values.length < 48 ? i : Math.floor(i * (actual.length - 1) / 47);
    difference += (actual[at] - value) ** 2;
    size += value ** 2;
  });
  for (const value of actual) squares += value ** 2;
  const error = Math.max(
    Math.sqrt(difference / size),
    Math.abs(Math.sqrt(squares) - expected.norm) / expected.norm,
  );
  assert.ok(error <= TOLERANCE, `${what}: relative error ${error}`);
  return error;
}

Deno.test("Inception agrees with torch-fidelity's in every stage, narrow and whole", async (t) => {
  const gpu = await openGpu();
  const filled = new Map<number, NamedTensors>(); // 22 million numbers: made once for both sizes
  for (const { divisor, classes, side, grey, stages, features, logits } of golden.inception) {
    const channels = grey ? 1 : 3;
    await t.step(`width 1/${divisor}, ${side}², ${channels} channels`, async () => {
      const graph = new Graph();
      const config = { divisor, classes, channels } as const;
      const x = graph.input("x", { shape: [1, channels, side, side], dtype: "f32" });
      const built = inception(graph, x, config);
      for (const [name, { tensor }] of built.stages) graph.output(name, tensor);
      graph.output("features", built.features);
      graph.output("logits", built.logits);
      const weights = filled.get(divisor) ?? fill(fidelityShapes(graph));
      filled.set(divisor, weights);
      const states = foldInception(graph, weights, config);
      const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
      for (const [name, data] of states) exe.write(name, data);
      exe.write("x", image(channels, side, 99));
      exe.run();
      const expected: [string, Summary][] = [
        ...Object.entries(stages),
        ["features", features],
        ["logits", logits],
      ];
      assert.equal(expected.length, 18);
      let worst = 0;
      for (const [name, summary] of expected) {
        const pixels = planePixels(await exe.read(name), built.stages.get(name) ?? ONE_PIXEL);
        worst = Math.max(worst, compare(pixels, summary, name));
      }
      console.log(`    largest relative error ${worst.toExponential(1)}`);
      exe.destroy();
    });
  }
  gpu.destroy();
});

Deno.test("LPIPS agrees with the lpips package in every tap and in the distance", async (t) => {
  const gpu = await openGpu();
  for (const { side, taps, value } of golden.lpips) {
    await t.step(`${side}²`, async () => {
      const graph = new Graph();
      const x = graph.input("x", { shape: [2, 3, side, side], dtype: "f32" });
      alexnet(graph, x).forEach((tap, layer) => graph.output(`tap${layer}`, tap));
      const shapes = new Map([...graph.states].map(([name, { shape }]) => [name, [...shape]]));
      const states = alexnetStates(graph, fill(shapes));
      const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
      for (const [name, data] of states) exe.write(name, data);
      const [a, b] = [101, 102].map((seed) => lpipsInput(image(1, side, seed)));
      const both = new Float32Array(2 * a.length);
      both.set(a);
      both.set(b, a.length);
      exe.write("x", both);
      exe.run();
      const heads = lpipsHeads(
        new Map(LPIPS_CHANNELS.map((channels, layer) => [
          `lin${layer}.model.1.weight`,
          {
            shape: [1, channels, 1, 1],
            data: Float32Array.from(uniforms(channels, 50 + layer)),
          },
        ])),
      );
      const sides: { channels: number; data: Float32Array }[][] = [[], []];
      for (const [layer, summary] of taps.entries()) {
        const data = await exe.read(`tap${layer}`), half = data.length / 2;
        compare(data.subarray(0, half), summary, `tap ${layer}`);
        sides[0].push({ channels: LPIPS_CHANNELS[layer], data: data.subarray(0, half) });
        sides[1].push({ channels: LPIPS_CHANNELS[layer], data: data.subarray(half) });
      }
      const distance = lpipsDistance(sides[0], sides[1], heads);
      assert.ok(Math.abs(distance - value) / value <= TOLERANCE, `${distance}, lpips ${value}`);
      exe.destroy();
    });
  }
  gpu.destroy();
});

Deno.test("FID from pixels on: mask, resize, bytes and network as torchmetrics has them", async () => {
  const { side, count, value } = golden.fid;
  const gpu = await openGpu();
  const config = { divisor: 16, classes: 20, channels: 3 } as const;
  // The names and shapes of the weights come from a graph that is not run.
  const graph = new Graph();
  inception(graph, graph.input("x", { shape: [1, 3, 299, 299], dtype: "f32" }), config);
  const weights = fill(fidelityShapes(graph));
  const folder = await Deno.makeTempDir();
  const cache = { folder, weights: "narrow" };
  const extractor = await InceptionExtractor.create(gpu, weights, { batch: 2, config, cache });
  const mask = Float32Array.from({ length: side * side }, (_, i) => {
    const y = Math.floor(i / side), x = i % side;
    return (x - side / 2) ** 2 + (y - side / 3) ** 2 < side ** 2 / 9 ? 1 : 0;
  });
  const inputs = (seed: number, factor: number) =>
    Array.from({ length: count }, (_, k) => {
      const data = image(1, side, seed + k).map((v) => v * factor);
      return inceptionInput({ data, height: side, width: side }, mask);
    });
  const real = await extractor.run(inputs(250, 1)),
    generated = await extractor.run(inputs(200, 0.5));
  assert.equal(real.features.count, count);
  const fid = frechetDistance(generated.features, real.features);
  assert.ok(Math.abs(fid - value) <= 1e-3 * value, `${fid}, torchmetrics ${value}`);

  // A second pass reads what the first has written: no slice is left to compute.
  const reports: number[] = [];
  const again = await extractor.run(inputs(250, 1), (done) => reports.push(done));
  assert.deepEqual(reports, [count]);
  assert.deepEqual(again, real);
  await Deno.remove(folder, { recursive: true });
  extractor.destroy();
  gpu.destroy();
});
