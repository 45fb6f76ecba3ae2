/**
 * Shapes that every convolution variant is tested at. One list of convolutions gives the cases of
 * all three ops.
 */

import type { Fill, OpCase } from "../../graph/op.ts";
import { f32 } from "../common/checks.ts";
import type { Extra } from "../common/extras.ts";
import {
  type Conv2dAttrs,
  type Conv2dBackwardDataAttrs,
  type Conv2dBackwardWeightAttrs,
  geometry,
  type Padding,
  sides,
} from "./geometry.ts";

interface Convolution {
  readonly name: string;
  readonly x: readonly number[];
  readonly weight: readonly number[];
  readonly stride?: number;
  readonly padding?: Padding;
  readonly bias?: boolean;
  /** Also with everything added in the store. */
  readonly fused?: boolean;
  readonly fill?: Fill;
  /** Too large for finite differences in float64. */
  readonly large?: boolean;
}

const CONVOLUTIONS: readonly Convolution[] = [
  { name: "odd 3×3", x: [3, 6, 11, 17], weight: [5, 6, 3, 3], padding: 1, bias: true, fused: true },
  { name: "3×3", x: [1, 20, 8, 8], weight: [18, 20, 3, 3], padding: 1, bias: true, fused: true },
  { name: "3×3 whole tiles", x: [2, 16, 16, 32], weight: [32, 16, 3, 3], padding: 1, bias: true },
  { name: "3×3 one channel", x: [2, 1, 9, 12], weight: [1, 1, 3, 3], padding: 1 },
  { name: "3×3 no padding", x: [2, 4, 7, 9], weight: [3, 4, 3, 3] },
  { name: "3×3 stride 2", x: [2, 7, 12, 16], weight: [17, 7, 3, 3], stride: 2, padding: 1 },
  {
    name: "3×3 stride 2, odd",
    x: [1, 6, 9, 17],
    weight: [4, 6, 3, 3],
    stride: 2,
    padding: 1,
    bias: true,
  },
  { name: "3×3 stride 2, wide", x: [1, 20, 8, 8], weight: [6, 20, 3, 3], stride: 2, padding: 1 },
  {
    name: "3×3 stride 2, asymmetric",
    x: [2, 5, 10, 12],
    weight: [6, 5, 3, 3],
    stride: 2,
    padding: [0, 0, 1, 1],
  },
  { name: "3×3 asymmetric", x: [1, 3, 6, 8], weight: [4, 3, 3, 3], padding: [2, 1, 0, 1] },
  {
    name: "3×3 stride 2, odd height",
    x: [3, 6, 9, 24],
    weight: [10, 6, 3, 3],
    stride: 2,
    padding: 1,
    bias: true,
    fused: true,
  },
  {
    name: "3×3 odd height",
    x: [3, 9, 13, 20],
    weight: [10, 9, 3, 3],
    padding: 1,
    bias: true,
    fused: true,
  },
  // Rows of 32 pixels, three to a row of 96: a texture's rows of 2,048 texels end within an image's.
  {
    name: "3×3 rows of 32",
    x: [3, 7, 31, 96],
    weight: [10, 7, 3, 3],
    padding: 1,
    bias: true,
    fused: true,
    large: true,
  },
  { name: "1×1 part tiles", x: [3, 18, 6, 10], weight: [17, 18, 1, 1], bias: true, fused: true },
  // Rows and pixels in more than one chunk of the weight gradients.
  { name: "3×3 ragged", x: [3, 6, 8, 12], weight: [5, 6, 3, 3], padding: 1 },
  { name: "3×3 tall", x: [1, 4, 132, 8], weight: [4, 4, 3, 3], padding: 1, large: true },
  { name: "1×1 many pixels", x: [1, 4, 96, 88], weight: [5, 4, 1, 1], large: true },
  { name: "1×1", x: [3, 6, 5, 17], weight: [7, 6, 1, 1], bias: true, fused: true },
  { name: "1×1 whole tiles", x: [2, 32, 8, 16], weight: [48, 32, 1, 1], bias: true },
  // Vec4s of a channel: one, and two, over a multiple of four.
  { name: "1×1 one over", x: [2, 5, 4, 5], weight: [3, 5, 1, 1] },
  { name: "1×1 two over", x: [2, 3, 4, 6], weight: [5, 3, 1, 1] },
  { name: "1×1 stride 2", x: [2, 3, 7, 8], weight: [5, 3, 1, 1], stride: 2 },
  { name: "1×7", x: [1, 4, 5, 9], weight: [3, 4, 1, 7], padding: [0, 3, 0, 3] },
  { name: "7×1", x: [1, 4, 9, 5], weight: [3, 4, 7, 1], padding: [3, 0, 3, 0] },
  { name: "5×5 stride 4", x: [1, 3, 19, 21], weight: [9, 3, 5, 5], stride: 4, padding: 2 },
  {
    name: "constant",
    x: [1, 8, 8, 12],
    weight: [8, 8, 3, 3],
    padding: 1,
    fill: { kind: "constant", value: 3 },
  },
  {
    name: "large mean",
    x: [1, 8, 8, 12],
    weight: [8, 8, 3, 3],
    padding: 1,
    fill: { kind: "normal", mean: 100, std: 1 },
  },
  // 8·128·128 = 131,072 products a weight: past the 65,535 loop iterations of Mesa 22, had one
  // invocation to do them all.
  { name: "large", x: [8, 1, 128, 128], weight: [2, 1, 3, 3], padding: 1, large: true },
  // More images than Winograd's variants transform at a time.
  { name: "chunks", x: [3, 40, 128, 128], weight: [2, 40, 3, 3], padding: 1, large: true },
  // So many channels that workgroups sum the weights of several images up; the last has one.
  { name: "many images", x: [41, 128, 2, 4], weight: [128, 128, 3, 3], padding: 1, large: true },
  // More input channels than a uniform buffer holds of the weights: several passes.
  { name: "deep", x: [1, 256, 8, 8], weight: [32, 256, 3, 3], padding: 1, large: true },
];

// A float32 sum of K products in blocks errs by 2^-24 times a small root of K: 2e-7 to 4e-7 for
// K = 54, under 1.2e-6 for K = 2,304 (256 channels, 3×3).
const TOLERANCE = 1.2e-6;
// Winograd's transforms cancel: with the points ±sqrt(1/2) and ±sqrt(2) that makes the error 5
// times that of a sum in blocks, 6e-7 for 32 channels, 1.5e-6 for 256 and in weight gradients.
const INEXACT_TOLERANCE = 3e-6;

const weightFill = (shape: readonly number[]): Fill => ({
  kind: "normal",
  std: 1 / Math.sqrt(shape[1] * shape[2] * shape[3]),
});

function outputShape({ x, weight, stride = 1, padding = 0 }: Convolution): number[] {
  const { n, co, ho, wo } = geometry(x, weight, stride, padding);
  return [n, co, ho, wo];
}

const attrsOf = ({ stride = 1, padding = 0 }: Convolution) => ({
  stride,
  padding: sides(padding),
});

const forwardCase = (c: Convolution, extras: readonly Extra[]): OpCase<Conv2dAttrs> => {
  const y = outputShape(c);
  const shapes = { bias: [y[1]], channel: y.slice(0, 2), residual: y };
  return {
    name: extras.length > 1 ? `${c.name}, fused` : c.name,
    inputs: [
      { ...f32(...c.x), fill: c.fill },
      { ...f32(...c.weight), fill: weightFill(c.weight) },
      ...extras.map((name) => f32(...shapes[name])),
    ],
    attrs: { ...attrsOf(c), extras },
    tolerance: TOLERANCE,
    inexactTolerance: INEXACT_TOLERANCE,
    // The fused forms come after differentiation.
    checkGradient: !c.large && extras.length < 2,
  };
};

export const FORWARD_CASES: readonly OpCase<Conv2dAttrs>[] = CONVOLUTIONS.flatMap((c) => [
  forwardCase(c, c.bias ? ["bias"] : []),
  ...(c.fused ? [forwardCase(c, ["bias", "channel", "residual"])] : []),
]);

const backwardDataCase = (
  c: Convolution,
  extras: readonly Extra[],
): OpCase<Conv2dBackwardDataAttrs> => ({
  name: extras.length ? `${c.name}, fused` : c.name,
  inputs: [
    { ...f32(...outputShape(c)), fill: c.fill },
    { ...f32(...c.weight), fill: weightFill(c.weight) },
    ...extras.map(() => f32(...c.x)),
  ],
  attrs: { ...attrsOf(c), inputShape: c.x, extras },
  tolerance: TOLERANCE,
  inexactTolerance: INEXACT_TOLERANCE,
});

export const BACKWARD_DATA_CASES: readonly OpCase<Conv2dBackwardDataAttrs>[] = CONVOLUTIONS.flatMap(
  (c) => [
    backwardDataCase(c, []),
    ...(c.fused ? [backwardDataCase(c, ["residual"])] : []),
  ],
);

export const BACKWARD_WEIGHT_CASES: readonly OpCase<Conv2dBackwardWeightAttrs>[] = CONVOLUTIONS.map(
  (c) => ({
    name: c.name,
    inputs: [{ ...f32(...c.x), fill: c.fill }, f32(...outputShape(c))],
    attrs: { ...attrsOf(c), weightShape: c.weight },
    tolerance: TOLERANCE,
    inexactTolerance: INEXACT_TOLERANCE,
  }),
);
