/** Clipping of all gradients by their global norm, without reading the norm back. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor, type TensorType } from "../../graph/tensor.ts";
import { f32, requireFloat } from "../common/checks.ts";
import { ADAMW_HYPER } from "../optimizer/shared.ts";
import { CLIP_BLOCK, type GradientClipAttrs } from "./shared.ts";
import { gradientClipReference } from "./reference.ts";
import { lowerGradientClip } from "./lower.ts";
import { gradientClipCases } from "./cases.ts";

/**
 * AdamW's hyper-parameters with the factor of the gradient lowered so that the global norm is at
 * most `maxNorm` (torch.nn.utils.clip_grad_norm_).
 *
 * @param g flat gradient [n], n a multiple of {@link CLIP_BLOCK}.
 * @param filled i32 [n / CLIP_BLOCK]: how many elements of each block count; see `filledBlocks`.
 * @param hyper [12] of `adamw`.
 * @returns [hyper' [12], the norm before clipping [1]].
 */
export function gradientClip(
  g: Tensor,
  filled: Tensor,
  hyper: Tensor,
  maxNorm: number,
): [clipped: Tensor, norm: Tensor] {
  const [clipped, norm] = g.graph.append(gradientClipOp, [g, filled, hyper], { maxNorm });
  return [clipped, norm];
}

/** @throws where the flat gradient, its `filled` and AdamW's hyper-parameters do not fit. */
export function requireGradient(g: TensorType, filled: TensorType, hyper: TensorType): void {
  requireFloat("g", g);
  const size = sizeOf(g.shape);
  if (filled.dtype !== "i32" || sizeOf(filled.shape) * CLIP_BLOCK !== size) {
    throw new Error(
      `filled [${filled.shape}] ${filled.dtype} must be i32 [${size / CLIP_BLOCK}] ` +
        `for a gradient of ${size} elements`,
    );
  }
  if (sizeOf(hyper.shape) !== ADAMW_HYPER) {
    throw new Error(`hyper [${hyper.shape}] must be [${ADAMW_HYPER}]`);
  }
}

export const gradientClipOp: OpDef<GradientClipAttrs> = {
  name: "gradient_clip",
  infer([g, filled, hyper]) {
    requireGradient(g, filled, hyper);
    return [f32(ADAMW_HYPER), f32(1)];
  },
  vjp: "non-differentiable",
  reference: gradientClipReference,
  lower: lowerGradientClip,
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: gradientClipCases,
};
