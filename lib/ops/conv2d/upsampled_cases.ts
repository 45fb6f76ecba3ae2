/** Shapes that the convolutions of a doubled image are tested at: those of the small image. */

import type { Fill, OpCase } from "../../graph/op.ts";
import { f32, type Stored } from "../common/checks.ts";
import type { WithExtras } from "../common/extras.ts";

interface Case {
  readonly name: string;
  readonly x: readonly number[];
  readonly co: number;
  readonly bias?: boolean;
  readonly fill?: Fill;
  /** Too large for finite differences in float64. */
  readonly large?: boolean;
}

const CASES: readonly Case[] = [
  { name: "odd width", x: [3, 6, 5, 7], co: 5, bias: true },
  { name: "odd height", x: [2, 9, 3, 12], co: 10, bias: true },
  { name: "one channel", x: [2, 1, 1, 4], co: 1 },
  { name: "whole tiles", x: [2, 16, 8, 16], co: 16, bias: true },
  { name: "wide", x: [1, 18, 4, 8], co: 9 },
  // Rows of a texture, 2,048 texels, end within an image's.
  { name: "rows of 96", x: [2, 7, 31, 96], co: 3, bias: true, large: true },
  { name: "tall", x: [1, 4, 132, 8], co: 4, large: true },
  { name: "ragged", x: [3, 5, 6, 8], co: 3 },
  { name: "constant", x: [1, 8, 8, 12], co: 8, fill: { kind: "constant", value: 3 } },
  { name: "large mean", x: [1, 8, 4, 12], co: 8, fill: { kind: "normal", mean: 100, std: 1 } },
  // 8·64·64 = 32,768 pixels of x a weight, four products each, and 1,024 products a pixel.
  { name: "large", x: [8, 1, 64, 64], co: 2, large: true },
  { name: "deep", x: [1, 256, 4, 8], co: 16, large: true },
];

// As conv2d's: sums of weights add one rounding to each product.
const TOLERANCE = 1.2e-6;

const weightOf = ({ x, co }: Case) => [co, x[1], 3, 3];
const weightFill = ({ x }: Case): Fill => ({ kind: "normal", std: 1 / Math.sqrt(9 * x[1]) });
const outputOf = ({ x, co }: Case) => [x[0], co, 2 * x[2], 2 * x[3]];

export const FORWARD_CASES: readonly OpCase<WithExtras & Stored>[] = CASES.map((c) => ({
  name: c.name,
  inputs: [
    { ...f32(...c.x), fill: c.fill },
    { ...f32(...weightOf(c)), fill: weightFill(c) },
    ...(c.bias ? [f32(c.co)] : []),
  ],
  attrs: { extras: c.bias ? ["bias"] : [] },
  tolerance: TOLERANCE,
  checkGradient: !c.large,
}));

export const BACKWARD_DATA_CASES: readonly OpCase<Stored>[] = CASES.map((c) => ({
  name: c.name,
  inputs: [
    { ...f32(...outputOf(c)), fill: c.fill },
    { ...f32(...weightOf(c)), fill: weightFill(c) },
  ],
  attrs: {},
  tolerance: TOLERANCE,
}));

export const BACKWARD_WEIGHT_CASES: readonly OpCase[] = CASES.map((c) => ({
  name: c.name,
  inputs: [{ ...f32(...c.x), fill: c.fill }, f32(...outputOf(c))],
  attrs: {},
  tolerance: TOLERANCE,
}));
