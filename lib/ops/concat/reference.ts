/** concat: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { type ConcatAttrs, type SliceAttrs, split } from "./shared.ts";

export const concatReference: OpDef<ConcatAttrs>["reference"] = (
  inputs,
  { axis },
  types,
  [type],
) => {
  const { rows, unit } = split(type, axis);
  const y = new Float64Array(sizeOf(type.shape));
  let at = 0;
  for (let r = 0; r < rows; r++) {
    inputs.forEach((x, i) => {
      const count = types[i].shape[axis] * unit;
      y.set(x.subarray(r * count, (r + 1) * count), at);
      at += count;
    });
  }
  return [y];
};

export const sliceReference: OpDef<SliceAttrs>["reference"] = (
  [x],
  { axis, start },
  [from],
  [to],
) => {
  const { rows, unit } = split(to, axis);
  const [stride, count] = [from.shape[axis] * unit, to.shape[axis] * unit];
  const y = new Float64Array(rows * count);
  for (let r = 0; r < rows; r++) {
    const at = r * stride + start * unit;
    y.set(x.subarray(at, at + count), r * count);
  }
  return [y];
};

export const sliceBackwardReference: OpDef<SliceAttrs>["reference"] = (
  [dy],
  { axis, start },
  [from],
  [to],
) => {
  const { rows, unit } = split(to, axis);
  const [count, stride] = [from.shape[axis] * unit, to.shape[axis] * unit];
  const dx = new Float64Array(rows * stride);
  for (let r = 0; r < rows; r++) {
    dx.set(dy.subarray(r * count, (r + 1) * count), r * stride + start * unit);
  }
  return [dx];
};
