/** random: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import type { RandomNormalAttrs } from "./reference.ts";

export const randomBitsCases: readonly OpCase[] = [{
  name: "words",
  inputs: [
    { shape: [77, 4], dtype: "u32", fill: { kind: "integers", low: 0, high: 2 ** 32 } },
    { shape: [2], dtype: "u32", fill: { kind: "integers", low: 0, high: 2 ** 32 } },
  ],
  attrs: {},
  tolerance: 0,
}];

// The polynomials err by some 2^-24, and so do a dozen roundings, the largest of numbers below 1.
export const randomNormalCases: readonly OpCase<RandomNormalAttrs>[] = [
  // 119, 102 and 21 numbers an image: 3, 2 and 1 in the last block of four.
  ...[[3, 1, 7, 17], [3, 1, 6, 17], [3, 1, 3, 7]].map((shape) => ({
    name: `odd [${shape}]`,
    inputs: [
      { shape: [4], dtype: "u32", fill: { kind: "integers", low: 0, high: 2 ** 32 } },
      { shape: [3], dtype: "u32", fill: { kind: "integers", low: 0, high: 2 ** 32 } },
    ],
    attrs: { shape, stream: 5 },
    tolerance: 2e-7,
  } as const)),
  // Seeds that draw 2.5·2^-24 and 3.5·2^-24 from 1 and from 0, where the logarithm is steep.
  ...[446438, 904959].map((seed) => ({
    name: `at an end, seed ${seed}`,
    inputs: [
      { shape: [4], dtype: "u32", fill: { kind: "values", values: [seed, 0, 0, 0] } },
      { shape: [1], dtype: "u32", fill: { kind: "constant", value: 7 } },
    ],
    attrs: { shape: [1, 4], stream: 5 },
    tolerance: 2e-7,
  } as const)),
];
