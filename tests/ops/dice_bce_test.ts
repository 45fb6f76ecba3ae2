/** The segmentation loss and its gradient, against PyTorch in float64 (tests/reference/make_dice_bce.py). */

import assert from "node:assert/strict";
import { join } from "node:path";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { diceBce } from "../../lib/ops/dice_bce/op.ts";
import { OPS } from "../../lib/ops/mod.ts";

const FILE = join(import.meta.dirname!, "../fixtures/reference/dice_bce.json");

Deno.test("dice + BCE: loss and gradient are PyTorch's", async () => {
  const { shape, logits, target, loss, gradient } = JSON.parse(await Deno.readTextFile(FILE));
  const graph = new Graph();
  const z = graph.input("logits", { shape, dtype: "f32" });
  const y = diceBce(z, graph.input("target", { shape, dtype: "f32" }));
  const [dz] = gradients(graph, OPS, y, graph.input("seed", y), [z]);
  const run = interpret(graph, OPS, { logits, target, seed: [1] });
  assert.ok(Math.abs(run.value(y)[0] - loss) < 1e-12, `${run.value(y)[0]}, not ${loss}`);
  run.value(dz).forEach((v, i) => assert.ok(Math.abs(v - gradient[i]) < 1e-12, `${i}: ${v}`));
});

Deno.test("dice + BCE: what does not fit is refused by name", () => {
  const graph = new Graph();
  const image = (...shape: number[]) => graph.input(`x${shape}`, { shape, dtype: "f32" });
  assert.throws(() => diceBce(image(2, 4), image(2, 5)), /target/);
  const flat = image(7);
  assert.throws(() => diceBce(flat, flat), /logits.*\[N, …\]/);
});
