/** What is made of weights alone is made once, and again when anybody writes to the weights. */

import assert from "node:assert/strict";
import { openGpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { allocation, type Place, type ScheduledNode } from "../../lib/plan/schedule.ts";
import { numberValues } from "../../lib/plan/value_numbering.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { type BufferRef, input, type KernelCall, scratch } from "../../lib/graph/kernel_call.ts";
import type { Node } from "../../lib/graph/tensor.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { accumulate } from "../../lib/ops/optimizer/op.ts";
import { scale } from "../../lib/ops/scale/op.ts";
import { Recorder } from "../audit/recorder.ts";
import { normal, random } from "./harness.ts";

const real = await openGpu();
globalThis.addEventListener("unload", () => real.destroy());

const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });

/** y = conv(conv(x, w), w); `trained`: w is another afterwards. */
function convolutions(trained = false): Graph {
  const graph = new Graph();
  const x = graph.input("x", f32(2, 8, 12, 20));
  const w = graph.state("w", f32(8, 8, 3, 3));
  graph.output("y", conv2d(conv2d(x, w, { padding: 1 }), w, { padding: 1 }));
  if (trained) graph.update("w", scale(w, 2));
  return graph;
}

/** Convolutions of x: two with the same weights, one with others, one with others of 1×1. */
function sharing(): Graph {
  const graph = new Graph();
  const x = graph.input("x", f32(2, 8, 12, 20));
  const [w, v] = [graph.state("w", f32(8, 8, 3, 3)), graph.state("v", f32(8, 8, 3, 3))];
  for (const [name, of] of [["y", w], ["same", w], ["other", v]] as const) {
    graph.output(name, conv2d(x, of, { padding: 1 }));
  }
  graph.output("flat", conv2d(x, graph.state("u", f32(8, 8, 1, 1)), {}));
  return graph;
}

/** Doubles w. */
function doubling(): Graph {
  const graph = new Graph();
  const w = graph.state("w", f32(8, 8, 3, 3));
  graph.update("w", scale(w, 2));
  return graph;
}

const options = { device: real.profile };

/** A place of its own for each tensor. */
const placesOf = (...tensors: { readonly key: string }[]): Map<string, Place> =>
  new Map(tensors.map(({ key }) => [key, { allocation: allocation(key), offset: 0 }]));

/** A node with its calls, none of which has been looked at. */
const scheduledOf = (
  node: Node,
  calls: readonly KernelCall[],
  bytes: number,
): ScheduledNode => ({
  node,
  variant: "",
  calls: calls.map((call) => ({ call, runs: "each run" })),
  scratch: [allocation(`scratch ${node.id}:0`, bytes)],
});
const rng = random(5);
const normals = (length: number) => Float32Array.from({ length }, () => normal(rng));
const x = normals(2 * 8 * 12 * 20), w = normals(8 * 8 * 9), other = normals(8 * 8 * 9);

/** What a new executable makes of weights. */
async function fresh(weights: Float32Array): Promise<Float32Array> {
  const e = await Executable.load(real, plan(convolutions(), OPS, options), { poison: true });
  e.write("x", x);
  e.write("w", weights);
  e.run();
  const y = await e.read("y");
  e.destroy();
  return y;
}

Deno.test("packing weights runs once where nothing trains them, in each run where something does", () => {
  const once = (trained: boolean) =>
    plan(convolutions(trained), OPS, options).dispatches.filter((d) => d.once).map((d) => d.note);
  assert.deepEqual(once(false), ["pack weights"]);
  assert.deepEqual(once(true), []);
});

Deno.test("a state that is changed in place is no constant, though it is no update either", () => {
  const graph = convolutions();
  const control = graph.input("control", f32(2));
  const w = graph.states.get("w")!, sum = accumulate(graph.input("g", f32(8, 8, 3, 3)), control, w);
  graph.output("sum", sum);
  const packs = plan(graph, OPS, options).dispatches.filter((d) => d.note === "pack weights");
  assert.ok(packs.length > 0);
  assert.deepEqual(packs.filter((d) => d.once), []);
});

Deno.test("what is packed from the same weights in the same way is packed once for all", async () => {
  const of = plan(sharing(), OPS, options);
  const packs = of.dispatches.filter((d) => d.once);
  assert.equal(packs.length, 3);
  const e = await Executable.load(real, of, { poison: true });
  const u = normals(64);
  for (const [name, data] of Object.entries({ x, w, v: other, u })) e.write(name, data);
  e.run();
  const y = await e.read("y");
  assert.deepEqual(await e.read("same"), y);
  assert.notDeepEqual(await e.read("other"), y);
  e.write("w", other);
  e.run();
  assert.deepEqual(await e.read("same"), await e.read("other"), "weights written anew");
  assert.notDeepEqual(await e.read("same"), y);
  e.destroy();
});

Deno.test("a call stays in each run where another one writes to the same scratch in each", () => {
  const text = (source: string) => `
    @group(0) @binding(0) var<storage, read> source: array<f32>; // ${source}
    @group(0) @binding(1) var<storage, read_write> target_: array<f32>;`;
  const kernel = (name: string) => ({ file: name, text: text(name) });
  const call = (name: string, from: BufferRef) => ({
    kernel: kernel(name),
    bindings: { source: from, target_: scratch() },
    workgroups: [1, 1, 1] as const,
  });
  const graph = new Graph();
  const [w, x] = [graph.state("w", f32(4)), graph.input("x", f32(4))];
  const of: Node = { ...x.node, inputs: [w, x] };
  const places = placesOf(w, x), constant = new Set([places.get(w.key)!.allocation]);
  const once = (names: string[]) => {
    const calls = names.map((n) => call(n, input(n === "weights" ? 0 : 1)));
    const one = scheduledOf(of, calls, 16);
    numberValues({ places, scheduled: new Map([[of, one]]), transformGroups: [] }, constant);
    return one.calls.filter(({ runs }) => runs === "once").length;
  };
  assert.equal(once(["weights"]), 1);
  assert.equal(once(["image"]), 0);
  assert.equal(once(["weights", "image"]), 0);
  assert.equal(once(["image", "weights"]), 0);
  assert.equal(once(["weights", "weights"]), 2);
});

Deno.test("what another node has made is taken only where everything about it is the same", () => {
  const text = `
    @group(0) @binding(0) var<storage, read> source: array<f32>;
    @group(0) @binding(1) var<storage, read_write> target_: array<f32>;`;
  const graph = new Graph();
  const [w, v] = [graph.state("w", f32(4)), graph.state("v", f32(4))];
  const places = placesOf(w, v);
  const usual = { input: w, constants: { N: 1 }, params: { n: 1 }, offset: 0, bytes: 16, text };
  /** Whether a second node that is as usual but for this takes what the first has made. */
  const shared = (other: Partial<typeof usual>): boolean => {
    const scheduled = new Map([usual, { ...usual, ...other }].map((o, i) => {
      const call = {
        kernel: { file: "pack.wgsl", text: o.text },
        constants: o.constants,
        params: o.params,
        note: `for node ${i}`,
        bindings: { source: input(0), target_: scratch(0, { offset: o.offset, size: 16 }) },
        workgroups: [1, 1, 1] as const,
      };
      const node: Node = { ...w.node, id: 10 + i, inputs: [o.input] };
      return [node, scheduledOf(node, [call], o.bytes)];
    }));
    numberValues(
      { places, scheduled, transformGroups: [] },
      new Set([...places.values()].map((place) => place.allocation)),
    );
    const [first, second] = [...scheduled.values()];
    assert.equal(first.calls[0].runs, "once");
    const isShared = second.calls[0].runs === "never";
    assert.equal(second.calls[0].runs, isShared ? "never" : "once");
    assert.equal(second.scratch[0] === first.scratch[0], isShared);
    return isShared;
  };
  assert.ok(shared({}));
  assert.ok(!shared({ input: v }));
  assert.ok(!shared({ constants: { N: 2 } }));
  assert.ok(!shared({ params: { n: 2 } }));
  assert.ok(!shared({ offset: 16 }));
  assert.ok(!shared({ bytes: 32 }));
  assert.ok(!shared({ text: text.replace("target_:", "target_ :") }));
});

Deno.test("a run leaves out what has run once, until weights are written to by anybody", async () => {
  const recorder = new Recorder();
  const gpu = recorder.watch(real);
  const e = await Executable.load(gpu, plan(convolutions(), OPS, options), { poison: true });
  const twice = await Executable.load(gpu, plan(doubling(), OPS, options), {
    share: { w: { from: e, state: "w" } },
  });
  /** Dispatches and copies of the run. */
  const run = (): number => {
    e.run();
    const last = recorder.events.at(-1);
    assert.ok(last?.kind === "submit");
    return last.commands.length;
  };
  e.write("x", x);
  e.write("w", w);
  const all = run();
  assert.deepEqual(await e.read("y"), await fresh(w));
  // The dispatch that packs, and the two copies of what it reads and makes to textures.
  const fewer = run();
  assert.ok(fewer <= all - 3, `${all} commands, then ${fewer}`);
  e.write("x", x.map((v) => -v));
  assert.equal(run(), fewer, "an input is not a weight");
  assert.deepEqual(await e.read("y"), (await fresh(w)).map((v) => -v));

  e.write("x", x);
  e.write("w", other);
  assert.equal(run(), all, "after a write");
  assert.equal(run(), fewer);
  assert.deepEqual(await e.read("y"), await fresh(other));

  twice.run();
  assert.equal(run(), all, "after another executable's run");
  assert.equal(run(), fewer);
  assert.deepEqual(await e.read("y"), await fresh(other.map((v) => 2 * v)));

  await twice.profile();
  assert.equal(
    run(),
    all,
    "after another executable's profile, which may have changed them in place",
  );

  twice.write("w", w);
  assert.equal(run(), all, "after a write through another executable");
  assert.deepEqual(await e.read("y"), await fresh(w));
  // Part of a run makes everything in it, and proves nothing of the rest.
  e.write("w", other);
  e.run(0, 1);
  assert.equal(run(), all, "after a part");
  assert.deepEqual(await e.read("y"), await fresh(other));
  e.destroy();
});
