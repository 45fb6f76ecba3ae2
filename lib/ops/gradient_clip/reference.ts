/** gradient_clip: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { CLIP_BLOCK, type GradientClipAttrs } from "./shared.ts";

/** Of the elements that count. */
export function sumOfSquares(g: Float64Array, filled: Float64Array): number {
  return g.reduce(
    (total, v, i) => total + (i % CLIP_BLOCK < filled[Math.floor(i / CLIP_BLOCK)] ? v * v : 0),
    0,
  );
}

export const gradientClipReference: OpDef<GradientClipAttrs>["reference"] = (
  [g, filled, hyper],
  { maxNorm },
) => {
  const norm = Math.abs(hyper[11]) * Math.sqrt(sumOfSquares(g, filled));
  const clipped = hyper.slice();
  clipped[11] *= Math.min(1, maxNorm / (norm + 1e-6));
  return [clipped, Float64Array.of(norm)];
};
