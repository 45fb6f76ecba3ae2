/** channel: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import { f32 } from "../common/checks.ts";
import type { OpCase } from "../../graph/op.ts";

// One rounding of 2^-24.
export const addChannelCases: readonly OpCase[] = [
  { name: "odd", inputs: [f32(3, 6, 5, 17), f32(3, 6)], attrs: {}, tolerance: 1e-7 },
  { name: "across chunks", inputs: [f32(1, 2, 50, 52), f32(1, 2)], attrs: {}, tolerance: 1e-7 },
];

// Sums of numbers of both signs: a chain of k additions adds about √(k/2)·2^-25 of the result's
// usual size; trees of 8, blocks of 16 and few blocks give at most 3e-7.
export const sumSpatialCases: readonly OpCase[] = [
  { name: "odd", inputs: [f32(3, 6, 5, 17)], attrs: {}, tolerance: 3e-7 },
  { name: "batch 1", inputs: [f32(1, 2, 40, 40)], attrs: {}, tolerance: 3e-7 },
  { name: "one pixel", inputs: [f32(1, 6, 1, 1)], attrs: {}, tolerance: 0 },
  { name: "one pixel an image", inputs: [f32(3, 6, 1, 1)], attrs: {}, tolerance: 3e-7 },
  { name: "some images", inputs: [f32(37, 3, 4, 5)], attrs: {}, tolerance: 3e-7 },
  { name: "many images", inputs: [f32(1000, 70, 1, 1)], attrs: {}, tolerance: 4e-7 },
  // Rows that end where eight vec4s of a lane do, and where its next would begin.
  { name: "whole chunks", inputs: [f32(1, 2, 32, 32)], attrs: {}, tolerance: 3e-7 },
  { name: "chunks and a half", inputs: [f32(1, 2, 16, 30)], attrs: {}, tolerance: 3e-7 },
  {
    name: "large mean",
    inputs: [{ ...f32(2, 3, 128, 128), fill: { kind: "normal", mean: 1000 } }],
    attrs: {},
    tolerance: 3e-7,
  },
  {
    // One element an iteration, 8 lanes would each take 65,728: past the limit of 65,535.
    name: "long loop",
    inputs: [{ ...f32(1, 1, 513, 1025), fill: { kind: "uniform", low: 0, high: 1 } }],
    attrs: {},
    tolerance: 3e-7,
  },
];

// As in sum_spatial.
export const sumBatchCases: readonly OpCase[] = [
  { name: "odd", inputs: [f32(3, 6)], attrs: {}, tolerance: 3e-7 },
  { name: "batch 1", inputs: [f32(1, 6)], attrs: {}, tolerance: 0 },
  { name: "many", inputs: [f32(1000, 70)], attrs: {}, tolerance: 4e-7 },
];
