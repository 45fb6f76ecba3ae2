/** mse: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { f32 } from "../common/checks.ts";

const LOSSES = [
  { name: "odd", inputs: [f32(3, 6, 17), f32(3, 6, 17)] },
  { name: "batch 1", inputs: [f32(1, 1, 5, 17), f32(1, 1, 5, 17)] },
  { name: "whole vec4s", inputs: [f32(3, 5, 8), f32(3, 5, 8)] },
  { name: "128 x 128", inputs: [f32(8, 1, 128, 128), f32(8, 1, 128, 128)] },
  // One element an iteration, 8 lanes would each take 66,000: past the limit of 65,535.
  { name: "long loop", inputs: [f32(528001), f32(528001)] },
];

// Only positive terms: trees and chains of at most 8 + count/64 keep it to a few 2^-24.
export const mseCases: readonly OpCase[] = LOSSES.map((c): OpCase => ({
  ...c,
  attrs: {},
  tolerance: 4e-7,
  checkGradient: c.name !== "long loop",
}));

// Of the loss as above, of the gradient five roundings of 2^-24.
export const mseWithGradientCases: readonly OpCase[] = LOSSES.map((c): OpCase => ({
  ...c,
  inputs: [...c.inputs, f32(1)],
  attrs: {},
  tolerance: 4e-7,
}));
