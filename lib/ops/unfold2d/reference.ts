/** unfold2d: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { sizeOf, type TensorType } from "../../graph/tensor.ts";
import { convolvedSize, type Unfold2dOptions } from "./shared.ts";

export const unfold2dReference: OpDef<Unfold2dOptions>["reference"] = (
  [x],
  attrs,
  [from],
  [to],
) => {
  const { size: [h, w], window: [kh, kw], stride, padding } = attrs;
  const [height, width] = convolvedSize(attrs);
  const [plane, outPlane] = [from, to].map(({ shape }: TensorType) => shape[2] * shape[3]);
  const y = new Float64Array(sizeOf(to.shape));
  for (let at = 0; at < y.length; at++) {
    const row = Math.floor(at / outPlane), pixel = at % outPlane;
    if (pixel >= height * width) continue;
    const tap = row % (kh * kw);
    const r = Math.floor(pixel / width) * stride + Math.floor(tap / kw) - padding[0];
    const c = pixel % width * stride + tap % kw - padding[1];
    if (r < 0 || r >= h || c < 0 || c >= w) continue;
    y[at] = x[Math.floor(row / (kh * kw)) * plane + r * w + c];
  }
  return [y];
};
