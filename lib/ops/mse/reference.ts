/** mse: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";

export const mseReference: OpDef["reference"] = ([prediction, target]) => {
  const sum = prediction.reduce((a, v, i) => a + (v - target[i]) ** 2, 0);
  return [Float64Array.of(sum / prediction.length)];
};

export const mseWithGradientReference: OpDef["reference"] = (
  [prediction, target, [dloss]],
  ...rest
) => {
  const gradient = prediction.map((v, i) => 2 * dloss * (v - target[i]) / prediction.length);
  return [...mseReference([prediction, target], ...rest), gradient];
};
