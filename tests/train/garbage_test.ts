import assert from "node:assert/strict";
import { Garbage } from "../../lib/train/garbage.ts";

Deno.test("garbage is collected every 20 seconds, counted from the last time, and on demand", () => {
  let now = 5_000, times = 0;
  const garbage = new Garbage(() => times++, () => now);
  const at = (t: number) => {
    now = t;
    garbage.collectNowAndThen();
    return times;
  };
  assert.deepEqual([at(5_000), at(25_000), at(25_001), at(45_000), at(45_002)], [0, 0, 1, 1, 2]);
  now = 60_000;
  garbage.collect();
  assert.deepEqual([times, at(80_000), at(80_001)], [3, 3, 4]);
});

Deno.test("garbage: without gc nothing fails", () => {
  let now = 0;
  const garbage = new Garbage(undefined, () => now);
  garbage.collect();
  now = 20_001;
  garbage.collectNowAndThen();
});
