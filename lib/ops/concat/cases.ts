/** concat: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { f32, i32 } from "../common/checks.ts";
import type { ConcatAttrs, SliceAttrs } from "./shared.ts";

// Copies are exact.
export const concatCases: readonly OpCase<ConcatAttrs>[] = [
  { name: "odd", inputs: [f32(3, 6, 17), f32(3, 1, 17)], attrs: { axis: 1 }, tolerance: 0 },
  {
    name: "three, vec4",
    inputs: [f32(2, 3, 4, 4), f32(2, 5, 4, 4), f32(2, 1, 4, 4)],
    attrs: { axis: 1 },
    tolerance: 0,
  },
  { name: "batch", inputs: [f32(1, 6, 17), f32(3, 6, 17)], attrs: { axis: 0 }, tolerance: 0 },
  { name: "one", inputs: [f32(2, 3)], attrs: { axis: 1 }, tolerance: 0 },
  {
    // More than a workgroup takes of a row.
    name: "four, long rows",
    inputs: [f32(2, 3, 7, 11), f32(2, 2, 7, 11), f32(2, 1, 7, 11), f32(2, 4, 7, 11)],
    attrs: { axis: 1 },
    tolerance: 0,
  },
  {
    name: "five",
    inputs: [f32(2, 3), f32(2, 1), f32(2, 2), f32(2, 3), f32(2, 1)],
    attrs: { axis: 1 },
    tolerance: 0,
  },
  {
    name: "integers",
    inputs: [i32(3), i32(2)],
    attrs: { axis: 0 },
    tolerance: 0,
    checkGradient: false,
  },
  {
    name: "long rows",
    inputs: [f32(1, 2, 2052), f32(1, 1, 2052)],
    attrs: { axis: 1 },
    tolerance: 0,
  },
];

export const sliceCases: readonly OpCase<SliceAttrs>[] = [
  ["odd", [3, 6, 17], 1, 2, 3],
  ["vec4", [2, 5, 4, 4], 1, 1, 2],
  ["batch", [3, 6, 17], 0, 1, 2],
  ["end", [1, 6, 4], 1, 5, 1],
].map(([name, shape, axis, start, length]) => ({
  name,
  inputs: [f32(...shape as number[])],
  attrs: { axis, start, length },
  tolerance: 0,
} as OpCase<SliceAttrs>));

export const sliceBackwardCases: readonly OpCase<SliceAttrs>[] = [
  ["odd", [3, 2, 17], 1, 2, 6],
  ["vec4", [2, 3, 4, 4], 1, 1, 5],
  ["batch", [1, 6, 17], 0, 1, 3],
].map(([name, shape, axis, start, length]) => ({
  name,
  inputs: [f32(...shape as number[])],
  attrs: { axis, start, length },
  tolerance: 0,
} as OpCase<SliceAttrs>));
