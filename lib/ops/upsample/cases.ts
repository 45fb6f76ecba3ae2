/** upsample: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { f32, type Stored } from "../common/checks.ts";

const SHAPES = [["odd", [3, 6, 5, 17]], ["batch 1", [1, 2, 3, 2]], ["vec4", [
  2,
  3,
  6,
  12,
]]] as const;

export const upsampleNearest2xCases: readonly OpCase<Stored>[] = SHAPES.map((
  [name, shape],
): OpCase => ({
  name,
  inputs: [f32(...shape)],
  attrs: {},
  tolerance: 0, // copies
}));

export const upsampleNearest2xBackwardCases: readonly OpCase[] = SHAPES.map((
  [name, [n, c, h, w]],
): OpCase => ({
  name,
  inputs: [f32(n, c, 2 * h, 2 * w)],
  attrs: {},
  tolerance: 2e-7, // three roundings of 2^-24, two of them along any path
}));
