/** Which values are taken as Hounsfield units. */

import assert from "node:assert/strict";
import { huFault, requireHu } from "../../lib/data/hu_range.ts";
import { phantomSlice } from "../../lib/data/phantom.ts";

const { ct, lungMask } = phantomSlice(1, 0, 4, 64);
const inCorners = (value: number) =>
  ct.map((v, i) => Math.hypot(i % 64 - 31.5, Math.floor(i / 64) - 31.5) > 33 ? value : v);
const both = (values: Float32Array) => [huFault(values, lungMask), huFault(values)];

Deno.test("HU: a CT, clamped or windowed, padded, of the lung alone, with some metal, is taken", () => {
  const good: Record<string, Float32Array> = {
    "as it is": ct,
    "clamped at −1024": ct.map((v) => Math.max(-1024, v)),
    "the lung window": ct.map((v) => Math.min(150, Math.max(-1350, v))),
    "padding of −3024": inCorners(-3024),
    "padding of −2000": inCorners(-2000),
    "air of 0 around": ct.map((v, i) => lungMask[i] ? v : 0),
    "metal": ct.map((v, i) => i < 20 ? 12_000 : v),
  };
  for (const [name, values] of Object.entries(good)) {
    assert.equal(huFault(values, lungMask), undefined, name);
  }
  assert.equal(huFault(ct), undefined, "without a mask");
});

Deno.test("HU: stored values, gray, [0, 1], [−1, 1], constants, unsigned padding are not", () => {
  const bad: Record<string, [Float32Array, RegExp]> = {
    "HU + 1024": [ct.map((v) => v + 1024), /none of \d+/],
    "0 … 1": [ct.map((v) => (v + 1350) / 1500), /none of/],
    "−1 … 1": [
      ct.map((v) => Math.min(1, Math.max(-1, (v + 600) / 750))),
      /none of/,
    ],
    "0 … 255": [
      ct.map((v) => Math.min(255, Math.max(0, (v + 1350) / 1500 * 255))),
      /none of/,
    ],
    "constant": [ct.map(() => -900), /every value is -900/],
    "unsigned padding": [inCorners(63536), /63540: .*% is above 4000/],
    "intercept applied twice": [ct.map((v) => v - 1024), /% is below -1500/],
  };
  for (const [name, [values, reason]] of Object.entries(bad)) {
    for (const fault of both(values)) assert.match(fault ?? "taken", reason, name);
  }
});

Deno.test("HU: stored values with padding below are told by the lung's mask", () => {
  const stored = inCorners(-3024).map((v) => v > -3000 ? v + 1024 : -1000);
  assert.match(huFault(stored, lungMask) ?? "taken", /none of \d+ in the lung mask/);
});

Deno.test("HU: a slice without lung says nothing; the error names file, range and override", () => {
  assert.equal(huFault(ct.map((v) => v + 1024), new Uint8Array(ct.length)), undefined);
  assert.throws(() => requireHu("a.npy", ct.map(() => 0)), {
    name: "InputError",
    message: /"a.npy".*every value is 0.*--any-values/,
  });
});
