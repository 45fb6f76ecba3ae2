import assert from "node:assert/strict";
import { InputError } from "../../lib/errors.ts";
import { Canvas, COLOURS, textWidth } from "../../lib/io/canvas.ts";
import { GLYPHS } from "../../lib/io/font.ts";
import { decodePng, encodePng } from "../../lib/io/png.ts";

Deno.test("png: 8 and 16 bits, gray and RGB, with text, come back the same", () => {
  const values = [0, 1, 127, 200, 255, 3, 9, 80, 254, 7, 30, 31];
  for (const channels of [1, 3] as const) {
    for (const data of [Uint8Array.from(values), Uint16Array.from(values, (v) => v * 257)]) {
      const width = 2, height = values.length / 2 / channels, text = { Seed: "7" };
      const image = decodePng(encodePng({ width, height, channels, data, text }));
      assert.deepEqual(image, { width, height, channels, data, text });
    }
  }
  const one = { width: 2, height: 2, channels: 1 as const, data: new Uint8Array(3) };
  assert.throws(() => encodePng(one), /3 values, 2×2×1 takes 4/);
});

Deno.test("png: what is damaged, of another kind or huge is refused", () => {
  const good = encodePng({ width: 4, height: 4, channels: 1, data: new Uint8Array(16).fill(9) });
  const bad: [Uint8Array, RegExp][] = [
    [new Uint8Array(50), /not a PNG/],
    [good.subarray(0, 45), /damaged/],
    [good.with(45, good[45] ^ 255), /damaged/],
    [good.with(16, 0x7f), /pixels, at most/],
    [good.with(25, 3), /colour type 3/],
  ];
  for (const [bytes, reason] of bad) {
    assert.throws(() => decodePng(bytes, "a.png"), (error: Error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, /^Cannot read "a\.png": /);
      assert.match(error.message, reason);
      return true;
    });
  }
});

const at = (canvas: Canvas, x: number, y: number) => [
  ...canvas.data.subarray((y * canvas.width + x) * 3, (y * canvas.width + x) * 3 + 3),
];

Deno.test("canvas: gray values, scale and cutting at the edge", () => {
  const canvas = new Canvas(4, 4, [1, 2, 3]);
  canvas.image(0, 0, { data: [-1, 1, 0, NaN], width: 2, height: 2 }, 2);
  assert.deepEqual(at(canvas, 1, 1), [0, 0, 0]);
  assert.deepEqual(at(canvas, 2, 0), [255, 255, 255]);
  assert.deepEqual(at(canvas, 0, 3), [128, 128, 128]);
  assert.deepEqual(at(canvas, 3, 3), [255, 0, 255]);
  const other = new Canvas(3, 3, [1, 2, 3]);
  other.image(2, -1, { data: [5, 5, 5, 5], width: 2, height: 2 });
  assert.deepEqual(at(other, 2, 0), [255, 255, 255]);
  assert.deepEqual(at(other, 0, 1), [1, 2, 3]);
});

Deno.test("canvas: the outline is the mask's border, one pixel wide at any scale", () => {
  const mask = { data: [0, 0, 0, 0, 1, 1, 0, 1, 1], width: 3, height: 3 };
  const canvas = new Canvas(9, 9);
  canvas.outline(0, 0, mask, COLOURS.red, 3);
  assert.deepEqual(at(canvas, 3, 3), [...COLOURS.red]);
  assert.deepEqual(at(canvas, 8, 8), [...COLOURS.red]);
  assert.deepEqual(at(canvas, 5, 5), [0, 0, 0]);
  assert.deepEqual(at(canvas, 2, 3), [0, 0, 0]);
});

Deno.test("canvas: text draws glyphs of the whole printable ASCII", () => {
  assert.equal(GLYPHS.size, 95);
  for (const [character, rows] of GLYPHS) {
    assert.equal(rows.length, 7, character);
    assert.ok(rows.every((row) => row >= 0 && row < 32), character);
  }
  const canvas = new Canvas(textWidth("IT"), 9);
  canvas.text(0, 0, "IT");
  const rows = Array.from(
    { length: 7 },
    (_, y) => Array.from({ length: 11 }, (_, x) => at(canvas, x, y)[0] ? "#" : ".").join(""),
  );
  assert.deepEqual(rows, [
    ".###..#####",
    "..#.....#..",
    "..#.....#..",
    "..#.....#..",
    "..#.....#..",
    "..#.....#..",
    ".###....#..",
  ]);
  assert.equal(decodePng(canvas.toPng()).channels, 3);
});
