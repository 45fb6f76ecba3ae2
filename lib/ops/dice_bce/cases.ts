/** dice_bce: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { f32 } from "../common/checks.ts";
import type { DiceBceAttrs } from "./shared.ts";

const target = (...shape: number[]) => ({
  ...f32(...shape),
  fill: { kind: "uniform", low: 0, high: 1 } as const,
});

const EDGES = [-200, -90, -20, -1e-3, 0, 1e-3, 20, 90, 200];

const MASKS: readonly Omit<OpCase, "tolerance">[] = [
  { name: "odd", inputs: [f32(3, 1, 6, 17), target(3, 1, 6, 17)], attrs: {} },
  { name: "one pixel", inputs: [f32(2, 1), target(2, 1)], attrs: {} },
  { name: "64 x 64", inputs: [f32(4, 1, 64, 64), target(4, 1, 64, 64)], attrs: {} },
  {
    name: "edges",
    inputs: [{ ...f32(1, 9), fill: { kind: "values", values: EDGES } }, target(1, 9)],
    attrs: {},
    checkGradient: false, // differences see nothing where the sigmoid is flat
  },
];

// Positive terms; WGSL allows exp 3 ULP and more, log 3.
export const diceBceSumsCases: readonly OpCase[] = MASKS.map((c) => ({ ...c, tolerance: 1e-6 }));

export const diceBceSumsBackwardCases: readonly OpCase[] = MASKS.map((c): OpCase => ({
  ...c,
  inputs: [...c.inputs, f32(c.inputs[0].shape[0], 4)],
  tolerance: 1e-6,
}));

const SUMS_OF = [1, 5, 300].map((images) => ({
  name: `${images} images`,
  inputs: [{ ...f32(images, 4), fill: { kind: "uniform", low: 0, high: 40 } as const }],
  attrs: { count: 50 * images },
}));

// A chain over at most 300 images of terms of like size.
export const diceBceCases: readonly OpCase<DiceBceAttrs>[] = SUMS_OF.map((c) => ({
  ...c,
  tolerance: 4e-6,
}));

export const diceBceBackwardCases: readonly OpCase<DiceBceAttrs>[] = SUMS_OF.map((
  c,
): OpCase<DiceBceAttrs> => ({
  ...c,
  inputs: [...c.inputs, f32(1)],
  tolerance: 1e-6,
}));
