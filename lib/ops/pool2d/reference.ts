/** pool2d: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { sizeOf, type TensorType } from "../../graph/tensor.ts";
import { type Pool2dAttrs, sizes } from "./geometry.ts";

/** Folds the pixels of every window that are inside x; `done` gets the fold and their number. */
function fold(
  x: Float64Array,
  from: TensorType,
  to: TensorType,
  attrs: Pool2dAttrs,
  start: number,
  step: (so_far: number, value: number) => number,
  done: (folded: number, count: number) => number,
): Float64Array {
  const { window, stride, padding } = attrs;
  const { h, w, height, width, pitch, plane, outPlane } = sizes(from, attrs);
  const y = new Float64Array(sizeOf(to.shape));
  for (let at = 0; at < y.length; at++) {
    const base = Math.floor(at / outPlane) * plane, pixel = at % outPlane;
    if (pixel >= height * width) continue;
    const top = Math.floor(pixel / width) * stride - padding;
    const left = pixel % width * stride - padding;
    let folded = start, count = 0;
    for (let r = Math.max(0, top); r < Math.min(h, top + window[0]); r++) {
      for (let k = Math.max(0, left); k < Math.min(w, left + window[1]); k++) {
        folded = step(folded, x[base + r * pitch + k]);
        count++;
      }
    }
    y[at] = done(folded, count);
  }
  return y;
}

export const maxPool2dReference: OpDef<Pool2dAttrs>["reference"] = ([x], attrs, [from], [to]) => [
  fold(x, from, to, attrs, -Infinity, Math.max, (v) => v),
];

export const averagePool2dReference: OpDef<Pool2dAttrs>["reference"] = (
  [x],
  attrs,
  [from],
  [to],
) => [fold(x, from, to, attrs, 0, (a, b) => a + b, (sum, count) => sum / count)];
