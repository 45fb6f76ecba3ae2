import assert from "node:assert/strict";
import { type StagedRange, Staging, stagingRowBytes } from "../../lib/gpu/staging.ts";

const ROW = stagingRowBytes("f32");
/** An image of so many rows of a texture: above 64, or it would count as weights. */
const image = (buffer: number, rows = 100): StagedRange => ({
  buffer,
  offset: 0,
  size: rows * ROW,
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
  staging.forget(image(0, 300));
  staging.forget(image(1, 100));
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
  staging.forget(image(1));
  staging.place([image(2)]);
  assert.equal(staging.place([image(0)]).stage.length, 0);
  assert.equal(staging.textures.length, 2);
});

Deno.test("staging: two ranges of one dispatch never share a texture", () => {
  const staging = new Staging();
  for (let k = 0; k < 4; k++) {
    const ranges = [0, 1, 2, 3].map((i) => image(4 * k + i));
    const { textures } = staging.place(ranges);
    assert.equal(new Set(textures).size, 4);
    ranges.slice(0, 2).forEach((r) => staging.forget(r));
  }
});
