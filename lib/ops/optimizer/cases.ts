/** optimizer: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import { f32, i32 } from "../common/checks.ts";
import type { OpCase } from "../../graph/op.ts";
import { ADAMW_HYPER } from "./shared.ts";

// A dozen roundings; p is the sum of a large and a small term.
export const adamwCases: readonly OpCase[] = [
  [1, "step"],
  [0, "ema only"],
].map(([apply, name]) => ({
  name: name as string,
  inputs: [
    f32(103),
    {
      ...f32(ADAMW_HYPER),
      fill: {
        kind: "values",
        values: [
          1e-3,
          0.1,
          0.999,
          0.001,
          1e-8,
          0.9999,
          0.005,
          0.1,
          0.9,
          0.1,
          apply as number,
          0.5,
        ],
      },
    },
    f32(103),
    f32(103),
    { ...f32(103), fill: { kind: "uniform", low: 0, high: 2 } },
    f32(103),
  ],
  attrs: {},
  tolerance: 5e-7,
}));

export const accumulateCases: readonly OpCase[] = [[0, 0.5], [1, 0.25]].map((values) => ({
  name: values[0] ? "adds" : "starts",
  inputs: [f32(103), { ...f32(2), fill: { kind: "values", values } }, f32(103)],
  attrs: {},
  tolerance: 2e-7,
}));

export const logScalarCases: readonly OpCase[] = [0, 3, 8].map((value) => ({
  name: `place ${value}`,
  inputs: [f32(1), { ...i32(1), fill: { kind: "constant", value } }, f32(9)],
  attrs: {},
  tolerance: 0,
}));
