/** group_norm: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { dimensions, type GroupNormApplyAttrs, type GroupNormStatsAttrs } from "./geometry.ts";

export const groupNormStatsReference: OpDef<GroupNormStatsAttrs>["reference"] = (
  [x],
  { groups, eps },
  [type],
) => {
  const { batch, size } = dimensions(type, groups);
  const stats = new Float64Array(2 * batch * groups);
  for (let g = 0; g < batch * groups; g++) {
    const values = x.subarray(g * size, (g + 1) * size);
    const mean = values.reduce((a, v) => a + v, 0) / size;
    const variance = values.reduce((a, v) => a + (v - mean) ** 2, 0) / size;
    stats.set([mean, 1 / Math.sqrt(variance + eps)], 2 * g);
  }
  return [stats];
};

export const groupNormApplyReference: OpDef<GroupNormApplyAttrs>["reference"] = (
  [x, stats, weight, bias],
  { silu },
  [type, { shape: [, groups] }],
) => {
  const { channels, pixels, groupChannels } = dimensions(type, groups);
  return [x.map((v, i) => {
    const row = Math.floor(i / pixels), c = row % channels, g = Math.floor(row / groupChannels);
    const z = (v - stats[2 * g]) * stats[2 * g + 1] * weight[c] + bias[c];
    return silu ? z / (1 + Math.exp(-z)) : z;
  })];
};
