/** Images that are two tensors: read from both by the kernels of real GPUs, not joined first. */

import assert from "node:assert/strict";
import { checkStep } from "../../lib/audit/check.ts";
import { memoryReport } from "../../lib/audit/memory.ts";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { auditedStep, presetConfig } from "../../lib/audit/steps.ts";
import { compare } from "../../lib/audit/values.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { Plan } from "../../lib/plan/plan.ts";
import { plan } from "../../lib/plan/planner.ts";
import type { PlanOptions } from "../../lib/plan/lower.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { normaliseInLoads } from "../../lib/passes/fuse_norm.ts";
import type { DeviceProfile } from "../../lib/graph/op.ts";
import { storeHalf } from "../../lib/passes/precision.ts";
import type { Tensor } from "../../lib/graph/tensor.ts";
import { add } from "../../lib/ops/add/op.ts";
import { concat } from "../../lib/ops/concat/op.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { groupNorm } from "../../lib/ops/group_norm/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { silu } from "../../lib/ops/silu/op.ts";
import { feedsOf } from "./harness.ts";

const { gpu: GPU, "webgpu-minimum": MINIMUM } = AUDIT_PROFILES;

/** A resnet block's beginning: group norm and SiLU before a convolution, and a shortcut. */
function blockGraph(
  [n, c1, c2, h, w]: readonly number[],
  more: (joined: Tensor, graph: Graph) => void = () => {},
): Graph {
  const graph = new Graph();
  const input = (name: string, ...shape: number[]) => graph.input(name, { shape, dtype: "f32" });
  const parts = [c1, c2].map((c, i) => {
    const x = input(`x${i}`, n, c, h, w);
    return add(x, x);
  });
  const joined = concat(parts, 1);
  const channels = c1 + c2;
  const [scale, shift] = ["scale", "shift"].map((name) => input(name, channels));
  const normed = groupNorm(joined, scale, shift, { groups: 1, eps: 1e-5, silu: true });
  const y = conv2d(normed, input("weight", 8, channels, 3, 3), { padding: 1 });
  graph.output("y", add(y, conv2d(joined, input("point", 8, channels, 1, 1))));
  more(joined, graph);
  return graph;
}

const joins = (p: Plan) => p.dispatches.filter((d) => d.op === "concat").length;
const planOf = (graph: Graph, device: DeviceProfile) => plan(graph, OPS, { device });

Deno.test("two: a GPU joins no image of a block's two; they live as long as the image would", () => {
  const graph = blockGraph([3, 12, 20, 16, 16]);
  for (const g of [graph, normaliseInLoads(graph, OPS, () => true)]) {
    const p = planOf(g, GPU);
    assert.equal(joins(p), 0);
    const node = g.nodes.find((t) => t.op === "concat")!;
    const key = `${node.id}:0`;
    const readers = p.dispatches.filter((d) => d.bindings.some((b) => b.name === "x_rest"));
    const last = p.dispatches.lastIndexOf(readers.at(-1)!);
    assert.equal(p.tensors[key].pieces!.length, 6);
    assert.deepEqual(
      new Set(readers.map((d) => d.node)),
      new Set(g.nodes.filter((t) => t.inputs.some((i) => i.key === key)).map((t) => t.id)),
    );
    // Counted anew by the audit.
    const { tensors } = memoryReport(g, p, OPS);
    assert.ok(!tensors.some((life) => life.key === key));
    for (const t of node.inputs) {
      assert.ok(tensors.find((life) => life.key === t.key)!.last >= last);
    }
  }
});

Deno.test("two: otherwise the image is made", () => {
  const shape = [3, 12, 20, 16, 16];
  const made = (graph: Graph, device = GPU) => joins(planOf(graph, device)) > 0;
  assert.ok(!made(blockGraph(shape)));
  assert.ok(!made(blockGraph(shape), MINIMUM));
  assert.ok(made(blockGraph(shape, (x, graph) => graph.output("joined", x))), "output");
  assert.ok(made(blockGraph(shape, (x, graph) => graph.output("silu", silu(x)))), "other readers");
  assert.ok(made(blockGraph([3, 1, 1, 3, 6])), "a vec4 of a group has pixels of both");
  const few = { ...GPU, limits: { ...GPU.limits, maxStorageBuffersPerShaderStage: 6 } };
  assert.ok(made(blockGraph(shape), few), "too many buffers");
});

Deno.test("two: of a whole step only the model's input is joined, by Winograd too", () => {
  const byWinograd: PlanOptions["choose"] = (_, all) =>
    all.find((v) => v.name === "winograd_f4_tiled") ?? all[0];
  for (const profile of ["gpu", "webgpu-minimum"]) {
    for (const kind of ["train", "sample"] as const) {
      for (const choose of [undefined, byWinograd]) {
        const device = AUDIT_PROFILES[profile];
        const { plan } = auditedStep(kind, "seed", presetConfig("seed"), device, choose);
        const scopes = plan.dispatches.filter((d) => d.op === "concat").map((d) => d.scope);
        const expected = Array(kind === "train" ? 1 : 2).fill("model_input");
        assert.deepEqual(scopes, expected, `${profile}, ${kind}`);
      }
    }
  }
});

for (const dtype of ["f32", "f16"] as const) {
  for (const shape of [[3, 12, 20, 16, 16], [2, 5, 3, 6, 10]]) {
    Deno.test(`two: [${shape}], ${dtype}: values as the graph has them`, async () => {
      const gpu = await openGpu();
      const device = { ...gpu.profile, software: false };
      const plain = blockGraph(shape);
      const graph = dtype === "f16" ? storeHalf(plain, OPS) : plain;
      const p = planOf(graph, device);
      assert.equal(joins(p), 0);
      const exe = await Executable.load(gpu, p, { poison: true });
      const feeds = feedsOf(graph);
      const expected = interpret(graph, OPS, feeds).outputs.get("y")!;
      for (const [name, data] of Object.entries(feeds)) exe.write(name, data);
      exe.run();
      const { relative } = compare(await exe.read("y"), expected);
      assert.ok(relative < (dtype === "f16" ? 1e-3 : 1e-6), `${relative}`);
      for (const c of await checkStep(graph, exe)) {
        assert.ok(c.relative <= c.tolerance, `${c.op} ${c.relative}`);
      }
      exe.destroy();
      gpu.destroy();
    });
  }
}

Deno.test("two: one in the other's place shows in the audit's check", async () => {
  const gpu = await openGpu();
  const graph = blockGraph([3, 16, 16, 16, 16]);
  const p = planOf(graph, { ...gpu.profile, software: false });
  const dispatches = p.dispatches.map((d) => {
    const [x, rest] = ["x", "x_rest"].map((name) => d.bindings.find((b) => b.name === name)!);
    if (!rest) return d;
    const at = ({ buffer, offset, size }: typeof x) => ({ buffer, offset, size });
    const swap = (b: typeof x) => b === x ? { ...b, ...at(rest) } : { ...b, ...at(x) };
    return { ...d, bindings: d.bindings.map((b) => b === x || b === rest ? swap(b) : b) };
  });
  const exe = await Executable.load(gpu, { ...p, dispatches });
  for (const [name, data] of Object.entries(feedsOf(graph))) {
    exe.write(name, data);
  }
  const checks = await checkStep(graph, exe);
  assert.ok(checks.some((c) => c.relative > 100 * c.tolerance));
  exe.destroy();
  gpu.destroy();
});
