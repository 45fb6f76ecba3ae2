/** linear: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import type { WithExtras } from "../common/extras.ts";

export const linearReference: OpDef["reference"] = (
  [x, weight, bias],
  _,
  [{ shape: [, k] }],
  [{ shape: [m, n] }],
) => {
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = bias ? bias[j] : 0;
      for (let l = 0; l < k; l++) sum += x[i * k + l] * weight[j * k + l];
      y[i * n + j] = sum;
    }
  }
  return [y];
};

export const linearDataGradientReference: OpDef<WithExtras>["reference"] = (
  [dy, weight, added],
  _,
  [, { shape: [n, k] }],
  [{ shape: [m] }],
) => {
  const dx = added ? added.slice() : new Float64Array(m * k);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      for (let l = 0; l < k; l++) dx[i * k + l] += dy[i * n + j] * weight[j * k + l];
    }
  }
  return [dx];
};

export const linearParameterGradientsReference: OpDef["reference"] = (
  [x, dy],
  _,
  [{ shape: [m, k] }, { shape: [, n] }],
) => {
  const [dweight, dbias] = [new Float64Array(n * k), new Float64Array(n)];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      dbias[j] += dy[i * n + j];
      for (let l = 0; l < k; l++) dweight[j * k + l] += dy[i * n + j] * x[i * k + l];
    }
  }
  return [dweight, dbias];
};
