import assert from "node:assert/strict";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { memoryReport } from "../../lib/audit/memory.ts";
import { checkStep } from "../../lib/audit/check.ts";
import { compare } from "../../lib/audit/values.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { Plan } from "../../lib/plan/plan.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { storeHalf } from "../../lib/passes/precision.ts";
import type { Tensor } from "../../lib/graph/tensor.ts";
import { add } from "../../lib/ops/add/op.ts";
import { concat, slice } from "../../lib/ops/concat/op.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { schedulerStep } from "../../lib/ops/diffusion/op.ts";
import { STEP_COEFFICIENTS } from "../../lib/ops/diffusion/shared.ts";
import { groupNorm } from "../../lib/ops/group_norm/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { silu } from "../../lib/ops/silu/op.ts";
import { Recorder } from "../audit/recorder.ts";
import { feedsOf } from "./harness.ts";

const { software } = AUDIT_PROFILES;

/** Two images, joined along the channels, and what reads them; and a part cut out of an image. */
function joinedGraph(
  [n, c1, c2, h, w]: readonly number[],
  more: (joined: Tensor, graph: Graph) => void = () => {},
): Graph {
  const graph = new Graph();
  const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });
  const [a, b] = [c1, c2].map((c, i) => {
    const x = graph.input(`x${i}`, f32(n, c, h, w));
    return add(x, graph.input(`y${i}`, f32(n, c, h, w)));
  });
  const joined = concat([a, b], 1);
  const [scale, shift] = ["scale", "shift"].map((name) => graph.input(name, f32(c1 + c2)));
  const normed = groupNorm(joined, scale, shift, { groups: 1, eps: 1e-5, silu: true });
  const weight = graph.input("weight", f32(4, c1 + c2, 3, 3));
  const point = graph.input("point", f32(4, c1 + c2, 1, 1));
  const shortcut = conv2d(joined, point);
  graph.output("y", add(conv2d(normed, weight, { padding: 1 }), shortcut));
  const cut = slice(add(joined, joined), 1, 1, c1 + c2 - 2);
  graph.output("w", conv2d(cut, graph.input("cut", f32(4, c1 + c2 - 2, 1, 1))));
  // After the last use of the joined tensor its parts are read once more, and memory is used again.
  graph.output("z", conv2d(add(a, a), graph.input("part", f32(1, c1, 1, 1))));
  more(joined, graph);
  return graph;
}

const joins = (p: Plan) => p.dispatches.filter((d) => /^(concat|slice)$/.test(d.op)).length;

Deno.test("joined: what is joined or cut and read from textures alone takes no memory and no dispatch", () => {
  const shape = [3, 12, 20, 64, 64];
  const graph = joinedGraph(shape);
  const p = plan(graph, OPS, { device: software });
  assert.equal(joins(p), 0);
  const node = graph.nodes.find((n) => n.op === "concat")!;
  const { pieces, bytes, home } = p.tensors[`${node.id}:0`];
  assert.equal(pieces!.length, 6);
  assert.equal(pieces!.reduce((sum, q) => sum + q.size, 0), bytes);
  // Counted anew by the audit: the parts live until they are copied, what they make until it is read.
  const { tensors } = memoryReport(graph, p, OPS);
  const lastOf = (key: string) => tensors.find((life) => life.key === key)!.last;
  const last = p.dispatches.findLastIndex((d) =>
    graph.nodes[d.node].inputs.some((input) => input.key === `${node.id}:0`)
  );
  assert.ok(home!.dispatch < last);
  assert.ok(lastOf(`${node.id}:0`) >= last);
  for (const t of node.inputs) assert.ok(lastOf(t.key) >= home!.dispatch);
  // The second part has no other reader.
  assert.ok(lastOf(node.inputs[1].key) < last);
});

Deno.test("joined: otherwise it is made as before", () => {
  const shape = [3, 12, 20, 64, 64];
  const made = (graph: Graph, device = software) => joins(plan(graph, OPS, { device })) > 0;
  assert.ok(made(joinedGraph([1, 4, 4, 32, 32])), "small");
  assert.ok(made(joinedGraph(shape), AUDIT_PROFILES.gpu), "read from storage");
  assert.ok(made(joinedGraph(shape, (joined, graph) => graph.output("joined", joined))), "output");
  assert.ok(
    made(joinedGraph(shape, (joined, graph) => graph.output("silu", silu(joined)))),
    "one reads it from storage",
  );
  const ofState = joinedGraph(shape, (joined, graph) => {
    const parts = [add(joined, joined), graph.state("s", { shape: joined.shape, dtype: "f32" })];
    graph.output("u", add(concat(parts, 1), concat(parts, 1)));
    graph.update("s", add(joined, joined));
  });
  assert.equal(joins(plan(ofState, OPS, { device: software })), 4, "a state is among the parts");

  const overwritten = new Graph();
  const image = { shape: [3, 16, 64, 64], dtype: "f32" as const };
  const [x, noise] = ["x", "noise"].map((name) => overwritten.input(name, image));
  const coefficients = overwritten.input("c", { shape: [STEP_COEFFICIENTS], dtype: "f32" });
  const [a, b] = [add(x, noise), add(x, x)];
  const both = concat([a, b], 1);
  // In place: after this, a's memory is another image.
  const [next] = schedulerStep(x, noise, coefficients, a, add(noise, noise));
  const weight = overwritten.input("weight", { shape: [4, 32, 1, 1], dtype: "f32" });
  overwritten.output("y", conv2d(both, weight));
  overwritten.output("next", next);
  assert.ok(made(overwritten), "a part is overwritten before the whole is read");
});

Deno.test("joined: of what is joined already one has memory", async () => {
  const gpu = await openGpu();
  const graph = joinedGraph([3, 12, 20, 64, 64], (joined, graph) => {
    const twice = concat([joined, add(joined, joined)], 1);
    graph.output("u", conv2d(twice, graph.input("twice", { shape: [4, 64, 1, 1], dtype: "f32" })));
  });
  const p = plan(graph, OPS, { device: gpu.profile });
  if (gpu.profile.software) {
    assert.deepEqual(p.dispatches.filter((d) => d.op === "concat").map((d) => d.note), ["", ""]);
  }
  const exe = await Executable.load(gpu, p, { poison: true });
  const feeds = feedsOf(graph);
  for (const [name, data] of Object.entries(feeds)) exe.write(name, data);
  exe.run();
  const lists = Object.fromEntries(Object.entries(feeds).map(([k, v]) => [k, Array.from(v)]));
  const { relative } = compare(await exe.read("u"), interpret(graph, OPS, lists).outputs.get("u")!);
  assert.ok(relative < 1e-6, `${relative}`);
  exe.destroy();
  gpu.destroy();
});

for (
  const [name, shape] of [
    ["whole rows of the texture", [3, 12, 20, 64, 64]],
    ["pieces that begin and end within rows", [26, 8, 21, 20, 20]],
  ] as const
) {
  for (const dtype of ["f32", "f16"] as const) {
    Deno.test(`joined: ${name}, ${dtype}: values as the graph has them`, async () => {
      const gpu = await openGpu();
      const plain = joinedGraph(shape);
      const graph = dtype === "f16" ? storeHalf(plain, OPS) : plain;
      const p = plan(graph, OPS, { device: gpu.profile });
      if (gpu.profile.software) assert.equal(joins(p), 0);
      const exe = await Executable.load(gpu, p, { poison: true });
      const feeds = feedsOf(graph);
      const { outputs } = interpret(
        graph,
        OPS,
        Object.fromEntries(Object.entries(feeds).map(([k, v]) => [k, Array.from(v)])),
      );
      const all = () => Promise.all(["y", "z", "w"].map((name) => exe.read(name)));
      for (let run = 0; run < 2; run++) {
        for (const [name, data] of Object.entries(feeds)) exe.write(name, data);
        exe.run();
        (await all()).forEach((got, i) => {
          const { relative } = compare(got, outputs.get("yzw"[i])!);
          assert.ok(relative < (dtype === "f16" ? 1e-3 : 1e-6), `${"yzw"[i]}: ${relative}`);
        });
      }
      const checks = await checkStep(graph, exe);
      for (const c of checks) assert.ok(c.relative <= c.tolerance, `${c.op} ${c.relative}`);
      exe.destroy();
      gpu.destroy();
    });
  }
}

Deno.test("joined: what reaches the device is what the Plan lists; it has no memory to read", async () => {
  const real = await openGpu();
  for (const shape of [[3, 12, 20, 64, 64], [26, 8, 21, 20, 20]]) {
    const recorder = new Recorder();
    const graph = joinedGraph(shape);
    const p = plan(graph, OPS, { device: real.profile });
    const exe = await Executable.load(recorder.watch(real), p);
    const from = recorder.events.length;
    for (const [name, data] of Object.entries(feedsOf(graph))) exe.write(name, data);
    if (real.profile.software) {
      const joined = graph.nodes.find((n) => n.op === "concat")!;
      await assert.rejects(exe.read(`${joined.id}:0`), /no memory of its own/);
    }
    exe.run();
    await exe.read("y");
    assert.equal(recorder.events.length - from, graph.inputs.size + 2);
    assert.deepEqual(recorder.unlisted(Recorder.loaded([p]), from), []);
    if (real.profile.software) assert.ok(p.dispatches.some((d) => d.stage.some((s) => s.at)));
    exe.destroy();
  }
  real.destroy();
});

Deno.test("joined: a piece in the wrong place shows in the audit's check", async () => {
  const gpu = await openGpu();
  if (gpu.profile.software) {
    const graph = joinedGraph([3, 12, 20, 64, 64]);
    const good = plan(graph, OPS, { device: gpu.profile });
    const dispatches = good.dispatches.map((d) => {
      const joined = d.stage.filter((s) => s.at);
      if (joined.length < 2) return d;
      const [a, b] = d.stage.filter((s) => s.size === joined[0].size);
      const swap = (s: typeof a) =>
        s === a ? { ...a, offset: b.offset } : s === b ? { ...b, offset: a.offset } : s;
      return { ...d, stage: d.stage.map(swap) };
    });
    assert.notDeepEqual(dispatches, good.dispatches);
    const exe = await Executable.load(gpu, { ...good, dispatches });
    for (const [name, data] of Object.entries(feedsOf(graph))) exe.write(name, data);
    const checks = await checkStep(graph, exe);
    assert.ok(checks.some((c) => c.relative > 100 * c.tolerance));
    exe.destroy();
  }
  gpu.destroy();
});
