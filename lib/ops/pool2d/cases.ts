/** pool2d: shapes and tolerances for tests, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { f32 } from "../common/checks.ts";
import type { Pool2dAttrs } from "./geometry.ts";

const CASES: [name: string, shape: number[], attrs: Pool2dAttrs][] = [
  ["3x3 stride 2", [2, 3, 17, 9], { window: [3, 3], stride: 2, padding: 0 }],
  ["3x3 padded", [1, 5, 6, 7], { window: [3, 3], stride: 1, padding: 1 }],
  ["2x2 padded, stride 3", [2, 1, 5, 8], { window: [2, 2], stride: 3, padding: 1 }],
  ["whole plane", [2, 3, 8, 5], { window: [8, 5], stride: 1, padding: 0 }],
  ["flat", [2, 3, 1, 36], { window: [3, 3], stride: 2, padding: 1, flat: [5, 7] }],
  ["flat, padded", [2, 3, 1, 32], { window: [3, 3], stride: 2, padding: 1, flat: [5, 6] }],
  ["rows with gaps", [1, 3, 1, 48], {
    window: [3, 3],
    stride: 2,
    padding: 0,
    flat: [5, 7],
    pitch: 9,
  }],
  ["one pixel", [1, 1, 1, 1], { window: [1, 1], stride: 1, padding: 0 }],
];

const cases = (tolerance: number): OpCase<Pool2dAttrs>[] =>
  CASES.map(([name, shape, attrs]) => ({ name, inputs: [f32(...shape)], attrs, tolerance }));

// A choice, no arithmetic.
export const maxPool2dCases = cases(0);

// Sums of up to 40 numbers of random sign, then a division.
export const averagePool2dCases = cases(5e-7);
