/** The HU window: its default, its ends, and which windows are none. */

import assert from "node:assert/strict";
import { LUNG_WINDOW, unwindowHu, windowHu } from "../../lib/data/window.ts";

Deno.test("the lung window is level −600, width 1500, by default", () => {
  assert.deepEqual({ ...LUNG_WINDOW }, { level: -600, width: 1500 });
  assert.deepEqual([...windowHu([-1350, -975, -600, 150, 1000, -3024])], [-1, -0.5, 0, 1, 1, -1]);
  assert.deepEqual([...unwindowHu([-1, -0.5, 0, 1])], [-1350, -975, -600, 150]);
});

Deno.test("a window of its own is taken, there and back", () => {
  const window = { level: 40, width: 400 };
  assert.deepEqual([...windowHu([-160, 40, 240, 140], window)], [-1, 0, 1, 0.5]);
  assert.deepEqual([...unwindowHu([-1, 0, 1, 0.5], window)], [-160, 40, 240, 140]);
});

Deno.test("no window: no width, a negative one, numbers that are none", () => {
  for (
    const [level, width] of [[0, 0], [0, -1], [NaN, 400], [Infinity, 400], [0, NaN], [0, Infinity]]
  ) {
    for (const apply of [windowHu, unwindowHu]) {
      assert.throws(() => apply([0], { level, width }), /window level/, `${level} ${width}`);
    }
  }
});
