/** Graph, autograd, planner, WGSL rewriting: everything that works without a GPU. */

import assert from "node:assert/strict";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { registryOf } from "../../lib/graph/op.ts";
import { DEFAULT_PROFILE } from "../../lib/gpu/device.ts";
import { planBytes } from "../../lib/plan/plan.ts";
import { plan } from "../../lib/plan/planner.ts";
import { packParams, shaderInterface, specialize } from "../../lib/plan/wgsl.ts";
import { add } from "../../lib/ops/add/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { adamw } from "../../lib/ops/optimizer/op.ts";
import { ADAMW_HYPER } from "../../lib/ops/optimizer/shared.ts";
import { scale } from "../../lib/ops/scale/op.ts";
import { silu } from "../../lib/ops/silu/op.ts";
import { pack, view } from "../../lib/ops/view/op.ts";

const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });
const options = { device: DEFAULT_PROFILE };

Deno.test("gradients of a tensor used twice are summed", () => {
  const graph = new Graph();
  const x = graph.input("x", f32(3));
  const y = add(scale(x, 3), x);
  const seed = graph.input("seed", f32(3));
  const [dx] = gradients(graph, OPS, y, seed, [x]);
  const run = interpret(graph, OPS, { x: [1, 2, 3], seed: [1, 10, 100] });
  assert.deepEqual([...run.value(dx)], [4, 40, 400]);
});

Deno.test("a gradient that cannot be is an error, never zeros", () => {
  const graph = new Graph();
  const [x, z] = [graph.input("x", f32(3)), graph.input("z", f32(3))];
  const seed = graph.input("seed", f32(3));
  assert.throws(() => gradients(graph, OPS, silu(x), seed, [z]), /no influence/);
  const backward = gradients(graph, OPS, silu(x), seed, [x])[0];
  assert.throws(() => gradients(graph, OPS, backward, seed, [x]), /silu_backward.*no gradient/);
});

Deno.test("two ops of one name are no registry", () => {
  const [silu, scale] = [OPS.silu, OPS.scale];
  assert.deepEqual(registryOf([silu, scale]), { silu, scale });
  assert.throws(() => registryOf([silu, { ...scale, name: "silu" }]), /Two ops .* "silu"/);
});

Deno.test("shape errors name the op, the place and both shapes", () => {
  const graph = new Graph();
  const [x, z] = [graph.input("x", f32(3)), graph.input("z", f32(4))];
  assert.throws(
    () => graph.scope("mid_block", () => graph.scope("resnets.0", () => add(x, z))),
    /Cannot build add "mid_block.resnets.0": b \[4\] must have the shape of a \[3\]/,
  );
});

Deno.test("tensors whose lives do not meet share memory", () => {
  const graph = new Graph();
  let x = graph.input("x", f32(1000));
  for (let i = 0; i < 20; i++) x = silu(x);
  graph.output("y", x);
  const laidOut = plan(graph, OPS, options);
  assert.equal(laidOut.buffers.filter((b) => b.role === "arena").length, 2);
  assert.ok(planBytes(laidOut) < 5 * 4096 + 20 * 256);
});

Deno.test("no two tensors alive at once share bytes", () => {
  const graph = new Graph();
  const x = graph.input("x", f32(64));
  const kept = Array.from({ length: 6 }, (_, i) => scale(x, i));
  graph.output("y", kept.reduce((a, b) => add(a, silu(b))));
  const laidOut = plan(graph, OPS, options);
  // Replay the plan by hand: a buffer may be written only when nobody still wants what it holds.
  const lastUse = new Map<string, number>();
  graph.nodes.forEach((n, i) => n.inputs.forEach((t) => lastUse.set(t.key, i)));
  const holder = new Map<number, string>();
  graph.nodes.forEach((n, i) => {
    const { buffer } = laidOut.tensors[`${n.id}:0`];
    const before = holder.get(buffer);
    assert.ok(!before || lastUse.get(before)! < i, `${n.op} ${n.id} overwrites ${before}`);
    holder.set(buffer, `${n.id}:0`);
  });
});

Deno.test("dead nodes are not dispatched", () => {
  const graph = new Graph();
  const x = graph.input("x", f32(8));
  silu(scale(x, 2));
  graph.output("y", scale(x, 3));
  assert.equal(plan(graph, OPS, options).dispatches.length, 1);
});

Deno.test("views and packed tensors cost no dispatch and lie where they should", () => {
  const graph = new Graph();
  const flat = graph.state("params", f32(192));
  const [a, b] = [view(flat, [2, 5]), view(flat, [60], 128)];
  const packed = pack([silu(a), scale(b, 2)], [0, 128], 192);
  graph.output("packed", packed);
  const laidOut = plan(graph, OPS, options);
  assert.deepEqual(laidOut.dispatches.map((d) => d.op), ["silu", "scale"]);
  const [one, two] = laidOut.dispatches.map((d) => d.bindings.at(-1)!);
  assert.equal(one.buffer, two.buffer);
  assert.deepEqual([one.offset, two.offset], [0, 512]);
  assert.equal(laidOut.dispatches[1].bindings.find((d) => d.name === "x")!.offset, 512);
});

Deno.test("states are updated in place, and reading an old value is refused", () => {
  const build = (readAfter: boolean) => {
    const graph = new Graph();
    const hyper = graph.input("hyper", f32(ADAMW_HYPER));
    const g = graph.input("g", f32(64));
    const names = ["p", "m", "v", "ema"];
    const states = names.map((n) => graph.state(n, f32(64)));
    const next = adamw(g, hyper, states as [typeof g, typeof g, typeof g, typeof g]);
    names.forEach((n, i) => graph.update(n, next[i]));
    if (readAfter) graph.output("old", scale(states[0], 1));
    return plan(graph, OPS, options);
  };
  const laidOut = build(false);
  assert.equal(laidOut.copies.length, 0);
  assert.equal(laidOut.buffers.filter((b) => b.role === "arena").length, 0);
  assert.throws(() => build(true), /reads a value that adamw "" has overwritten/);
});

Deno.test("a plan is plain JSON", () => {
  const graph = new Graph();
  graph.output("y", silu(graph.input("x", f32(7))));
  const laidOut = plan(graph, OPS, options);
  assert.deepEqual(JSON.parse(JSON.stringify(laidOut)), laidOut);
});

Deno.test("a binding larger than the device allows is refused before anything runs", () => {
  const graph = new Graph();
  graph.output("y", silu(graph.input("x", f32(2 ** 26))));
  assert.throws(() => plan(graph, OPS, options), /"x" needs a binding of 256.0 MiB.*128.0 MiB/);
});

const SHADER = {
  file: "kernels/test.wgsl",
  text: `struct Params {
  count: u32,
  shift: i32, // why
  factor: f32,
}
alias storage_t = f32; // @specialize
const LENGTH: u32 = 4; // @specialize
override WORKGROUP: u32 = 64;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> y: array<storage_t>;
@group(0) @binding(1) var<storage> x: array<storage_t>;
`,
};

Deno.test("WGSL: interface, parameters, specialisation", () => {
  const { bindings, params, overrides, specializable } = shaderInterface(SHADER);
  assert.deepEqual(bindings.map((b) => `${b.binding} ${b.name} ${b.access}`), [
    "0 params uniform",
    "1 x read",
    "2 y read_write",
  ]);
  assert.deepEqual(params.map((p) => p.type), ["u32", "i32", "f32"]);
  assert.deepEqual(overrides, ["WORKGROUP"]);
  assert.deepEqual(specializable, ["storage_t", "LENGTH"]);

  const words = packParams(SHADER, { factor: 0.5, count: 7, shift: -2 });
  assert.deepEqual([...words], [7, 0xfffffffe, 0x3f000000, 0]);
  assert.throws(() => packParams(SHADER, { count: 1, shift: 0 }), /no value for parameter factor/);
  const extra = { count: 1, shift: 0, factor: 1, size: 2 };
  assert.throws(() => packParams(SHADER, extra), /no field size/);
  assert.throws(() => packParams(SHADER, { count: -0.5, shift: 0, factor: 1 }), /count/);

  const text = specialize(SHADER, { LENGTH: 9, storage_t: "f16" });
  assert.match(text, /^enable f16;/);
  assert.match(text, /const LENGTH: u32 = 9;/);
  assert.match(text, /alias storage_t = f16;/);
  assert.equal(specialize(SHADER), SHADER.text);
  assert.throws(() => specialize(SHADER, { LENGHT: 3 }), /no line marked @specialize names LENGHT/);
});
