import assert from "node:assert/strict";
import { planBytes } from "../../lib/plan/plan.ts";
import { plan } from "../../lib/plan/planner.ts";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { recompute } from "../../lib/passes/recompute.ts";
import { concat } from "../../lib/ops/concat/op.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { groupNorm } from "../../lib/ops/group_norm/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { upsampleNearest2x } from "../../lib/ops/upsample/op.ts";

const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });

/** An upsampled image joined with another, normalised and convolved `layers` times; gradients. */
function model(layers: number, size: number): Graph {
  const graph = new Graph();
  const x = graph.input("x", f32(2, 4, size / 2, size / 2));
  const skip = graph.input("skip", f32(2, 4, size, size));
  const [weight, bias] = ["weight", "bias"].map((n) => graph.input(n, f32(8)));
  const kernel = graph.input("kernel", f32(8, 8, 3, 3));
  let h = concat([upsampleNearest2x(x), skip], 1);
  for (let i = 0; i < layers; i++) {
    const normed = groupNorm(h, weight, bias, { groups: 2, eps: 1e-5, silu: true });
    h = conv2d(normed, kernel, { padding: 1 });
  }
  graph.output("y", h);
  const seed = graph.input("seed", h);
  const wrt = [x, skip, weight, bias, kernel];
  gradients(graph, OPS, h, seed, wrt).forEach((g, i) => graph.output(`g${i}`, g));
  return graph;
}

Deno.test("recomputing changes no bit, and the backward pass has its own cheap nodes", () => {
  const before = model(2, 4);
  const after = recompute(before, OPS);
  after.verify(OPS);
  const feeds: Record<string, number[]> = {};
  let seed = 1;
  for (const [name, t] of before.inputs) {
    feeds[name] = Array.from({ length: t.size }, () => Math.sin(seed++ * 1.7));
  }
  const [a, b] = [interpret(before, OPS, feeds), interpret(after, OPS, feeds)];
  for (const [name, values] of a.outputs) assert.deepEqual(b.outputs.get(name), values, name);

  const cheap = (graph: Graph) =>
    graph.nodes.filter((n) => n.phase === "backward").map((n) => n.op)
      .filter((op) => ["concat", "group_norm_apply", "upsample_nearest_2x"].includes(op)).sort();
  assert.deepEqual(cheap(before), []);
  assert.deepEqual(cheap(after), [
    "concat",
    "group_norm_apply",
    "group_norm_apply",
    "upsample_nearest_2x",
  ]);
  for (const node of after.nodes.filter((n) => n.phase === "backward")) {
    for (const t of node.inputs) {
      const { op, phase } = t.node;
      assert.ok(phase !== "forward" || op !== "group_norm_apply", `${node.op} keeps ${op}`);
    }
  }
});

Deno.test("recomputing takes less memory", () => {
  const graph = model(8, 64);
  const bytes = [graph, recompute(graph, OPS)].map((g) =>
    planBytes(plan(g, OPS, { device: AUDIT_PROFILES.gpu }))
  );
  assert.ok(bytes[1] < 0.75 * bytes[0], `${bytes[1]} of ${bytes[0]} bytes`);
});
