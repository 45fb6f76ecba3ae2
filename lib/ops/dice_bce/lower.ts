/** dice_bce: kernel calls, the variants to choose from. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import { type DiceBceAttrs, perImage } from "./shared.ts";
import sumsText from "../../../kernels/dice_bce/sums.wgsl" with { type: "text" };
import sumsBackwardText from "../../../kernels/dice_bce/sums_backward.wgsl" with { type: "text" };
import lossText from "../../../kernels/dice_bce/loss.wgsl" with { type: "text" };
import lossBackwardText from "../../../kernels/dice_bce/loss_backward.wgsl" with { type: "text" };

const SUMS = kernel("dice_bce/sums.wgsl", sumsText);

const SUMS_BACKWARD = kernel("dice_bce/sums_backward.wgsl", sumsBackwardText);

const LOSS = kernel("dice_bce/loss.wgsl", lossText);

const LOSS_BACKWARD = kernel("dice_bce/loss_backward.wgsl", lossBackwardText);

export const lowerDiceBceSums: OpDef["lower"] = ({ inputs: [logits] }) =>
  only("a workgroup an image", () => ({
    calls: [{
      kernel: SUMS,
      params: { per_image: perImage(logits) },
      bindings: { logits: input(0), target_values: input(1), sums: output() },
      workgroups: [logits.shape[0], 1, 1],
    }],
  }));

export const lowerDiceBceSumsBackward: OpDef["lower"] = ({ inputs: [logits] }) => {
  const count = sizeOf(logits.shape);
  return only("elementwise", () => ({
    calls: [{
      kernel: SUMS_BACKWARD,
      params: { count, per_image: perImage(logits) },
      bindings: {
        logits: input(0),
        target_values: input(1),
        dsums: input(2),
        dlogits: output(),
      },
      workgroups: gridFor(count, ELEMENTWISE),
    }],
  }));
};

export const lowerDiceBce: OpDef<DiceBceAttrs>["lower"] = (
  { inputs: [{ shape: [images] }], attrs: { count } },
) =>
  only("a chain", () => ({
    calls: [{
      kernel: LOSS,
      params: { images, inverse_count: 1 / count, inverse_images: 1 / images },
      bindings: { sums: input(0), loss: output() },
      workgroups: [1, 1, 1],
    }],
  }));

export const lowerDiceBceBackward: OpDef<DiceBceAttrs>["lower"] = (
  { inputs: [{ shape: [images] }], attrs: { count } },
) =>
  only("elementwise", () => ({
    calls: [{
      kernel: LOSS_BACKWARD,
      params: { images, inverse_count: 1 / count, inverse_images: 1 / images },
      bindings: { sums: input(0), dloss: input(1), dsums: output() },
      workgroups: gridFor(images, ELEMENTWISE),
    }],
  }));
