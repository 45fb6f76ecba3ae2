/** embedding: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import { i32 } from "../common/checks.ts";
import type { OpCase } from "../../graph/op.ts";
import type { TimestepEmbeddingAttrs } from "./shared.ts";

// Range reduction and polynomials end within 2e-7 of numbers whose mean size is 0.7.
export const timestepEmbeddingCases: readonly OpCase<TimestepEmbeddingAttrs>[] = [
  {
    name: "seed model",
    inputs: [{
      ...i32(8),
      fill: { kind: "values", values: [999, 0, 1, 998, 500, 777, 3, 100] },
    }],
    attrs: { dim: 32, flipSinToCos: true, downscaleFreqShift: 0, maxPeriod: 10000 },
    tolerance: 2e-7,
  },
  {
    name: "odd dim, shift 1",
    inputs: [i32(3)],
    attrs: { dim: 33, flipSinToCos: false, downscaleFreqShift: 1, maxPeriod: 10000 },
    tolerance: 2e-7,
  },
  {
    name: "all timesteps",
    inputs: [{
      ...i32(1000),
      fill: { kind: "values", values: Array.from({ length: 1000 }, (_, t) => t) },
    }],
    attrs: { dim: 64, flipSinToCos: false, downscaleFreqShift: 0, maxPeriod: 10000 },
    tolerance: 2e-7,
  },
];
