/** channel: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";

export const addChannelReference: OpDef["reference"] = (
  [x, v],
  _,
  [{ shape: [, , height, width] }],
) => {
  return [x.map((a, i) => a + v[Math.floor(i / (height * width))])];
};

export const sumSpatialReference: OpDef["reference"] = (
  [x],
  _,
  [{ shape: [batch, channels, height, width] }],
) => {
  const [y, total] = [new Float64Array(batch * channels), new Float64Array(channels)];
  x.forEach((v, i) => y[Math.floor(i / (height * width))] += v);
  y.forEach((v, i) => total[i % channels] += v);
  return [y, total];
};

export const sumBatchReference: OpDef["reference"] = ([x], _, [{ shape: [, channels] }]) => {
  const y = new Float64Array(channels);
  x.forEach((v, i) => y[i % channels] += v);
  return [y];
};
