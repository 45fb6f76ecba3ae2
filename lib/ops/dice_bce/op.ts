/** The loss of a segmentation: binary cross entropy and soft Dice of logits against a mask. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { show, sizeOf, type Tensor } from "../../graph/tensor.ts";
import { f32, requireFloat, requireSame } from "../common/checks.ts";
import {
  diceBceBackwardReference,
  diceBceReference,
  diceBceSumsBackwardReference,
  diceBceSumsReference,
} from "./reference.ts";
import {
  lowerDiceBce,
  lowerDiceBceBackward,
  lowerDiceBceSums,
  lowerDiceBceSumsBackward,
} from "./lower.ts";
import {
  diceBceBackwardCases,
  diceBceCases,
  diceBceSumsBackwardCases,
  diceBceSumsCases,
} from "./cases.ts";
import type { DiceBceAttrs } from "./shared.ts";

/**
 * [1]: the mean binary cross entropy of sigmoid(logits) against `target`, plus the mean over images of
 * 1 − (2·Σpt + 1)/(Σp + Σt + 1). Both tensors [N, …]; the target's values in [0, 1].
 *
 * @example
 * const loss = diceBce(logits, mask); // logits and mask [8, 1, 64, 64]
 */
export function diceBce(logits: Tensor, target: Tensor): Tensor {
  const [sums] = logits.graph.append(diceBceSumsOp, [logits, target]);
  return logits.graph.append(diceBceOp, [sums], { count: sizeOf(logits.shape) })[0];
}

export const diceBceSumsOp: OpDef = {
  name: "dice_bce_sums",
  infer([logits, mask]) {
    requireFloat("logits", logits);
    requireFloat("target", mask);
    requireSame("target", mask, "logits", logits);
    if (logits.shape.length < 2) throw new Error(`${show("logits", logits)} must be [N, …]`);
    return [f32(logits.shape[0], 4)];
  },
  // The target is data, never a parameter.
  vjp: ({ inputs: [logits, mask] }, [dsums], [needed]) => [
    needed ? logits.graph.append(diceBceSumsBackwardOp, [logits, mask, dsums!])[0] : undefined,
    undefined,
  ],
  reference: diceBceSumsReference,
  lower: lowerDiceBceSums,
  cost: (inputs, outputs) => ({
    flops: 15 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: diceBceSumsCases,
};

export const diceBceSumsBackwardOp: OpDef = {
  name: "dice_bce_sums_backward",
  infer([logits, mask, dsums]) {
    const [sums] = diceBceSumsOp.infer([logits, mask], {});
    requireSame("dsums", dsums, "sums", sums);
    return [logits];
  },
  vjp: "non-differentiable",
  reference: diceBceSumsBackwardReference,
  lower: lowerDiceBceSumsBackward,
  cost: (inputs, outputs) => ({
    flops: 14 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: diceBceSumsBackwardCases,
};

export const diceBceOp: OpDef<DiceBceAttrs> = {
  name: "dice_bce",
  infer([sums]) {
    requireFloat("sums", sums);
    if (sums.shape.length !== 2 || sums.shape[1] !== 4) {
      throw new Error(`${show("sums", sums)} must be [N,4]`);
    }
    return [f32(1)];
  },
  vjp: ({ inputs: [sums], attrs }, [dloss]) => [
    sums.graph.append(diceBceBackwardOp, [sums, dloss!], attrs)[0],
  ],
  reference: diceBceReference,
  lower: lowerDiceBce,
  cost: (inputs, outputs) => ({
    flops: 10 * inputs[0].shape[0],
    bytes: trafficOf(inputs, outputs),
  }),
  cases: diceBceCases,
};

export const diceBceBackwardOp: OpDef<DiceBceAttrs> = {
  name: "dice_bce_backward",
  infer([sums, dloss], attrs) {
    diceBceOp.infer([sums], attrs);
    requireSame("dloss", dloss, "one number", f32(1));
    return [sums];
  },
  vjp: "non-differentiable",
  reference: diceBceBackwardReference,
  lower: lowerDiceBceBackward,
  cost: (inputs, outputs) => ({
    flops: 8 * inputs[0].shape[0],
    bytes: trafficOf(inputs, outputs),
  }),
  cases: diceBceBackwardCases,
};
