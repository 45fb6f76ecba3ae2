/** linear: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import { f32 } from "../common/checks.ts";
import type { OpCase } from "../../graph/op.ts";
import type { WithExtras } from "../common/extras.ts";

// Sums of K products of both signs: chains of 16 and K/16 give under 5e-7 for K up to 512.
const TOLERANCE = 5e-7;

const SIZES = [
  ["odd", 3, 17, 6],
  ["batch 1", 1, 6, 17],
  ["vec4", 8, 32, 384],
  ["small blocks", 8, 20, 7],
  ["deep", 5, 512, 10],
  ["one column", 3, 1, 5],
] as const;

export const linearCases: readonly OpCase[] = SIZES.map(([name, m, k, n], i) => ({
  name,
  inputs: i % 2 ? [f32(m, k), f32(n, k)] : [f32(m, k), f32(n, k), f32(n)],
  attrs: {},
  tolerance: TOLERANCE,
}));

export const linearDataGradientCases: readonly OpCase<WithExtras>[] = SIZES.map((
  [name, m, k, n],
  i,
) => ({
  name,
  inputs: [f32(m, n), f32(n, k), ...(i % 2 ? [] : [f32(m, k)])],
  attrs: i % 2 ? {} : { extras: ["residual"] },
  tolerance: TOLERANCE,
}));

export const linearParameterGradientsCases: readonly OpCase[] = SIZES.map(([name, m, k, n]) => ({
  name,
  inputs: [f32(m, k), f32(m, n)],
  attrs: {},
  tolerance: TOLERANCE,
}));
