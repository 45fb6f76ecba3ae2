/** diffusion: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";

export const qSampleReference: OpDef["reference"] = ([x0, noise, t, table]) => {
  const per = x0.length / t.length;
  return [x0.map((v, i) => {
    const step = t[Math.floor(i / per)];
    return table[2 * step] * v + table[2 * step + 1] * noise[i];
  })];
};

export const schedulerStepReference: OpDef["reference"] = ([e, noise, k, x, previous]) => {
  const x0 = x.map((v, i) => Math.min(Math.max(k[0] * v + k[1] * e[i], -k[2]), k[2]));
  const next = x.map((v, i) =>
    k[5] * v + k[6] * x0[i] + k[7] * (k[3] * v + k[4] * e[i]) + k[8] * previous[i] +
    k[9] * noise[i]
  );
  return [next, x0];
};
