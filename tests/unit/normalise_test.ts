import assert from "node:assert/strict";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import type { DeviceKind } from "../../lib/graph/op.ts";
import { add } from "../../lib/ops/add/op.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { optimize } from "../../lib/passes/optimize.ts";
import { groupNorm } from "../../lib/ops/group_norm/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { silu } from "../../lib/ops/silu/op.ts";

const LAVAPIPE: DeviceKind = { software: true, lanes: 16, features: ["subgroups"] };
const GPU: DeviceKind = { software: false, lanes: 8, features: ["shader-f16"] };
const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });

interface Block {
  readonly channels?: number;
  readonly kernel?: number;
  readonly silu?: boolean;
  /** Whether something else reads what is normalised. */
  readonly read?: "node" | "output";
}

/** A convolution of a normalised image, with a residual. */
function block({ channels = 30, kernel = 3, silu = true, read }: Block = {}): Graph {
  const graph = new Graph();
  const x = graph.input("x", f32(2, 4, 5, 8));
  const [scale, shift] = ["scale", "shift"].map((name) => graph.input(name, f32(4)));
  const weight = graph.input("weight", f32(channels, 4, kernel, kernel));
  const h = groupNorm(x, scale, shift, { groups: 2, eps: 1e-5, silu });
  const y = conv2d(h, weight, { padding: (kernel - 1) / 2, bias: graph.input("b", f32(channels)) });
  graph.output("y", add(y, graph.input("residual", y)));
  if (read === "node") graph.output("z", add(h, x));
  if (read === "output") graph.output("z", h);
  return graph;
}

const opsOf = (graph: Graph) => graph.nodes.map((n) => n.op);
const isNormalised = (graph: Graph, device = LAVAPIPE, precision: "f32" | "f16" = "f32") => {
  const ops = opsOf(optimize(graph, { device, precision }));
  assert.equal(ops.includes("group_norm_apply"), !ops.includes("conv2d_normalised"), ops.join());
  return ops.includes("conv2d_normalised");
};

Deno.test("normalising in the load of a convolution changes no value", () => {
  const graph = block();
  const form = optimize(graph, { device: LAVAPIPE });
  form.verify(OPS);
  assert.deepEqual(opsOf(form).filter((op) => op !== "input"), [
    "group_norm_stats",
    "conv2d_normalised",
  ]);
  const feeds: Record<string, number[]> = {};
  let seed = 1;
  for (const [name, t] of graph.inputs) {
    feeds[name] = Array.from({ length: t.size }, () => Math.sin(seed++ * 1.7));
  }
  const want = interpret(graph, OPS, feeds).outputs.get("y")!;
  const got = interpret(form, OPS, feeds).outputs.get("y")!;
  want.forEach((v, i) => assert.ok(Math.abs(v - got[i]) < 1e-12, `y[${i}]: ${got[i]}, not ${v}`));
});

Deno.test("what something else reads is normalised before, and so is what goes through no SiLU", () => {
  assert.ok(isNormalised(block()));
  assert.ok(!isNormalised(block({ read: "node" })));
  assert.ok(!isNormalised(block({ read: "output" })));
  assert.ok(!isNormalised(block({ silu: false })));
});

Deno.test("only where few read a pixel: 3×3 kernels by lanes, of one panel", () => {
  assert.ok(isNormalised(block({ channels: 32 })));
  assert.ok(!isNormalised(block({ channels: 33 })));
  assert.ok(!isNormalised(block({ channels: 64 })));
  assert.ok(!isNormalised(block({ channels: 8 })), "that many channels are not there");
  assert.ok(!isNormalised(block({ kernel: 1 })));
  assert.ok(isNormalised(block(), { ...LAVAPIPE, lanes: 8 }));
  assert.ok(!isNormalised(block(), { ...LAVAPIPE, features: [] }));
});

Deno.test("on GPUs all 3×3 kernels in tiles, whatever the precision", () => {
  assert.ok(isNormalised(block(), GPU));
  assert.ok(isNormalised(block({ channels: 64 }), GPU));
  assert.ok(isNormalised(block({ channels: 8 }), GPU));
  assert.ok(isNormalised(block(), GPU, "f16"));
  assert.ok(!isNormalised(block({ kernel: 1 }), GPU));
  assert.ok(!isNormalised(block({ read: "node" }), GPU));
});

Deno.test("with f16 training on software would take more memory: x could not be f16", () => {
  const training = block();
  const v = training.input("v", f32(4));
  training.output("dv", training.within("later", "backward", () => silu(v)));
  assert.ok(!isNormalised(training, LAVAPIPE, "f16"));
  assert.ok(isNormalised(training, LAVAPIPE) && isNormalised(training, GPU, "f16"));
  assert.ok(isNormalised(block(), LAVAPIPE, "f16"), "without a backward pass it is f32 anyway");
});
