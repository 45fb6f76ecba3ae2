/** upsample: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import type { Stored } from "../common/checks.ts";

export const upsampleNearest2xReference: OpDef<Stored>["reference"] = (
  [x],
  _,
  [{ shape: [, , , width] }],
  [{ shape: out }],
) => {
  return [
    new Float64Array(sizeOf(out)).map((_, i) => {
      const column = i % (2 * width), row = Math.floor(i / (2 * width));
      return x[(row >> 1) * width + (column >> 1)];
    }),
  ];
};

export const upsampleNearest2xBackwardReference: OpDef["reference"] = (
  [dy],
  _,
  [{ shape: [, , , wide] }],
  [{ shape: out }],
) => {
  const width = wide / 2;
  return [
    new Float64Array(sizeOf(out)).map((_, i) => {
      const at = 2 * Math.floor(i / width) * wide + 2 * (i % width);
      return dy[at] + dy[at + 1] + dy[at + wide] + dy[at + wide + 1];
    }),
  ];
};
