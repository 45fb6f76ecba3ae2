import assert from "node:assert/strict";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { benchConfig, benchStep } from "../../lib/bench/steps.ts";
import { planBytes } from "../../lib/plan/plan.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { storeHalf } from "../../lib/passes/precision.ts";
import type { Node, Tensor } from "../../lib/graph/tensor.ts";
import { add } from "../../lib/ops/add/op.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import type { Conv2dAttrs, Conv2dBackwardWeightAttrs } from "../../lib/ops/conv2d/geometry.ts";
import { groupNorm } from "../../lib/ops/group_norm/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { silu } from "../../lib/ops/silu/op.ts";

const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });

/** Two convolutions with a norm between, and a residual; `more` may add a reader of the first. */
function block(more?: (first: Tensor, graph: Graph) => void): Graph {
  const graph = new Graph();
  const x = graph.input("x", f32(2, 3, 5, 4));
  const weights = ["w1", "w2"].map((n, i) => graph.input(n, f32(4, i ? 4 : 3, 3, 3)));
  const first = conv2d(x, weights[0], { padding: 1 });
  const [scale, shift] = ["scale", "shift"].map((n) => graph.input(n, f32(4)));
  const h = groupNorm(first, scale, shift, { groups: 2, eps: 1e-5, silu: true });
  const sum = add(conv2d(h, weights[1], { padding: 1 }), first);
  graph.output("y", conv2d(sum, graph.input("last", f32(1, 4, 1, 1))));
  more?.(first, graph);
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

Deno.test("f16: for a software device what a convolution reads again and again stays f32", () => {
  const half = storeHalf(block(), OPS, { software: true });
  half.verify(OPS);
  assert.equal(types(half, "group_norm_apply"), "f32");
  // The sum is read by a 1×1 convolution, the first convolution by the norm.
  assert.equal(types(half, "add"), "f16");
  assert.equal(types(half, "conv2d"), "f16,f16,f32");
});

Deno.test("f16: a step to train on software converts little again and again, and saves memory", () => {
  const device = AUDIT_PROFILES["software-512"];
  const [half, full] = (["f16", "f32"] as const).map((precision) =>
    benchStep("train", benchConfig(8, 128, "seed", precision), { device })
  );
  const images = (n: Node) => n.op.endsWith("_weight") ? n.inputs : n.inputs.slice(0, 1);
  const kernel = ({ op, inputs, attrs }: Node) =>
    op === "conv2d_backward_weight"
      ? (attrs as Conv2dBackwardWeightAttrs).weightShape[2]
      : inputs[1].shape[2];
  const rereads = half.graph.nodes.filter((n) =>
    n.op.startsWith("conv2d_upsampled") ||
    n.op.startsWith("conv2d") && kernel(n) === 3 && (n.attrs as Conv2dAttrs).stride === 1
  );
  assert.ok(rereads.length > 20);
  const upsampled = rereads.filter((n) => n.op.startsWith("conv2d_upsampled"));
  assert.ok(upsampled.length >= 6, `${upsampled.length}`);
  for (const n of rereads) for (const t of images(n)) assert.equal(t.dtype, "f32", n.scope);
  const attention = half.graph.nodes.filter((n) => n.op.startsWith("attention"));
  assert.equal(attention.length, 2);
  for (const n of attention) assert.ok(n.inputs.every((t) => t.dtype === "f32"), n.op);
  const stored = half.graph.nodes.filter((n) => n.outputs[0].dtype === "f16");
  assert.ok(stored.length > 60, `${stored.length}`);
  const [halfBytes, bytes] = [planBytes(half.plan), planBytes(full.plan)];
  assert.ok(halfBytes < 0.9 * bytes, `${halfBytes} of ${bytes}`);
});

Deno.test("f16: what small images are joined from is copied by no kernel where f32 spares that", () => {
  const copies = (precision: "f32" | "f16") => {
    const { plan, graph } = benchStep("train", benchConfig(2, 32, "seed", precision), {
      device: AUDIT_PROFILES["software-512"],
    });
    return plan.dispatches.map((d) => graph.nodes[d.node])
      .filter((n) => n.op === "concat" || n.op === "slice").map((n) => `${n.op} ${n.scope}`);
  };
  assert.deepEqual(copies("f16"), copies("f32"));
});

Deno.test("f16: without a backward pass software does as with f32, a GPU does not", () => {
  const isHalf = (profile: string, kind: "sample" | "forward") =>
    benchStep(kind, benchConfig(1, 128, "seed", "f16"), { device: AUDIT_PROFILES[profile] })
      .graph.nodes.some((n) => n.outputs.some((t) => t.dtype === "f16"));
  for (const kind of ["sample", "forward"] as const) {
    assert.ok(!isHalf("software-512", kind) && !isHalf("software", kind));
    assert.ok(isHalf("gpu", kind));
  }
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
      /^(conv2d(_upsampled)?(_backward_data)?|concat|group_norm_apply|add)$/.test(n.op) &&
      n.outputs[0].dtype === "f32" && n.outputs[0].shape[1] > 3 && n.outputs[0].shape.length === 4
    );
    assert.deepEqual(left.map((n) => n.scope), []);
    const ratio = planBytes(plan(half, OPS, { device })) / planBytes(step.plan);
    assert.ok(ratio < 0.75, `${profile}: ${ratio}`);
  }
});
