/** group_norm: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { f32 } from "../common/checks.ts";
import { type GroupNormApplyAttrs, type GroupNormStatsAttrs, positive } from "./geometry.ts";

// A mean of 16,384 values summed in trees of 8 and chains of 64: about √64·2^-25 relative.
export const groupNormStatsCases: readonly OpCase<GroupNormStatsAttrs>[] = [
  { name: "odd", inputs: [f32(3, 6, 5, 17)], attrs: { groups: 3, eps: 1e-5 }, tolerance: 4e-7 },
  {
    name: "batch 1",
    inputs: [f32(1, 6, 4, 6)],
    attrs: { groups: 6, eps: 1e-6 },
    tolerance: 4e-7,
  },
  {
    name: "constant",
    inputs: [{ ...f32(1, 4, 8, 9), fill: { kind: "constant", value: 3.7 } }],
    attrs: { groups: 2, eps: 1e-5 },
    tolerance: 4e-7,
  },
  {
    name: "large mean",
    inputs: [{ ...f32(1, 8, 32, 32), fill: { kind: "normal", mean: 1000 } }],
    attrs: { groups: 4, eps: 1e-5 },
    tolerance: 4e-7,
  },
  {
    // One element an iteration, 8 lanes would each take 131,072: past the limit of 65,535.
    name: "long loop",
    inputs: [f32(1, 1, 1023, 1025)],
    attrs: { groups: 1, eps: 1e-5 },
    tolerance: 1e-6,
  },
];

// Statistics are an input of their own here, so differences would not see the way through them:
// tests/ops/group_norm_test.ts checks the gradient of the whole.
// Six roundings of 2^-24, and exp's 3 + 2|z| ULP with SiLU.
export const groupNormApplyCases: readonly OpCase<GroupNormApplyAttrs>[] = [false, true].map((
  silu,
): OpCase<GroupNormApplyAttrs> => ({
  name: silu ? "odd silu" : "odd",
  inputs: [f32(3, 6, 5, 17), positive(3, 3, 2), f32(6), f32(6)],
  attrs: { groups: 3, silu },
  tolerance: silu ? 1e-6 : 4e-7,
  checkGradient: false,
})).concat([
  {
    name: "vec4 across chunks",
    inputs: [f32(1, 4, 50, 52), positive(1, 2, 2), f32(4), f32(4)],
    attrs: { groups: 2, silu: true },
    tolerance: 1e-6,
    checkGradient: false,
  },
  {
    name: "large mean",
    inputs: [
      { ...f32(1, 2, 8, 8), fill: { kind: "normal", mean: 1000 } },
      { ...f32(1, 1, 2), fill: { kind: "values", values: [1000, 1] } },
      f32(2),
      f32(2),
    ],
    attrs: { groups: 1, silu: false },
    tolerance: 4e-7,
    checkGradient: false,
  },
]);
