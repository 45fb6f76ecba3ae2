/** attention: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { probabilities } from "./backward_reference.ts";
import { type AttentionAttrs, dimensions } from "./geometry.ts";

export const attentionReference: OpDef<AttentionAttrs>["reference"] = (
  [q, k, v],
  { heads, scale },
  [type],
) => {
  const { batch, headDim, tokens } = dimensions(type, heads);
  const y = new Float64Array(q.length);
  const logsumexp = new Float64Array(batch * heads * tokens);
  for (let h = 0; h < batch * heads; h++) {
    const { p, sums } = probabilities(q, k, h, headDim, tokens, scale);
    logsumexp.set(sums, h * tokens);
    for (let d = 0; d < headDim; d++) {
      const row = (h * headDim + d) * tokens;
      for (let i = 0; i < tokens; i++) {
        for (let j = 0; j < tokens; j++) y[row + i] += p[i * tokens + j] * v[row + j];
      }
    }
  }
  return [y, logsumexp];
};
