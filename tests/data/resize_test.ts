import assert from "node:assert/strict";
import { join } from "node:path";
import { resizeBilinear, resizeNearest } from "../../lib/data/resize.ts";
import { LUNG_WINDOW, unwindowHu, windowHu } from "../../lib/data/window.ts";
import { readSafetensors } from "../../lib/io/safetensors_file.ts";

const FIXTURE = join(import.meta.dirname!, "../fixtures/data/resize.safetensors");

Deno.test("resize: bilinear, antialiased and nearest equal torch's interpolate", async () => {
  const { tensors } = await readSafetensors(FIXTURE);
  const size = (name: string) => {
    const [height, width] = tensors.get(name)!.shape;
    return { height, width };
  };
  let cases = 0;
  for (; tensors.has(`${cases}.input`); cases++) {
    const input = tensors.get(`${cases}.input`)!.data as Uint8Array;
    const from = size(`${cases}.input`), to = size(`${cases}.bilinear`);
    for (const [mode, antialias] of [["bilinear", false], ["antialias", true]] as const) {
      const want = tensors.get(`${cases}.${mode}`)!.data as Float32Array;
      const got = resizeBilinear(input, from, to, { antialias });
      const worst = got.reduce((worst, v, i) => Math.max(worst, Math.abs(v - want[i])), 0);
      // Values reach 255: a few float32 roundings.
      assert.ok(worst < 1e-4, `case ${cases} ${mode}: ${worst}`);
    }
    const nearest = tensors.get(`${cases}.nearest`)!.data;
    assert.deepEqual(resizeNearest(input, from, to), new Uint8Array(nearest as Uint8Array));
  }
  assert.equal(cases, 7);
});

Deno.test("resize: nearest takes torch's pixel for every pair of sizes", async () => {
  const { tensors } = await readSafetensors(FIXTURE);
  const pairs = tensors.get("pairs")!.data as Int32Array;
  const picks = tensors.get("picks")!.data as Int16Array;
  for (let i = 0, at = 0; i < pairs.length; i += 2) {
    const [a, b] = [pairs[i], pairs[i + 1]];
    const got = resizeNearest(
      Float32Array.from({ length: a }, (_, x) => x),
      { height: 1, width: a },
      { height: 1, width: b },
    );
    assert.deepEqual([...got], [...picks.subarray(at, at + b)], `${a} to ${b}`);
    at += b;
  }
});

Deno.test("resize: sizes that do not fit are an error", () => {
  const one = { height: 1, width: 1 };
  assert.throws(() => resizeBilinear([1, 2], one, one), /2 values as \[1,1\]/);
  assert.throws(() => resizeNearest(new Uint8Array(1), one, { height: 0, width: 1 }), /to \[0,1\]/);
});

Deno.test("window: [-1350, 150] HU onto [-1, 1], clipped, and back", () => {
  const x = windowHu([-3024, -1350, -600, -225, 150, 3000], LUNG_WINDOW);
  assert.deepEqual([...x], [-1, -1, 0, 0.5, 1, 1]);
  assert.deepEqual([...unwindowHu(x)], [-1350, -1350, -600, -225, 150, 150]);
  assert.throws(() => windowHu([0], { level: 0, width: 0 }), /width must be positive/);
});
