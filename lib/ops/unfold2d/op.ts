/** The pixels that a convolution sums, laid out one under another (im2col). Inference only. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { show, type Tensor } from "../../graph/tensor.ts";
import { f32, requireFloat, requireRank } from "../common/checks.ts";
import { flatPlane, requireFlat } from "../common/flat.ts";
import { convolvedSize, type Unfold2dOptions } from "./shared.ts";
import { unfold2dReference } from "./reference.ts";
import { lowerUnfold2d } from "./lower.ts";
import { unfold2dCases } from "./cases.ts";

/**
 * x [N,C,H,W], or its flat planes (see flat.ts) → flat planes [N, C·Kh·Kw, 1, P] of the Ho·Wo pixels
 * of a convolution with that window, in the order of a weight [Co,C,Kh,Kw].
 */
export function unfold2d(x: Tensor, { size, window, stride, padding }: Unfold2dOptions): Tensor {
  return x.graph.append(unfold2dOp, [x], { size, window, stride, padding })[0];
}

export const unfold2dOp: OpDef<Unfold2dOptions> = {
  name: "unfold2d",
  infer([x], attrs) {
    const { size, window, stride, padding } = attrs;
    requireFloat("x", x);
    requireRank("x", x, 4);
    requireFlat(x, size);
    if (![...window, stride].every((v) => Number.isInteger(v) && v > 0)) {
      throw new Error(`window [${window}] and stride ${stride} must be whole and positive`);
    }
    if (!padding.every((v) => Number.isInteger(v) && v >= 0)) {
      throw new Error(`padding [${padding}] must be whole numbers from 0`);
    }
    const [height, width] = convolvedSize(attrs);
    if (height < 1 || width < 1) {
      throw new Error(`window [${window}] must fit in the images [${size}] of ${show("x", x)}`);
    }
    const [n, c] = x.shape;
    return [f32(n, c * window[0] * window[1], 1, flatPlane(height * width))];
  },
  vjp: "non-differentiable",
  reference: unfold2dReference,
  lower: lowerUnfold2d,
  cost: (inputs, outputs) => ({ flops: 0, bytes: trafficOf(inputs, outputs) }),
  cases: unfold2dCases,
};
