/** guidance: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import { f32 } from "../common/checks.ts";
import type { OpCase } from "../../graph/op.ts";

export const guidanceCases: readonly OpCase[] = [{
  name: "odd",
  inputs: [f32(6, 1, 5, 17), f32(1)],
  attrs: {},
  tolerance: 4e-7,
}];

// A quotient and three products; WGSL allows a division 2.5 ULP.
export const guidanceRescaleCases: readonly OpCase[] = [{
  name: "odd",
  inputs: [
    f32(3, 1, 5, 17),
    { ...f32(6, 1, 2), fill: { kind: "uniform", low: 0.5, high: 2 } },
    { ...f32(3, 1, 2), fill: { kind: "uniform", low: 0.5, high: 2 } },
    { ...f32(1), fill: { kind: "constant", value: 0.7 } },
  ],
  attrs: {},
  tolerance: 5e-7,
}];
