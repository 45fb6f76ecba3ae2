/** Tensors that stay in a texture from their first reader to their last: copied once, kept right. */

import assert from "node:assert/strict";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { checkStep } from "../../lib/audit/check.ts";
import { benchConfig, benchStep } from "../../lib/bench/steps.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { type Residency, shareTextures } from "../../lib/plan/texture_residency.ts";
import type { Plan } from "../../lib/plan/plan.ts";
import { KEPT_BYTES } from "../../lib/plan/value_numbering.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { storeHalf } from "../../lib/passes/precision.ts";
import { bytesOf, type Tensor } from "../../lib/graph/tensor.ts";
import { add } from "../../lib/ops/add/op.ts";
import { concat } from "../../lib/ops/concat/op.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { groupNorm } from "../../lib/ops/group_norm/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { view } from "../../lib/ops/view/op.ts";

const { software } = AUDIT_PROFILES;
const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });

/** The last dispatch of each node that reads the tensor. */
function lastReader(graph: Graph, { dispatches }: Plan, key: string): number {
  const reads = new Set(
    graph.nodes.filter((n) => n.inputs.some((t) => t.key === key)).map((n) => n.id),
  );
  return dispatches.findLastIndex((d) => reads.has(d.node));
}

for (const profile of ["software", "software-512"]) {
  Deno.test(`homes: a training step copies no large tensor twice, ${profile}`, () => {
    const device = AUDIT_PROFILES[profile];
    const { graph, plan: p } = benchStep("train", benchConfig(8, 128), { device });
    // What a range held when it was copied: the last dispatch that had written to its buffer there.
    const written = new Map<number, { offset: number; size: number; by: number }[]>();
    const copies = new Map<string, number>();
    let twice = 0, all = 0, kept = 0;
    p.dispatches.forEach((d, i) => {
      for (const { buffer, offset, size, once, texture } of d.stage) {
        const by = (written.get(buffer) ?? [])
          .filter((w) => w.offset < offset + size && offset < w.offset + w.size)
          .reduce((last, w) => Math.max(last, w.by), -1);
        const key = `${buffer} ${offset} ${size} ${by}`;
        copies.set(key, (copies.get(key) ?? 0) + 1);
        if (!once) all += size;
        // What Winograd keeps is copied twice, to a texture that is still in the processor's caches.
        const isKept = d.op === "conv2d_backward_weight" && d.note === "products" &&
          d.bindings.some((b) => b.name === "v" && b.texture === texture) &&
          !p.dispatches.some((e) => e.node === d.node && e.note === "transform input");
        if (copies.get(key)! === 2 && isKept) kept += size;
        else if (copies.get(key)! > 1) twice += size;
      }
      const { layout } = p.shaders[d.shader];
      for (const b of d.bindings) {
        if (layout.find((e) => e.binding === b.binding)?.access !== "read_write") continue;
        written.set(b.buffer, [...written.get(b.buffer) ?? [], { ...b, by: i }]);
      }
    });
    assert.ok(all > 2 ** 30, `${all} bytes copied`);
    assert.ok(twice < 0.05 * all, `${twice} of ${all} bytes copied again`);
    assert.ok(kept <= KEPT_BYTES, `${kept} bytes kept and copied again`);
    assert.ok(Object.values(p.tensors).filter((t) => t.home).length > 100);
    assert.ok(graph.nodes.length > 100);
  });

  for (const kind of ["train", "sample"] as const) {
    Deno.test(`homes: no two tensors have one texture at a time, ${kind}, ${profile}`, () => {
      const device = AUDIT_PROFILES[profile];
      const { graph, plan: p } = benchStep(kind, benchConfig(3, 64), { device });
      const used = new Map<number, { key: string; from: number; to: number }[]>();
      for (const [key, { home, bytes }] of Object.entries(p.tensors)) {
        if (!home) continue;
        assert.ok(p.textures[home.texture].rows * 2048 * 16 >= bytes, key);
        const life = { key, from: home.dispatch, to: lastReader(graph, p, key) };
        used.set(home.texture, [...used.get(home.texture) ?? [], life]);
      }
      for (const lives of used.values()) {
        lives.sort((a, b) => a.from - b.from);
        lives.slice(1).forEach((life, i) => {
          assert.ok(lives[i].to < life.from, `${lives[i].key} and ${life.key}`);
        });
      }
      assert.ok([...used.values()].some((lives) => lives.length > 3), "textures are shared");
      // Nobody else fills them: neither other tensors, nor these again.
      p.dispatches.forEach((d, i) => {
        for (const { texture } of d.stage) {
          const lives = used.get(texture);
          assert.ok(!lives || lives.some((life) => life.from === i), `${texture} before ${i}`);
        }
      });
    });
  }
}

Deno.test("homes: tensors of one type share a texture where they are not read at a time", () => {
  const home = (
    first: number,
    last: number,
    rows: number,
    dtype: "f32" | "f16" = "f32",
  ): Residency => ({
    first,
    last,
    rows,
    dtype,
  });
  const { textures, of } = shareTextures(
    new Map([
      ["a", home(1, 4, 10)],
      ["b", home(4, 6, 9)], // while a is read last
      ["c", home(5, 7, 8)], // after a
      ["d", home(8, 9, 20)],
      ["half", home(20, 21, 5, "f16")],
    ]),
  );
  const place = (key: string) => of.get(key)!;
  assert.equal(place("d"), place("a"), "the largest one's texture is free before");
  assert.notEqual(place("b"), place("a"));
  assert.equal(place("c"), place("a"));
  assert.notEqual(place("half"), place("a"));
  assert.deepEqual(textures.map((t) => t.rows), [20, 9, 5]);
});

/** x, read first by one convolution and last by another, much in between. */
function laterGraph(): Graph {
  const graph = new Graph();
  const a = graph.input("a", f32(2, 16, 32, 64));
  const x = add(a, graph.input("b", f32(2, 16, 32, 64)));
  const weight = (name: string, ci = 16) => graph.input(name, f32(16, ci, 3, 3));
  let y = conv2d(x, weight("w0"), { padding: 1 });
  for (const name of ["w1", "w2", "w3", "w4", "w5"]) {
    const [scale, shift] = ["scale", "shift"].map((part) => graph.input(name + part, f32(16)));
    y = groupNorm(conv2d(y, weight(name), { padding: 1 }), scale, shift, {
      groups: 4,
      eps: 1e-5,
      silu: true,
    });
  }
  const both = concat([x, y], 1);
  graph.output("z", conv2d(both, weight("joined", 32), { padding: 1 }));
  graph.output("last", conv2d(add(x, y), weight("last"), { padding: 1 }));
  return graph;
}

Deno.test("homes: only what textures alone are read from has one", () => {
  const of = (graph: Graph, op: string) => {
    const node = graph.nodes.find((n) => n.op === op)!;
    return plan(graph, OPS, { device: software }).tensors[`${node.id}:0`].home;
  };
  const graph = new Graph();
  const x = add(graph.input("a", f32(2, 16, 32, 64)), graph.input("b", f32(2, 16, 32, 64)));
  const w = graph.input("w", f32(16, 16, 3, 3));
  graph.output("y", conv2d(x, w, { padding: 1 }));
  assert.ok(of(graph, "add"));
  // Another reader sees it as it lies in memory.
  graph.output("flat", conv2d(view(x, [2, 8, 64, 64]), graph.input("v", f32(4, 8, 1, 1))));
  assert.equal(of(graph, "add"), undefined, "a view");
  assert.equal(of(laterGraph(), "add"), undefined, "part of what is joined");
  assert.ok(of(laterGraph(), "concat"), "what is joined");
  const small = new Graph();
  const image = small.input("a", f32(2, 16, 16, 16));
  const kernel = small.input("w", f32(16, 16, 3, 3));
  small.output("y", conv2d(add(image, image), kernel, { padding: 1 }));
  assert.equal(of(small, "add"), undefined, "small");
});

/** A sum that is read first and last, twice the memory of one between. */
function sumGraph(shape: readonly number[]): { graph: Graph; x: Tensor } {
  const graph = new Graph();
  const [a, b] = ["a", "b"].map((name) => graph.input(name, f32(...shape)));
  const x = add(a, b);
  const first = add(x, a);
  const second = add(first, b);
  graph.output("y", add(add(second, a), x));
  return { graph, x };
}

for (
  const [name, shape] of [
    ["within a row", [3, 16, 52, 44]],
    ["within a texel", [3, 7, 57, 59]],
  ] as const
) {
  Deno.test(`homes: values are read where they are, to an end ${name}`, async () => {
    const gpu = await openGpu();
    const { graph, x } = sumGraph(shape);
    const p = plan(graph, OPS, { device: gpu.profile });
    const exe = await Executable.load(gpu, p, { poison: true });
    for (const [name, t] of graph.inputs) {
      exe.write(
        name,
        Float32Array.from({ length: t.size }, (_, i) => Math.sin(i * 1.7 + t.node.id)),
      );
    }
    const { home, buffer } = p.tensors[x.key];
    assert.equal(home !== undefined, gpu.profile.software);
    let seen: Float32Array | undefined;
    for (let i = 0; i < p.dispatches.length; i++) {
      exe.run(i, i + 1);
      if (p.dispatches[i].node === x.node.id) seen = await exe.read(x.key);
      if (seen && i <= lastReader(graph, p, x.key)) {
        await exe.read("b"); // the buffer that it is read through held x
        const now = await exe.read(x.key);
        const differ = now.filter((v, k) => v !== seen![k]).length; // deepEqual would list them
        assert.equal(differ, 0, `values that differ after dispatch ${i}`);
      }
    }
    assert.ok(seen!.every(Number.isFinite) && bytesOf(x) === seen!.byteLength);
    if (home) {
      const taken = p.dispatches.some((d, i) => {
        const writes = d.bindings.filter((b) =>
          p.shaders[d.shader].layout.find((e) => e.binding === b.binding)?.access === "read_write"
        );
        return i > home.dispatch && i <= lastReader(graph, p, x.key) &&
          writes.some((b) => b.buffer === buffer);
      });
      assert.ok(taken, "its memory is used again while it is in its texture");
    }
    exe.destroy();
    gpu.destroy();
  });
}

Deno.test("homes: what is handed out is read from its memory, when its texture is another's", async () => {
  const gpu = await openGpu();
  const graph = new Graph();
  const x = add(graph.input("a", f32(2, 16, 32, 64)), graph.input("b", f32(2, 16, 32, 64)));
  graph.output("x", x);
  graph.output("y", add(add(add(x, x), x), graph.input("c", f32(2, 16, 32, 64))));
  const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
  for (const [name, t] of graph.inputs) exe.write(name, new Float32Array(t.size).fill(1));
  exe.run();
  const got = await exe.read(x.key);
  assert.equal(got.filter((v) => v !== 2).length, 0);
  exe.destroy();
  gpu.destroy();
});

Deno.test("homes: a copy of the bits of f16 and a convolution read one tensor", async () => {
  const gpu = await openGpu();
  const plain = new Graph();
  const weight = (name: string, ci: number) => plain.input(name, f32(4, ci, 1, 1));
  const [a, b] = ["a", "b"].map((name) => {
    const point = plain.input(`${name}w`, f32(16, 16, 1, 1));
    return conv2d(plain.input(name, f32(2, 16, 32, 64)), point);
  });
  // One of the two is made, by a copy that takes its input for f32.
  const one = concat([a, b], 1);
  const two = concat([one, add(one, one)], 1);
  plain.output("y", conv2d(one, weight("w", 32)));
  plain.output("z", conv2d(two, weight("v", 64)));
  const graph = storeHalf(plain, OPS);
  const p = plan(graph, OPS, { device: gpu.profile });
  if (gpu.profile.software) {
    const made = p.dispatches.filter((d) => d.op === "concat" && d.variant === "staged");
    assert.equal(made.length, 2);
    assert.ok(p.textures.some((t) => t.dtype === "f16"));
  }
  const exe = await Executable.load(gpu, p, { poison: true });
  for (const [name, t] of graph.inputs) {
    exe.write(name, Float32Array.from({ length: t.size }, (_, i) => Math.sin(i * 1.7)));
  }
  for (const c of await checkStep(graph, exe)) {
    assert.ok(c.relative <= c.tolerance, `${c.op} ${c.relative}`);
  }
  exe.destroy();
  gpu.destroy();
});

Deno.test("homes: a copy left out shows in the audit's check", async () => {
  const gpu = await openGpu();
  const graph = laterGraph();
  const good = plan(graph, OPS, { device: gpu.profile });
  const feeds = [...graph.inputs].map(([name, t]) =>
    [name, Float32Array.from({ length: t.size }, (_, i) => Math.sin(i * 1.7 + t.node.id))] as const
  );
  const worst = async (p: Plan) => {
    const exe = await Executable.load(gpu, p, { poison: true });
    for (const [name, data] of feeds) exe.write(name, data);
    const checks = await checkStep(graph, exe);
    exe.destroy();
    return Math.max(...checks.map((c) => c.relative / c.tolerance));
  };
  assert.ok(await worst(good) <= 1);
  if (gpu.profile.software) {
    const homes = Object.values(good.tensors).flatMap((t) => t.home ?? []);
    assert.ok(homes.length > 5);
    const last = Math.max(...homes.map((h) => h.dispatch));
    const dispatches = good.dispatches.map((d, i) => i === last ? { ...d, stage: [] } : d);
    assert.ok(await worst({ ...good, dispatches }) > 1);
  }
  gpu.destroy();
});
