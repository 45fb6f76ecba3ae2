/** group_norm: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import type { TensorType } from "../../graph/tensor.ts";
import { f32, type Stored } from "../common/checks.ts";
import { type GroupNormTotalsAttrs, positive, type SiluAttrs } from "./geometry.ts";

/** Cases of the two ops that read x, dy, stats, weight, bias (and `more`). */
function backwardCases(
  more: (batch: number, groups: number) => TensorType[],
  tolerance: number,
): OpCase<SiluAttrs>[] {
  const make = (
    name: string,
    shape: number[],
    groups: number,
    silu: boolean,
  ): OpCase<SiluAttrs> => ({
    name,
    inputs: [
      f32(...shape),
      f32(...shape),
      positive(shape[0], groups, 2),
      f32(shape[1]),
      f32(shape[1]),
      ...more(shape[0], groups),
    ],
    attrs: { silu },
    tolerance,
  });
  return [
    make("odd", [3, 6, 5, 17], 3, false),
    make("odd silu", [3, 6, 5, 17], 3, true),
    make("vec4 across chunks", [1, 4, 50, 52], 2, true),
    // Rows that end where four vec4s of a lane do, and where its next would begin.
    make("whole chunks", [1, 4, 16, 32], 2, true),
    make("chunks and a half", [1, 4, 14, 16], 2, true),
    // One element an iteration, 8 lanes would each take 65,728: past the limit of 65,535.
    make("long loop", [1, 1, 513, 1025], 1, true),
  ];
}

// Sums of terms of both signs: exp's few 2^-24 an element, and chains of at most 16 + length/4096.
export const groupNormSumsCases: readonly OpCase<SiluAttrs>[] = backwardCases(() => [], 1e-6);

// Chains of three to five terms of both signs.
export const groupNormTotalsCases: readonly OpCase<GroupNormTotalsAttrs>[] = [
  {
    name: "more channels than groups",
    inputs: [f32(3, 6, 2), f32(6)],
    attrs: { groups: 2, pixels: 35 },
    tolerance: 3e-7,
  },
  {
    name: "more groups than channels",
    inputs: [f32(5, 70, 2), f32(70)],
    attrs: { groups: 35, pixels: 3 },
    tolerance: 3e-7,
  },
  {
    // A channel a group, weights of 1: nothing is rounded.
    name: "batch 1",
    inputs: [f32(1, 70, 2), { ...f32(70), fill: { kind: "constant", value: 1 } }],
    attrs: { groups: 70, pixels: 1 },
    tolerance: 0,
  },
];

// About ten roundings, and exp's 3 + 2|z| ULP.
export const groupNormDataGradientCases: readonly OpCase<SiluAttrs & Stored>[] = backwardCases(
  (batch, groups) => [f32(batch, groups, 2)],
  1e-6,
);
