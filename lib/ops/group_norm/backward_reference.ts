/** group_norm: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import type { TensorType } from "../../graph/tensor.ts";
import { dimensions, type GroupNormTotalsAttrs, type SiluAttrs } from "./geometry.ts";
import type { Stored } from "../common/checks.ts";

/** dL/dz per element, given dL/dy: through SiLU where it was applied. */
function normalised(
  [x, dy, stats, weight, bias]: readonly Float64Array[],
  silu: boolean,
  type: TensorType,
  groups: number,
) {
  const { channels, pixels, groupChannels } = dimensions(type, groups);
  return (i: number) => {
    const row = Math.floor(i / pixels), c = row % channels, group = Math.floor(row / groupChannels);
    const rstd = stats[2 * group + 1];
    const xhat = (x[i] - stats[2 * group]) * rstd;
    const z = xhat * weight[c] + bias[c];
    const s = 1 / (1 + Math.exp(-z));
    const g = silu ? dy[i] * s * (1 + z * (1 - s)) : dy[i];
    return { row, c, group, rstd, xhat, g };
  };
}

export const groupNormSumsReference: OpDef<SiluAttrs>["reference"] = (
  inputs,
  { silu },
  [type, , { shape: [, groups] }],
) => {
  const at = normalised(inputs, silu, type, groups);
  const sums = new Float64Array(2 * type.shape[0] * type.shape[1]);
  for (let i = 0; i < inputs[0].length; i++) {
    const { row, g, xhat } = at(i);
    sums[2 * row] += g;
    sums[2 * row + 1] += g * xhat;
  }
  return [sums];
};

export const groupNormTotalsReference: OpDef<GroupNormTotalsAttrs>["reference"] = (
  [sums, weight],
  { groups, pixels },
  [{ shape: [batch, channels] }],
) => {
  const groupChannels = channels / groups;
  const means = new Float64Array(2 * batch * groups);
  const [dweight, dbias] = [new Float64Array(channels), new Float64Array(channels)];
  for (let row = 0; row < batch * channels; row++) {
    const c = row % channels, group = Math.floor(row / groupChannels);
    for (const k of [0, 1]) {
      means[2 * group + k] += weight[c] * sums[2 * row + k] / (groupChannels * pixels);
    }
    dbias[c] += sums[2 * row];
    dweight[c] += sums[2 * row + 1];
  }
  return [means, dweight, dbias];
};

export const groupNormDataGradientReference: OpDef<SiluAttrs & Stored>["reference"] = (
  inputs,
  { silu },
  [type, , { shape: [, groups] }],
) => {
  const [weight, means] = [inputs[3], inputs[5]];
  const at = normalised(inputs, silu, type, groups);
  return [inputs[0].map((_, i) => {
    const { c, group, rstd, xhat, g } = at(i);
    return rstd * (weight[c] * g - means[2 * group] - xhat * means[2 * group + 1]);
  })];
};
