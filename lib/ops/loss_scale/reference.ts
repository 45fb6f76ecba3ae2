/** loss_scale: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { sumOfSquares } from "../gradient_clip/reference.ts";
import type { LossScaleAttrs } from "./shared.ts";

export const lossScaleReference: OpDef<LossScaleAttrs>["reference"] = (
  [g, filled, hyper, logBetas, [scale, tracker, skipped, steps]],
  attrs,
) => {
  const norm = Math.abs(hyper[11]) * Math.sqrt(sumOfSquares(g, filled)) / scale;
  const finite = Number.isFinite(norm);
  const adjusted = hyper.slice();
  const [c1, c2] = logBetas.map((log) => -Math.expm1((steps + 1) * log));
  adjusted.set([hyper[0] / c1, Math.sqrt(c2)], 6);
  if (!finite) adjusted[10] = 0;
  adjusted[11] = hyper[11] / scale * Math.min(1, attrs.maxNorm / (norm + 1e-6));
  const grows = tracker + 1 >= attrs.growthInterval;
  const next = hyper[10] === 0
    ? [scale, tracker, skipped, steps]
    : finite
    ? [scale * (grows ? attrs.growthFactor : 1), grows ? 0 : tracker + 1, skipped, steps + 1]
    : [scale * attrs.backoffFactor, 0, skipped + 1, steps];
  return [adjusted, Float64Array.of(norm), Float64Array.from(next)];
};
