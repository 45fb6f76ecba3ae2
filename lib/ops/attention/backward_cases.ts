/** attention: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { type AttentionAttrs, dimensions, SHAPES } from "./geometry.ts";
import { f32 } from "../common/checks.ts";

// y and logsumexp are given: random ones would let exp(s − logsumexp) grow without bound, so the
// logsumexp is about that of like scores, log T. Errors as in the forward pass, twice over.
export const attentionBackwardCases: readonly OpCase<AttentionAttrs>[] = SHAPES.map(
  ([name, shape, heads, tolerance]): OpCase<AttentionAttrs> => {
    const x = f32(...shape);
    const { batch, tokens } = dimensions(x, heads);
    const sums = f32(batch, heads, tokens);
    return {
      name,
      inputs: [
        x,
        x,
        x,
        x,
        { ...sums, fill: { kind: "normal", mean: Math.log(tokens), std: 0.5 } },
        x,
      ],
      attrs: { heads, scale: 1 / Math.sqrt(shape[1] / heads) },
      tolerance: 2 * tolerance,
    };
  },
);
