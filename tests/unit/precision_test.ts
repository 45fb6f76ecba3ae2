import assert from "node:assert/strict";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { benchConfig, benchStep } from "../../lib/bench/steps.ts";
import { planBytes } from "../../lib/gpu/plan.ts";
import { plan } from "../../lib/gpu/planner.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { storeHalf } from "../../lib/graph/precision.ts";
import type { Tensor } from "../../lib/graph/tensor.ts";
import { add } from "../../lib/ops/add.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { groupNorm, groupNormStats } from "../../lib/ops/group_norm.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { silu } from "../../lib/ops/silu.ts";

const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });

/** Two convolutions with a norm between, and a residual; `more` may add readers. */
function block(more?: (first: Tensor, graph: Graph, sum: Tensor) => void): Graph {
  const graph = new Graph();
  const x = graph.input("x", f32(2, 3, 5, 4));
  const weights = ["w1", "w2"].map((n, i) => graph.input(n, f32(4, i ? 4 : 3, 3, 3)));
  const first = conv2d(x, weights[0], { padding: 1 });
  const [scale, shift] = ["scale", "shift"].map((n) => graph.input(n, f32(4)));
  const h = groupNorm(first, scale, shift, { groups: 2, eps: 1e-5, silu: true });
  const sum = add(conv2d(h, weights[1], { padding: 1 }), first);
  graph.output("y", conv2d(sum, graph.input("last", f32(1, 4, 1, 1))));
  more?.(first, graph, sum);
  return graph;
}

const types = (graph: Graph, op: string) =>
  graph.nodes.filter((n) => n.op === op).map((n) => n.outputs[0].dtype).join();

Deno.test("f16: images between ops, not what comes in or goes out, and no value changes", () => {
  const graph = block();
  const half = storeHalf(graph, OPS);
  half.verify(OPS);
  assert.equal(types(half, "conv2d"), "f16,f16,f32");
  assert.equal(types(half, "group_norm_apply"), "f16");
  assert.equal(types(half, "group_norm_stats"), "f32");
  assert.equal(types(half, "add"), "f16");
  assert.equal(types(half, "input"), types(graph, "input"));
  let seed = 1;
  const feeds = Object.fromEntries(
    [...graph.inputs].map(([name, t]) => [
      name,
      Array.from({ length: t.size }, () => Math.sin(seed++ * 1.7)),
    ]),
  );
  assert.deepEqual(
    interpret(half, OPS, feeds).outputs.get("y"),
    interpret(graph, OPS, feeds).outputs.get("y"),
  );
});

Deno.test("f16: what is read by an op that wants f32 stays f32, with all that is tied to it", () => {
  const graph = block((first, graph) => graph.output("silu", silu(first)));
  const half = storeHalf(graph, OPS);
  half.verify(OPS);
  // The sum is of the type of the first convolution; so is what else it adds.
  assert.equal(types(half, "conv2d"), "f32,f32,f32");
  assert.equal(types(half, "add"), "f32");
  const handedOut = block((first, graph) => graph.output("first", first));
  assert.equal(types(storeHalf(handedOut, OPS), "add"), "f32");
  // A norm may read one type and make the other.
  assert.equal(types(storeHalf(handedOut, OPS), "group_norm_apply"), "f16");
});

Deno.test("f16: for a software device what a convolution alone reads stays f32", () => {
  const software = storeHalf(block(), OPS, { software: true });
  software.verify(OPS);
  assert.equal(types(software, "group_norm_apply"), "f32");
  assert.equal(types(software, "add"), "f32");
  // The sum has the type of the first convolution, which is added to it.
  assert.equal(types(software, "conv2d"), "f32,f32,f32");

  const graph = block((_, graph, sum) => {
    graph.output("stats", groupNormStats(sum, { groups: 2, eps: 1e-5 }));
  });
  const half = storeHalf(graph, OPS, { software: true });
  assert.equal(types(half, "group_norm_apply"), "f32");
  assert.equal(types(half, "add"), "f16", "the sum has two readers");
  assert.equal(types(half, "conv2d"), "f16,f16,f32");
});

Deno.test("f16: sampling on software converts no image that a convolution reads, and saves memory", () => {
  const device = AUDIT_PROFILES.software;
  const [half, full] = (["f16", "f32"] as const).map((precision) =>
    benchStep("sample", benchConfig(8, 128, "seed", precision), { device })
  );
  const large = half.graph.nodes.filter((n) => n.op === "conv2d" && n.inputs[1].shape[2] === 3);
  const converted = large.filter((n) => n.inputs[0].dtype === "f16");
  // What skip connections keep is read twice.
  assert.ok(converted.length < large.length / 4, `${converted.length} of ${large.length}`);
  const ratio = planBytes(half.plan) / planBytes(full.plan);
  assert.ok(ratio < 0.9, `${ratio}`);
});

Deno.test("f16: a training step keeps what must be f32, and takes less memory", () => {
  for (const profile of ["software", "gpu"]) {
    const device = AUDIT_PROFILES[profile];
    const step = benchStep("train", benchConfig(8, 128), { device });
    const half = storeHalf(step.graph, OPS);
    half.verify(OPS);
    const f16 = half.nodes.filter((n) => n.outputs.some((t) => t.dtype === "f16"));
    const backward = f16.filter((n) => n.phase === "backward").map((n) => n.op);
    assert.ok(backward.includes("conv2d_backward_data") && backward.includes("attention_backward"));
    for (const table of [half.inputs, half.states, half.outputs, half.updates]) {
      for (const [name, t] of table) assert.notEqual(t.dtype, "f16", name);
    }
    const packed = half.nodes.find((n) => n.op === "pack")!;
    assert.ok(packed.inputs.every((t) => t.dtype === "f32"));
    // No image that a whole step keeps is left in f32.
    const left = half.nodes.filter((n) =>
      /^(conv2d|conv2d_backward_data|concat|group_norm_apply|add)$/.test(n.op) &&
      n.outputs[0].dtype === "f32" && n.outputs[0].shape[1] > 3 && n.outputs[0].shape.length === 4
    );
    assert.deepEqual(left.map((n) => n.scope), []);
    const ratio = planBytes(plan(half, OPS, { device })) / planBytes(step.plan);
    assert.ok(ratio < 0.75, `${profile}: ${ratio}`);
  }
});
