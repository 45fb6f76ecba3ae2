/** guidance: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";

export const guidanceReference: OpDef["reference"] = ([both, [s]]) => {
  const half = both.length / 2;
  return [both.slice(0, half).map((c, i) => both[half + i] + s * (c - both[half + i]))];
};

export const guidanceRescaleReference: OpDef["reference"] = (
  [e, both, own, [amount]],
  _,
  [type],
) => {
  const per = e.length / type.shape[0];
  return [e.map((v, i) => {
    const at = 2 * Math.floor(i / per) + 1;
    return v * (amount * own[at] / both[at] + 1 - amount);
  })];
};
