/** Group normalisation as a whole: forward on the GPU, and its gradient through the statistics. */

import assert from "node:assert/strict";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import type { Fill } from "../../lib/graph/op.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { groupNorm } from "../../lib/ops/group_norm/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { fillInput, normal, random, relativeError, typed } from "./harness.ts";

interface Case {
  name: string;
  shape: number[];
  groups: number;
  silu: boolean;
  fill?: Fill;
  /** Of y and of the gradients. */
  tolerance: number;
}

// With mean 1000, the stored f32 mean is off by up to 2^-15 of a standard deviation of 1 (half an
// ULP of 1000), and so is all that follows. A constant input has x̂ = 0 and rstd = 1/√eps: its dx is
// a difference of equal terms, so it is compared by absolute size there.
const CASES: Case[] = [
  { name: "odd", shape: [3, 6, 5, 17], groups: 3, silu: false, tolerance: 2e-6 },
  { name: "odd silu", shape: [3, 6, 5, 17], groups: 2, silu: true, tolerance: 2e-6 },
  {
    name: "batch 1, one channel a group",
    shape: [1, 6, 8, 12],
    groups: 6,
    silu: true,
    tolerance: 2e-6,
  },
  {
    name: "large mean",
    shape: [1, 4, 32, 32],
    groups: 2,
    silu: true,
    fill: { kind: "normal", mean: 1000 },
    tolerance: 4e-5,
  },
  {
    name: "constant",
    shape: [1, 4, 8, 8],
    groups: 2,
    silu: true,
    fill: { kind: "constant", value: 3.7 },
    tolerance: 2e-6,
  },
];

function build({ shape, groups, silu }: Case) {
  const graph = new Graph();
  const channels = { shape: [shape[1]], dtype: "f32" } as const;
  const x = graph.input("x", { shape, dtype: "f32" });
  const weight = graph.input("weight", channels);
  const bias = graph.input("bias", channels);
  const dy = graph.input("dy", { shape, dtype: "f32" });
  const y = groupNorm(x, weight, bias, { groups, eps: 1e-5, silu });
  graph.output("y", y);
  gradients(graph, OPS, y, dy, [x, weight, bias]).forEach((g, i) =>
    graph.output(["dx", "dweight", "dbias"][i], g)
  );
  return { graph, inputs: [x, weight, bias], y };
}

function feedsOf(test: Case): Record<string, Float64Array> {
  const rng = random(3);
  const channels = { shape: [test.shape[1]], dtype: "f32" } as const;
  return {
    x: fillInput({ shape: test.shape, dtype: "f32", fill: test.fill }, rng),
    weight: fillInput({ ...channels, fill: { kind: "normal", mean: 1, std: 0.3 } }, rng),
    bias: fillInput(channels, rng),
    dy: fillInput({ shape: test.shape, dtype: "f32" }, rng),
  };
}

for (const test of CASES.filter((c) => c.name !== "constant")) {
  Deno.test(`group norm ${test.name}: gradient against finite differences`, () => {
    const { graph } = build(test);
    const feeds = feedsOf(test);
    const { outputs } = interpret(graph, OPS, feeds);
    const rng = random(5);
    const loss = (changed: Record<string, Float64Array>) =>
      interpret(graph, OPS, changed).outputs.get("y")!
        .reduce((sum, v, i) => sum + v * feeds.dy[i], 0);
    for (const name of ["x", "weight", "bias"]) {
      const direction = feeds[name].map(() => normal(rng));
      const step = 1e-4;
      const moved = (s: number) =>
        loss({ ...feeds, [name]: feeds[name].map((v, i) => v + s * direction[i]) });
      const numeric = (moved(step) - moved(-step)) / (2 * step);
      const terms = outputs.get(`d${name}`)!.map((g, i) => g * direction[i]);
      const analytic = terms.reduce((a, b) => a + b, 0);
      const size = Math.hypot(...terms);
      assert.ok(Math.abs(numeric - analytic) < 1e-6 * size, `${name}: ${numeric} ${analytic}`);
    }
  });
}

Deno.test("group norm and its gradient on the GPU", async (t) => {
  const gpu = await openGpu();
  for (const test of CASES) {
    await t.step(test.name, async () => {
      const { graph } = build(test);
      const feeds = feedsOf(test);
      const expected = interpret(graph, OPS, feeds).outputs;
      const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }), {
        poison: true,
      });
      for (const [name, values] of Object.entries(feeds)) exe.write(name, typed(values, "f32"));
      exe.run();
      for (const name of ["y", "dx", "dweight", "dbias"]) {
        const got = await exe.read(name);
        const want = expected.get(name)!;
        // Zero in exact arithmetic: the gradient of the weight where x̂ is 0.
        const error = Math.hypot(...want) < 1e-9 ? Math.hypot(...got) : relativeError(got, want);
        assert.ok(error <= test.tolerance, `${name}: relative error ${error.toExponential(2)}`);
      }
      exe.destroy();
    });
  }
  gpu.destroy();
});
