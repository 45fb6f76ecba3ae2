/** optimizer: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";

export const adamwReference: OpDef["reference"] = ([g, h, p, m, v, ema]) => {
  const out = [p, m, v, ema].map((t) => t.slice());
  for (let i = 0; i < g.length; i++) {
    if (h[10] !== 0) {
      const gradient = g[i] * h[11];
      out[1][i] = m[i] + h[1] * (gradient - m[i]);
      out[2][i] = h[2] * v[i] + h[3] * gradient * gradient;
      out[0][i] = p[i] * h[5] - h[6] * out[1][i] / (Math.sqrt(out[2][i]) / h[7] + h[4]);
    }
    out[3][i] = ema[i] + h[9] * (out[0][i] - ema[i]);
  }
  return out;
};

export const accumulateReference: OpDef["reference"] = (
  [g, [keep, weight], sum],
) => [g.map((v, i) => (keep ? sum[i] : 0) + weight * v)];

export const logScalarReference: OpDef["reference"] = ([[value], [index], log]) => {
  const next = log.slice();
  next[index] = value;
  return [next];
};
