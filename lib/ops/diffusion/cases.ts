/** diffusion: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import { f32, i32 } from "../common/checks.ts";
import type { OpCase } from "../../graph/op.ts";
import { STEP_COEFFICIENTS } from "./shared.ts";

// Three roundings.
export const qSampleCases: readonly OpCase[] = [{
  name: "odd",
  inputs: [
    f32(3, 1, 6, 17),
    f32(3, 1, 6, 17),
    { ...i32(3), fill: { kind: "values", values: [0, 9, 4] } },
    f32(10, 2),
  ],
  attrs: {},
  tolerance: 3e-7,
}];

// Sums of up to five products; x0 of its own comes from a difference of large terms.
export const schedulerStepCases: readonly OpCase[] = [{
  name: "odd",
  inputs: [
    f32(3, 1, 6, 17),
    f32(3, 1, 6, 17),
    {
      ...f32(STEP_COEFFICIENTS),
      fill: { kind: "values", values: [3, -2.5, 1, 0.1, 0.9, 0.4, 0.6, 0.2, -0.3, 0.05, 0, 0] },
    },
    f32(3, 1, 6, 17),
    f32(3, 1, 6, 17),
  ],
  attrs: {},
  tolerance: 1e-6,
}];
