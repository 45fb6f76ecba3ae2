import assert from "node:assert/strict";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { plan } from "../../lib/plan/planner.ts";
import { type Staged, Staging, texelCopies } from "../../lib/plan/staging.ts";
import { stagingRowBytes } from "../../lib/plan/staging_layout.ts";
import { Graph } from "../../lib/graph/graph.ts";
import type { Tensor } from "../../lib/graph/tensor.ts";
import { add } from "../../lib/ops/add/op.ts";
import { groupNormApplyOp } from "../../lib/ops/group_norm/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { scale } from "../../lib/ops/scale/op.ts";

/** The norm with given statistics: reads each image once. */
function groupNormApply(x: Tensor, graph: Graph): Tensor {
  const part = (name: string, ...shape: number[]) =>
    graph.inputs.get(name) ?? graph.input(name, { shape, dtype: "f32" });
  const inputs = [x, part("stats", 1, 4, 2), part("weight", 32), part("bias", 32)];
  return graph.append(groupNormApplyOp, inputs, { groups: 4, silu: false })[0];
}

const ROW = stagingRowBytes("f32");
const range = (buffer: number, rows = 100) => ({ buffer, offset: 0, size: rows * ROW });
/** An image of so many rows of a texture: above 64, or it would count as weights. */
const image = (buffer: number, rows = 100): Staged => ({
  pieces: [{ ...range(buffer, rows), at: 0 }],
  dtype: "f32",
  use: "each run",
});

Deno.test("staging: what is there is not copied again, until it is written", () => {
  const staging = new Staging();
  const first = staging.place([image(0)]);
  assert.equal(first.stage.length, 1);
  assert.deepEqual(staging.place([image(0)]), { textures: first.textures, stage: [] });
  staging.forget({ buffer: 0, offset: 99 * ROW, size: ROW });
  assert.equal(staging.place([image(0)]).stage.length, 1);
});

Deno.test("staging: a texture that nobody needs is taken before a new one, the best fit first", () => {
  const staging = new Staging();
  staging.place([image(0, 300), image(1, 100)]);
  staging.forget(range(0, 300));
  staging.forget(range(1, 100));
  const small = staging.place([image(2, 90)]);
  const large = staging.place([image(3, 200)]);
  assert.equal(staging.textures.length, 2);
  assert.deepEqual(staging.textures.map((t) => t.rows), [301, 101]);
  assert.deepEqual([small.textures, large.textures], [[1], [0]]);
});

Deno.test("staging: what is still needed is kept while a free texture can be had", () => {
  const staging = new Staging();
  staging.place([image(0)]);
  staging.place([image(1)]);
  staging.forget(range(1));
  staging.place([image(2)]);
  assert.equal(staging.place([image(0)]).stage.length, 0);
  assert.equal(staging.textures.length, 2);
});

Deno.test("staging: the planner gives textures back when their tensor has been read last", () => {
  // Each image is read once, by the next: one texture does, but for the sum, which reads two.
  const build = (more: (first: Tensor, last: Tensor) => Tensor) => {
    const graph = new Graph();
    const shape = [1, 32, 128, 128];
    const first = scale(graph.input("x", { shape, dtype: "f32" }), 2);
    let last = first;
    for (let i = 0; i < 5; i++) last = groupNormApply(last, graph);
    graph.output("y", more(first, last));
    const { textures } = plan(graph, OPS, { device: AUDIT_PROFILES.software });
    return textures.filter(({ rows }) => rows > 64).length;
  };
  assert.equal(build((_, last) => last), 1);
  assert.equal(build((first, last) => add(first, last)), 2);
});

Deno.test("staging: two ranges of one dispatch never share a texture", () => {
  const staging = new Staging();
  for (let k = 0; k < 4; k++) {
    const ranges = [0, 1, 2, 3].map((i) => image(4 * k + i));
    const { textures } = staging.place(ranges);
    assert.equal(new Set(textures).size, 4);
    [4 * k, 4 * k + 1].forEach((i) => staging.forget(range(i)));
  }
});

Deno.test("staging: a tensor in pieces is one texture, until one of them is written", () => {
  const staging = new Staging();
  const pieces = [{ ...range(0, 70), at: 0 }, { ...range(1, 30), offset: 64, at: 70 * ROW }];
  const joined: Staged = { pieces, dtype: "f32", use: "each run" };
  const { textures, stage } = staging.place([joined]);
  assert.deepEqual(stage, [
    { ...range(0, 70), texture: textures[0] },
    { ...range(1, 30), offset: 64, at: 70 * ROW, texture: textures[0] },
  ]);
  assert.deepEqual(staging.textures.map((t) => t.rows), [101]);
  assert.equal(staging.place([joined]).stage.length, 0);
  assert.equal(staging.place([image(0, 70)]).stage.length, 1, "a part of it is another tensor");
  staging.forget({ buffer: 1, offset: 0, size: 64 });
  assert.equal(staging.place([joined]).stage.length, 0, "the bytes before the piece");
  staging.forget({ buffer: 1, offset: 64, size: 16 });
  assert.equal(staging.place([joined]).stage.length, 2);
});

Deno.test("staging: copies of any size from any texel on cover the tensor once, in rectangles", () => {
  for (const dtype of ["f32", "f16"] as const) {
    const row = stagingRowBytes(dtype), texel = row / 2048;
    const places = [0, 1, 2047, 2048, 2049, 4096];
    for (const [at, size] of places.flatMap((a) => places.slice(1).map((s) => [a, s]))) {
      const copies = texelCopies({ offset: 160, size: size * texel, at: at * texel }, dtype);
      assert.ok(copies.length <= 3);
      let next = at, from = 160;
      for (const { offset, origin: [x, y], extent: [width, height] } of copies) {
        assert.deepEqual([offset, y * 2048 + x], [from, next]);
        assert.ok(x + width <= 2048 && (height === 1 || (x === 0 && width === 2048)));
        next += width * height;
        from += width * height * texel;
      }
      assert.equal(next, at + size);
    }
  }
});
