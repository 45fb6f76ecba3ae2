/** Winograd's transform of an image, made once for the convolution and the gradient by its weight. */

import assert from "node:assert/strict";
import { checkStep } from "../../lib/audit/check.ts";
import { compare } from "../../lib/audit/values.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { transformGroups } from "../../lib/plan/value_numbering.ts";
import type { Plan } from "../../lib/plan/plan.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import type { DeviceProfile, Variant } from "../../lib/graph/op.ts";
import type { Node } from "../../lib/graph/tensor.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { silu } from "../../lib/ops/silu/op.ts";
import { feedsOf } from "./harness.ts";

/** Two convolutions one after the other, and the gradients by both weights. */
function trainingGraph([n, c, middle, h, w]: readonly number[]): Graph {
  const graph = new Graph();
  const input = (name: string, ...shape: number[]) => graph.input(name, { shape, dtype: "f32" });
  const x = silu(input("x", n, c, h, w));
  const weights = [input("w1", middle, c, 3, 3), input("w2", 3, middle, 3, 3)];
  const y = silu(conv2d(x, weights[0], { padding: 1 }));
  const z = conv2d(y, weights[1], { padding: 1 });
  graph.output("z", z);
  gradients(graph, OPS, z, input("dz", ...z.shape), weights).forEach((dw, i) =>
    graph.output(`dw${i + 1}`, dw!)
  );
  return graph;
}

const byWinograd = (_: Node, all: readonly Variant[]) =>
  all.find((v) => v.name.startsWith("winograd")) ?? all[0];

/** How often each op transforms an image. */
function transforms(p: Plan): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op, note } of p.dispatches) {
    if (note === "transform input") counts[op] = (counts[op] ?? 0) + 1;
  }
  return counts;
}

async function withGpu(
  run: (gpu: Awaited<ReturnType<typeof openGpu>>, device: DeviceProfile) => Promise<void>,
) {
  const gpu = await openGpu();
  await run(gpu, { ...gpu.profile, software: false });
  gpu.destroy();
}

for (
  const [name, shape, counts] of [
    // The gradient of the first convolution's output is transformed too.
    ["one chunk", [2, 20, 18, 16, 32], { conv2d: 2, conv2d_backward_data: 1 }],
    ["several chunks", [3, 40, 4, 128, 128], { conv2d: 3, conv2d_backward_data: 1 }],
  ] as const
) {
  Deno.test(`kept: ${name}: made once, right whenever it is read`, () =>
    withGpu(async (gpu, asGpu) => {
      const graph = trainingGraph(shape);
      const feeds = feedsOf(graph);
      const { outputs } = interpret(graph, OPS, feeds);
      // In textures, where the device is a software one.
      for (const device of [gpu.profile, asGpu]) {
        const p = plan(graph, OPS, { device, choose: byWinograd });
        assert.deepEqual(transforms(p), counts);
        assert.ok(p.dispatches.some((d) => d.op === "conv2d_backward_weight"));
        const exe = await Executable.load(gpu, p, { poison: true });
        for (let run = 0; run < 2; run++) {
          for (const [name, data] of Object.entries(feeds)) {
            exe.write(name, data);
          }
          exe.run();
          for (const [name, expected] of outputs) {
            const { relative } = compare(await exe.read(name), expected);
            // Of two convolutions in a row, 3e-6 each.
            assert.ok(relative < 6e-6, `${name}: ${relative}`);
          }
        }
        for (const c of await checkStep(graph, exe)) {
          assert.ok(c.relative <= c.tolerance, `${c.op} ${c.relative}`);
        }
        exe.destroy();
      }
    }));
}

Deno.test("kept: what is written over shows in the audit's check", () =>
  withGpu(async (gpu, device) => {
    const graph = trainingGraph([2, 20, 20, 16, 32]);
    const p = plan(graph, OPS, { device, choose: byWinograd });
    // The products of the weight gradient read where another image's transform lies.
    const vs = p.dispatches.filter((d) => d.note === "transform input")
      .map((d) => d.bindings.find((b) => b.name === "v")!);
    const isFirst = (b: { name: string; buffer: number }) =>
      b.name === "v" && b.buffer === vs[0].buffer;
    const dispatches = p.dispatches.map((d) =>
      d.op === "conv2d_backward_weight" && d.note === "products"
        ? { ...d, bindings: d.bindings.map((b) => isFirst(b) ? { ...b, buffer: vs[1].buffer } : b) }
        : d
    );
    assert.notDeepEqual(dispatches, p.dispatches);
    const exe = await Executable.load(gpu, { ...p, dispatches }, { poison: true });
    for (const [name, data] of Object.entries(feedsOf(graph))) {
      exe.write(name, data);
    }
    const checks = await checkStep(graph, exe);
    assert.ok(checks.some((c) => !(c.relative <= 100 * c.tolerance)));
    exe.destroy();
  }));

Deno.test("kept: not where one of the two takes another way, nor beyond the memory for it", () =>
  withGpu((_, device) => {
    const graph = trainingGraph([2, 20, 18, 16, 32]);
    const only = (op: string) => (node: Node, all: readonly Variant[]) =>
      node.op === op ? byWinograd(node, all) : all[0];
    for (const op of ["conv2d", "conv2d_backward_weight"]) {
      const p = plan(graph, OPS, { device, choose: only(op) });
      assert.deepEqual(transforms(p), { [op]: 2 });
    }
    const chosen = new Map<Node, Variant>();
    for (const node of graph.nodes.filter((n) => n.op in OPS)) {
      const { inputs, outputs, attrs } = node;
      const def = OPS[node.op];
      const all = def.lower({ inputs, outputs, attrs, device });
      if (all.length) chosen.set(node, byWinograd(node, all));
    }
    const bytes = [...new Set([...chosen.values()].flatMap((v) => v.kept?.bytes ?? []))]
      .sort((a, b) => a - b);
    assert.equal(bytes.length, 2);
    const kept = (most: number) => transformGroups(graph.nodes, chosen, most).length;
    assert.deepEqual([bytes[0] - 1, bytes[0], bytes[0] + bytes[1] - 1].map(kept), [0, 1, 1]);
    assert.equal(kept(bytes[0] + bytes[1]), 2);
    return Promise.resolve();
  }));

Deno.test("kept: of two alike convolutions only what nothing else is written over is made once", () =>
  withGpu(async (gpu, device) => {
    const graph = new Graph();
    const [x, w, dy] = [[3, 40, 128, 128], [4, 40, 3, 3], [3, 4, 128, 128]].map((shape, i) =>
      graph.input(`i${i}`, { shape, dtype: "f32" })
    );
    const [y, z] = [0, 1].map(() => conv2d(x, w, { padding: 1 }));
    graph.output("y", y);
    graph.output("z", z);
    graph.output("dw", gradients(graph, OPS, y, dy, [w])[0]!);
    const feeds = feedsOf(graph);
    const { outputs } = interpret(graph, OPS, feeds);
    const p = plan(graph, OPS, { device, choose: byWinograd });
    const notes = p.dispatches.filter((d) => d.op === "conv2d").map((d) => d.note);
    const count = (note: string) => notes.filter((n) => n === note).length;
    // The products of a chunk are written over by those of the next: each convolution makes its own.
    assert.ok(count("products") > 2 && count("products") % 2 === 0, `${notes}`);
    assert.equal(count("products"), count("transform output"));
    const exe = await Executable.load(gpu, p, { poison: true });
    for (const [name, data] of Object.entries(feeds)) exe.write(name, data);
    exe.run();
    assert.deepEqual(await exe.read("z"), await exe.read("y"), "both are the same convolution");
    for (const [name, expected] of outputs) {
      const { relative } = compare(await exe.read(name), expected);
      // Five times what the plain sum of these 360 products errs by (lib/ops/conv2d/cases.ts), 2.7e-6.
      assert.ok(relative < 1.35e-5, `${name}: ${relative}`);
    }
    exe.destroy();
  }));
