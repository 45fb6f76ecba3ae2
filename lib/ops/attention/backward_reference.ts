/** attention: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { type AttentionAttrs, dimensions } from "./geometry.ts";

/** Reference: p[i·tokens + j] and logsumexp[i] of head `h` (over the whole batch). */
export function probabilities(
  q: Float64Array,
  k: Float64Array,
  h: number,
  headDim: number,
  tokens: number,
  scale: number,
): { p: Float64Array; sums: Float64Array } {
  const p = new Float64Array(tokens * tokens);
  for (let d = 0; d < headDim; d++) {
    const row = (h * headDim + d) * tokens;
    for (let i = 0; i < tokens; i++) {
      for (let j = 0; j < tokens; j++) p[i * tokens + j] += scale * q[row + i] * k[row + j];
    }
  }
  const sums = new Float64Array(tokens);
  for (let i = 0; i < tokens; i++) {
    const scores = p.subarray(i * tokens, (i + 1) * tokens);
    const most = scores.reduce((a, b) => Math.max(a, b));
    sums[i] = most + Math.log(scores.reduce((a, s) => a + Math.exp(s - most), 0));
    scores.forEach((s, j) => scores[j] = Math.exp(s - sums[i]));
  }
  return { p, sums };
}

export const attentionBackwardReference: OpDef<AttentionAttrs>["reference"] = (
  [q, k, v, y, logsumexp, dy],
  { heads, scale },
  [type],
) => {
  const { batch, headDim, tokens } = dimensions(type, heads);
  const [dq, dk, dv] = [q, k, v].map((t) => new Float64Array(t.length));
  for (let h = 0; h < batch * heads; h++) {
    const { p, sums } = probabilities(q, k, h, headDim, tokens, scale);
    // As the kernels do, take the given logsumexp at its word.
    for (let i = 0; i < tokens; i++) {
      const correction = Math.exp(sums[i] - logsumexp[h * tokens + i]);
      for (let j = 0; j < tokens; j++) p[i * tokens + j] *= correction;
    }
    const ds = new Float64Array(tokens * tokens);
    for (let d = 0; d < headDim; d++) {
      const row = (h * headDim + d) * tokens;
      for (let i = 0; i < tokens; i++) {
        for (let j = 0; j < tokens; j++) {
          ds[i * tokens + j] += dy[row + i] * (v[row + j] - y[row + i]);
          dv[row + j] += p[i * tokens + j] * dy[row + i];
        }
      }
    }
    for (let n = 0; n < ds.length; n++) ds[n] *= scale * p[n];
    for (let d = 0; d < headDim; d++) {
      const row = (h * headDim + d) * tokens;
      for (let i = 0; i < tokens; i++) {
        for (let j = 0; j < tokens; j++) {
          dq[row + i] += ds[i * tokens + j] * k[row + j];
          dk[row + j] += ds[i * tokens + j] * q[row + i];
        }
      }
    }
  }
  return [dq, dk, dv];
};
