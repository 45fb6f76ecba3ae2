/** attention: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { type AttentionAttrs, SHAPES } from "./geometry.ts";
import { f32 } from "../common/checks.ts";

// A score is a sum of HEAD_DIM products: its absolute error, about 2^-24·|s|·√D, is the relative
// error of its probability; so are exp's 3 + 2|s| ULP.
export const attentionCases: readonly OpCase<AttentionAttrs>[] = [
  ...SHAPES.map(([name, shape, heads, tolerance]): OpCase<AttentionAttrs> => ({
    name,
    inputs: [f32(...shape), f32(...shape), f32(...shape)],
    attrs: { heads, scale: 1 / Math.sqrt(shape[1] / heads) },
    tolerance,
    checkGradient: sizeOf(shape.slice(2)) < 500,
  })),
  // Scores of hundreds, all exact: without the running maximum of every one, exp overflows.
  {
    name: "large scores",
    inputs: [f32(3, 32, 10, 12), f32(3, 32, 10, 12), f32(3, 32, 10, 12)].map((t, i) =>
      i < 2 ? { ...t, fill: { kind: "integers", low: -20, high: 21 } as const } : t
    ),
    attrs: { heads: 4, scale: 0.25 },
    tolerance: 1e-6,
    checkGradient: false,
  },
];
