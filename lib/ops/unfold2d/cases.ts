/** unfold2d: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { f32 } from "../common/checks.ts";
import type { Unfold2dOptions } from "./shared.ts";

export const unfold2dCases: readonly OpCase<Unfold2dOptions>[] = ([
  ["3×3", [2, 3, 5, 7], { size: [5, 7], window: [3, 3], stride: 1, padding: [1, 1] }],
  ["stride 2", [1, 2, 9, 6], { size: [9, 6], window: [3, 3], stride: 2, padding: [0, 0] }],
  ["1×7, flat", [2, 2, 1, 36], { size: [5, 7], window: [1, 7], stride: 1, padding: [0, 3] }],
  ["7×1, flat", [2, 2, 1, 36], { size: [5, 7], window: [7, 1], stride: 1, padding: [3, 0] }],
  ["1×1", [1, 3, 3, 3], { size: [3, 3], window: [1, 1], stride: 1, padding: [0, 0] }],
] as [string, number[], Unfold2dOptions][]).map((
  [name, shape, attrs],
): OpCase<Unfold2dOptions> => ({
  name,
  inputs: [f32(...shape)],
  attrs: { ...attrs },
  tolerance: 0, // copies
}));
