/** dice_bce: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { type DiceBceAttrs, perImage } from "./shared.ts";

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

export const diceBceSumsReference: OpDef["reference"] = ([logits, mask], _, [type]) => {
  const per = perImage(type), out = new Float64Array(type.shape[0] * 4);
  logits.forEach((z, i) => {
    const t = mask[i], p = sigmoid(z), at = Math.floor(i / per) * 4;
    out[at] += Math.max(z, 0) - z * t + Math.log1p(Math.exp(-Math.abs(z)));
    out[at + 1] += p * t;
    out[at + 2] += p;
    out[at + 3] += t;
  });
  return [out];
};

export const diceBceSumsBackwardReference: OpDef["reference"] = (
  [logits, mask, dsums],
  _,
  [type],
) => {
  const per = perImage(type);
  return [logits.map((z, i) => {
    const t = mask[i], p = sigmoid(z), at = Math.floor(i / per) * 4;
    return dsums[at] * (p - t) + (dsums[at + 1] * t + dsums[at + 2]) * p * sigmoid(-z);
  })];
};

export const diceBceReference: OpDef<DiceBceAttrs>["reference"] = ([sums], { count }) => {
  const images = sums.length / 4;
  let loss = 0;
  for (let n = 0; n < images; n++) {
    const [b, i, p, t] = sums.subarray(4 * n, 4 * n + 4);
    loss += b / count + (1 - (2 * i + 1) / (p + t + 1)) / images;
  }
  return [Float64Array.of(loss)];
};

export const diceBceBackwardReference: OpDef<DiceBceAttrs>["reference"] = (
  [sums, [dloss]],
  { count },
) => {
  const images = sums.length / 4;
  return [sums.map((_, at) => {
    const n = at - at % 4, whole = sums[n + 2] + sums[n + 3] + 1;
    const u = (2 * sums[n + 1] + 1) / (images * whole ** 2);
    return dloss * [1 / count, -2 / (images * whole), u, u][at % 4];
  })];
};
