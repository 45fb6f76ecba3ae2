import assert from "node:assert/strict";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { fuse } from "../../lib/graph/rewrite.ts";
import { add } from "../../lib/ops/add.ts";
import { addChannel } from "../../lib/ops/channel.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { mse } from "../../lib/ops/mse.ts";
import { silu } from "../../lib/ops/silu.ts";

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
