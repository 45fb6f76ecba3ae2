/** embedding: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { frequencies, type TimestepEmbeddingAttrs } from "./shared.ts";

export const timestepEmbeddingReference: OpDef<TimestepEmbeddingAttrs>["reference"] = (
  [t],
  { dim, flipSinToCos, downscaleFreqShift, maxPeriod },
) => {
  const f = frequencies(dim, downscaleFreqShift, maxPeriod);
  const y = new Float64Array(t.length * dim);
  t.forEach((time, n) =>
    f.forEach((frequency, i) => {
      const x = Math.fround(time * frequency);
      y[n * dim + i + (flipSinToCos ? f.length : 0)] = Math.sin(x);
      y[n * dim + i + (flipSinToCos ? 0 : f.length)] = Math.cos(x);
    })
  );
  return [y];
};
