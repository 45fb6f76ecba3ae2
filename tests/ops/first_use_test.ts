/** Kernels are chosen the first time that a GPU is used, once, and not where they must not be. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openGpu } from "../../lib/gpu/device.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { tuneOnFirstUse } from "../../lib/tune/first_use.ts";
import { choicesPath, readChoices, tunedChoice } from "../../lib/tune/choice_files.ts";

const real = await openGpu();
globalThis.addEventListener("unload", () => real.destroy());

function graph(rows: number): Graph {
  const graph = new Graph();
  const image = graph.input("x", { shape: [1, 8, rows, 16], dtype: "f32" });
  const weight = graph.state("w", { shape: [8, 8, 3, 3], dtype: "f32" });
  graph.output("y", graph.scope("conv", () => conv2d(image, weight, { padding: 1 })));
  return graph;
}

/** As a hardware device, of which nothing is known; a cache folder of its own. */
async function withCache(
  body: (gpu: typeof real, path: string) => Promise<void>,
): Promise<void> {
  const before = Deno.env.get("XDG_CACHE_HOME");
  const folder = await Deno.makeTempDir();
  Deno.env.set("XDG_CACHE_HOME", folder);
  try {
    const gpu = { ...real, profile: { ...real.profile, software: false } };
    await body(gpu, choicesPath(gpu.profile, gpu.name)!);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", before);
    await Deno.remove(folder, { recursive: true });
  }
}

const steps = () => [{ graph: graph(24), small: graph(8) }];
const never = () => assert.fail("no step is needed");

Deno.test("first use: kernels are timed once, and chosen from then on", async () => {
  await withCache(async (gpu, path) => {
    assert.equal(await tunedChoice(gpu), undefined);
    const told: [string, number][] = [];
    const result = await tuneOnFirstUse(gpu, steps, {
      seconds: 600,
      onStart: (...what) => told.push(what),
    });
    assert.deepEqual(told, [[path, 1]]);
    assert.equal(result!.left, 0);
    assert.equal(Object.keys(result!.choices).length, 1);
    assert.ok(await tunedChoice(gpu));
    const locked = { ...gpu, profile: gpu.profile, name: gpu.name, accept: async () => {} };
    assert.equal(await tunedChoice(locked), undefined, "--locked runs what is shipped");
    assert.equal(await tuneOnFirstUse(gpu, never), undefined, "the second use");
  });
});

Deno.test("first use: an interruption ends it before the next shape", async () => {
  await withCache(async (gpu, path) => {
    let asked = 0;
    const { left, choices } = (await tuneOnFirstUse(gpu, () => [
      { graph: graph(24), small: graph(8) },
      { graph: graph(48), small: graph(8) },
    ], { seconds: 600, isStopped: () => asked++ > 0 }))!;
    assert.equal(left, 1);
    assert.equal(Object.keys(choices).length, 1);
    assert.deepEqual(Object.keys(await readChoices(path, gpu.name)), Object.keys(choices));
  });
});

Deno.test("first use: what the time does not allow for is left, and it stays the first use", async () => {
  await withCache(async (gpu, path) => {
    const { left, choices } = (await tuneOnFirstUse(gpu, steps, { seconds: 0 }))!;
    assert.deepEqual([left, Object.keys(choices).length], [1, 0]);
    assert.ok((await Deno.stat(path)).isFile);
    assert.equal(await tuneOnFirstUse(gpu, never), undefined);
  });
});

Deno.test("first use: a cache folder that cannot be written to keeps nobody from working", async () => {
  await withCache(async (gpu) => {
    const file = await Deno.makeTempFile();
    Deno.env.set("XDG_CACHE_HOME", join(file, "below a file"));
    assert.equal(await tuneOnFirstUse(gpu, never), undefined);
    await Deno.remove(file);
  });
});

Deno.test("first use: nothing is timed on software, with locked kernels, or without timestamps", async () => {
  await withCache(async (gpu, path) => {
    const profiles = [
      { ...gpu, profile: { ...gpu.profile, software: true } },
      { ...gpu, accept: () => {} },
      { ...gpu, profile: { ...gpu.profile, features: [] } },
    ];
    for (const other of profiles) assert.equal(await tuneOnFirstUse(other, never), undefined);
    await assert.rejects(Deno.stat(path));
    assert.ok(
      !(await Array.fromAsync(Deno.readDir(join(path, "../..")))
        .then((all) => all.length > 0, () => false)),
    );
  });
});
