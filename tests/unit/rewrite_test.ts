import assert from "node:assert/strict";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { fuse } from "../../lib/passes/fuse.ts";
import type { Tensor } from "../../lib/graph/tensor.ts";
import { add } from "../../lib/ops/add/op.ts";
import { addChannel } from "../../lib/ops/channel/op.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { linear } from "../../lib/ops/linear/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { mse } from "../../lib/ops/mse/op.ts";
import { silu } from "../../lib/ops/silu/op.ts";

const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });

/** A residual block without its norms, and its gradients. */
function block(): Graph {
  const graph = new Graph();
  const x = graph.input("x", f32(2, 3, 5, 4));
  const time = graph.input("time", f32(2, 4));
  const w1 = graph.input("w1", f32(4, 3, 3, 3));
  const w2 = graph.input("w2", f32(4, 4, 3, 3));
  const shortcut = graph.input("shortcut", f32(4, 3, 1, 1));
  const bias = graph.input("bias", f32(4));
  const seed = graph.input("seed", f32(2, 4, 5, 4));
  const h = silu(addChannel(conv2d(x, w1, { padding: 1, bias }), time));
  const y = add(conv2d(h, w2, { padding: 1 }), conv2d(x, shortcut));
  graph.output("y", y);
  const wrt = [x, time, w1, w2, shortcut, bias];
  gradients(graph, OPS, y, seed, wrt).forEach((g, i) => graph.output(`g${i}`, g));
  return graph;
}

Deno.test("fusing changes no value and takes every addition into a convolution", () => {
  const graph = block();
  const { graph: fused, tensors } = fuse(graph, OPS);
  fused.verify(OPS);
  const feeds: Record<string, number[]> = {};
  let seed = 1;
  for (const [name, t] of graph.inputs) {
    feeds[name] = Array.from({ length: t.size }, () => Math.sin(seed++ * 1.7));
  }
  const [before, after] = [interpret(graph, OPS, feeds), interpret(fused, OPS, feeds)];
  for (const [name, values] of before.outputs) {
    const got = after.outputs.get(name)!;
    values.forEach((v, i) => assert.ok(Math.abs(v - got[i]) < 1e-12, `${name}[${i}]`));
  }
  const ops = fused.nodes.map((n) => n.op);
  assert.ok(!ops.includes("add") && !ops.includes("add_channel"), ops.join());
  assert.equal(ops.filter((op) => op === "sum_spatial").length, 1);
  for (const [name, t] of graph.outputs) assert.equal(tensors.get(t.key), fused.outputs.get(name));
});

/** The sums in a graph with the gradients of two biases that are the same sum, fused. */
function twoBiases(wrt: (a: Tensor, b: Tensor, v: Tensor) => Tensor[]) {
  const graph = new Graph();
  const x = graph.input("x", f32(2, 2, 4, 4));
  const w = graph.input("w", f32(3, 2, 1, 1));
  const [a, b] = ["a", "b"].map((name) => graph.input(name, f32(3)));
  const v = graph.input("v", f32(2, 3));
  const y = add(addChannel(conv2d(x, w, { bias: a }), v), conv2d(x, w, { bias: b }));
  const seed = graph.input("seed", f32(2, 3, 4, 4));
  const wanted = gradients(graph, OPS, y, seed, wrt(a, b, v));
  wanted.forEach((g, i) => graph.output(`g${i}`, g));
  const fused = fuse(graph, OPS).graph;
  fused.verify(OPS);
  const feeds: Record<string, number[]> = {};
  for (const [name, t] of graph.inputs) {
    feeds[name] = Array.from({ length: t.size }, (_, i) => Math.sin(1.7 * i + name.length));
  }
  const [before, after] = [interpret(graph, OPS, feeds), interpret(fused, OPS, feeds)];
  for (const [name, values] of before.outputs) {
    const got = after.outputs.get(name)!;
    values.forEach((v, i) => assert.ok(Math.abs(v - got[i]) < 1e-12, `${name}[${i}]`));
  }
  const places = new Set(wanted.map((_, i) => fused.outputs.get(`g${i}`)!.key));
  assert.equal(places.size, wanted.length, "two gradients in one place");
  return fused.nodes.map(({ op }) => op).filter((op) => op.startsWith("sum_"));
}

Deno.test("equal sums are made once; what two biases take of them lies in two places", () => {
  assert.deepEqual(twoBiases((a, _, v) => [a, v]), ["sum_spatial"]);
  // The second adds up the images' sums, and reads no image again.
  assert.deepEqual(twoBiases((a, b) => [a, b]), ["sum_spatial", "sum_batch"]);
  assert.deepEqual(twoBiases((a, b, v) => [a, b, v]), ["sum_spatial", "sum_batch"]);
});

Deno.test("the gradients that several layers hand to one input are added as they are stored", () => {
  const graph = new Graph();
  const x = graph.input("x", f32(2, 5));
  const y = ["a", "b", "c"].map((name) => linear(x, graph.input(name, f32(4, 5))))
    .reduce((sum, t) => add(sum, t));
  const seed = graph.input("seed", f32(2, 4));
  graph.output("dx", gradients(graph, OPS, y, seed, [x])[0]);
  const ops = fuse(graph, OPS).graph.nodes.map(({ op, inputs }) => `${op} ${inputs.length}`);
  const count = (op: string) => ops.filter((o) => o === op).length;
  assert.equal(count("linear_data_gradient 2"), 1, ops.join());
  assert.equal(count("linear_data_gradient 3"), 2, ops.join());
});

Deno.test("a convolution that something else reads is left alone", () => {
  const graph = new Graph();
  const x = graph.input("x", f32(1, 2, 4, 4));
  const y = conv2d(x, graph.input("w", f32(2, 2, 3, 3)), { padding: 1 });
  graph.output("sum", add(y, x));
  graph.output("y", y);
  assert.equal(fuse(graph, OPS).graph.nodes.length, graph.nodes.length);
});

/** A loss of which something is read before its gradient is made, or not. */
function loss(early: boolean): Graph {
  const graph = new Graph();
  const [x, target] = ["x", "target"].map((name) => graph.input(name, f32(2, 5)));
  const y = silu(x);
  const made = mse(y, target);
  if (early) graph.output("early", silu(made));
  graph.output("dx", gradients(graph, OPS, made, graph.input("seed", f32(1)), [x])[0]);
  graph.output("loss", made);
  return graph;
}

Deno.test("loss and gradient are made in one, unless the loss is read before", () => {
  const count = (graph: Graph, op: string) => graph.nodes.filter((n) => n.op === op).length;
  for (const early of [false, true]) {
    const graph = loss(early);
    const { graph: fused } = fuse(graph, OPS);
    fused.verify(OPS);
    assert.equal(count(fused, "mse_with_gradient"), 1);
    assert.equal(count(fused, "mse"), early ? 1 : 0);
    const feeds = {
      x: Array.from({ length: 10 }, (_, i) => Math.sin(i)),
      target: Array.from({ length: 10 }, (_, i) => Math.cos(i)),
      seed: [1.5],
    };
    const [before, after] = [interpret(graph, OPS, feeds), interpret(fused, OPS, feeds)];
    for (const [name, values] of before.outputs) {
      assert.deepEqual([...after.outputs.get(name)!], [...values], name);
    }
  }
});
