/** A value per image and channel added to its pixels, and the sums that are its gradient. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sameShape, show, sizeOf, type Tensor } from "../../graph/tensor.ts";
import { f32, requireFloat, requireRank, requireStored } from "../common/checks.ts";
import { requireLoop } from "../common/vectorized_access.ts";
import { addChannelReference, sumBatchReference, sumSpatialReference } from "./reference.ts";
import { lowerAddChannel, lowerSumBatch, lowerSumSpatial } from "./lower.ts";
import { addChannelCases, sumBatchCases, sumSpatialCases } from "./cases.ts";

/** x [N,C,H,W] + v [N,C], the same for all pixels. */
export function addChannel(x: Tensor, v: Tensor): Tensor {
  return x.graph.append(addChannelOp, [x, v])[0];
}

/** [N,C]: the sum of each channel of x [N,C,H,W]. */
export function sumSpatial(x: Tensor): Tensor {
  return x.graph.append(sumSpatialOp, [x])[0];
}

/** [C]: the sum of each channel of all images of x [N,C,H,W]. */
export function sumChannels(x: Tensor): Tensor {
  return x.graph.append(sumSpatialOp, [x])[1];
}

export const addChannelOp: OpDef = {
  name: "add_channel",
  infer([x, v]) {
    requireStored("x", x);
    requireRank("x", x, 4);
    requireFloat("v", v);
    if (!sameShape(v.shape, x.shape.slice(0, 2))) {
      throw new Error(`${show("v", v)} must be [${x.shape.slice(0, 2)}], for ${show("x", x)}`);
    }
    return [x];
  },
  half: () => [{ inputs: [0], outputs: [0] }],
  vjp: (_, [dy], needs) => [dy, needs[1] ? sumSpatial(dy!) : undefined],
  reference: addChannelReference,
  lower: lowerAddChannel,
  cost: (inputs, outputs) => ({
    flops: sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: addChannelCases,
};

/** Of x [N,C,H,W]: the sums of each image's channels [N,C], and of the channels of all [C]. */
export const sumSpatialOp: OpDef = {
  name: "sum_spatial",
  infer([x]) {
    requireStored("x", x);
    requireRank("x", x, 4);
    requireLoop("17/16 of the batch", Math.ceil(x.shape[0] * 17 / 16));
    return [f32(x.shape[0], x.shape[1]), f32(x.shape[1])];
  },
  half: () => [{ inputs: [0] }],
  vjp: "non-differentiable",
  reference: sumSpatialReference,
  lower: lowerSumSpatial,
  cost: (inputs, outputs) => ({
    flops: sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: sumSpatialCases,
};

/** [C]: the sum over the batch of x [N,C]. */
export const sumBatchOp: OpDef = {
  name: "sum_batch",
  infer([x]) {
    requireFloat("x", x);
    requireRank("x", x, 2);
    requireLoop("17/16 of the batch", Math.ceil(x.shape[0] * 17 / 16));
    return [f32(x.shape[1])];
  },
  vjp: "non-differentiable",
  reference: sumBatchReference,
  lower: lowerSumBatch,
  cost: (inputs, outputs) => ({
    flops: sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: sumBatchCases,
};
