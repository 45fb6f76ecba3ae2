/** What the tuner takes from its measurements: no kernel that errs more than allowed, none slower. */

import assert from "node:assert/strict";
import { allowedError } from "../../lib/tune/check.ts";
import { objection, ranked } from "../../lib/tune/tune.ts";

const times = (...list: [string, number][]) =>
  list.map(([name, milliseconds]) => ({ name, milliseconds }));
const names = (list: { name: string }[]) => list.map((t) => t.name).join(" ");

Deno.test("the fastest comes first where it gains 3% or more on the shipped one", () => {
  const clear = ranked(times(["shipped", 10], ["slow", 12], ["fast", 5]), "shipped");
  assert.deepEqual([names(clear.order), clear.gain], ["fast shipped slow", 2]);
  const just = ranked(times(["shipped", 100], ["fast", 97]), "shipped");
  assert.equal(names(just.order), "fast shipped");
});

Deno.test("a gain that may be noise leaves the shipped one first, the others in order", () => {
  const { order, gain } = ranked(
    times(["c", 120], ["b", 98], ["shipped", 100], ["a", 97.5]),
    "shipped",
  );
  assert.deepEqual([names(order), gain], ["shipped a b c", undefined]);
});

Deno.test("a slower one never comes before the shipped one; without it the fastest is first", () => {
  assert.deepEqual(ranked(times(["slow", 11], ["shipped", 10]), "shipped"), {
    order: times(["shipped", 10], ["slow", 11]),
  });
  assert.equal(names(ranked(times(["b", 3], ["a", 2]), "shipped").order), "a b");
  assert.deepEqual(ranked([], "shipped").order, []);
});

Deno.test("an error above the tolerance is an objection, however little; NaN too", () => {
  const check = (error: number, tolerance: number) => objection({ variant: "v", error, tolerance });
  assert.equal(check(1e-6, 1e-6), undefined);
  assert.equal(check(0, 0), undefined);
  assert.equal(check(1.01e-6, 1e-6), "error 1.0e-6, allowed 1.0e-6");
  assert.match(check(9e-6, 1e-6)!, /error 9\.0e-6/);
  assert.ok(check(NaN, 1));
  assert.ok(check(Infinity, 1));
});

Deno.test("an f16 result may err by its own rounding and twice the f32 tolerance", () => {
  const y = Float64Array.of(1 + 2 ** -12, 1);
  assert.equal(allowedError(1e-6, y, "f32"), 1e-6);
  // f16 has 10 bits after the point: the first becomes 1.
  const rounding = 2 ** -12 / Math.hypot(...y);
  assert.ok(Math.abs(allowedError(1e-3, y, "f16") - (rounding + 2e-3)) < 1e-9);
  assert.equal(allowedError(1e-3, Float64Array.of(1, 0.5), "f16"), 2e-3);
});
