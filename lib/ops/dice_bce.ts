/** The loss of a segmentation: binary cross entropy and soft Dice of logits against a mask. */

import { gridFor, input, output } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { show, sizeOf, type Tensor, type TensorType } from "../graph/tensor.ts";
import { ELEMENTWISE, f32, kernel, only, requireFloat, requireSame } from "./common.ts";
import sumsText from "../../kernels/dice_bce/sums.wgsl" with { type: "text" };
import sumsBackwardText from "../../kernels/dice_bce/sums_backward.wgsl" with { type: "text" };
import lossText from "../../kernels/dice_bce/loss.wgsl" with { type: "text" };
import lossBackwardText from "../../kernels/dice_bce/loss_backward.wgsl" with { type: "text" };

const SUMS = kernel("dice_bce/sums.wgsl", sumsText);
const SUMS_BACKWARD = kernel("dice_bce/sums_backward.wgsl", sumsBackwardText);
const LOSS = kernel("dice_bce/loss.wgsl", lossText);
const LOSS_BACKWARD = kernel("dice_bce/loss_backward.wgsl", lossBackwardText);

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

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
const perImage = ({ shape }: TensorType) => sizeOf(shape) / shape[0];

const target = (...shape: number[]) => ({
  ...f32(...shape),
  fill: { kind: "uniform", low: 0, high: 1 } as const,
});
const EDGES = [-200, -90, -20, -1e-3, 0, 1e-3, 20, 90, 200];
const MASKS: readonly Omit<OpCase, "tolerance">[] = [
  { name: "odd", inputs: [f32(3, 1, 6, 17), target(3, 1, 6, 17)], attrs: {} },
  { name: "one pixel", inputs: [f32(2, 1), target(2, 1)], attrs: {} },
  { name: "64 x 64", inputs: [f32(4, 1, 64, 64), target(4, 1, 64, 64)], attrs: {} },
  {
    name: "edges",
    inputs: [{ ...f32(1, 9), fill: { kind: "values", values: EDGES } }, target(1, 9)],
    attrs: {},
    checkGradient: false, // differences see nothing where the sigmoid is flat
  },
];

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
  reference([logits, mask], _, [type]) {
    const per = perImage(type), out = new Float64Array(type.shape[0] * 4);
    logits.forEach((z, i) => {
      const t = mask[i], p = sigmoid(z), at = Math.floor(i / per) * 4;
      out[at] += Math.max(z, 0) - z * t + Math.log1p(Math.exp(-Math.abs(z)));
      out[at + 1] += p * t;
      out[at + 2] += p;
      out[at + 3] += t;
    });
    return [out];
  },
  lower: ({ inputs: [logits] }) =>
    only("a workgroup an image", () => ({
      calls: [{
        kernel: SUMS,
        params: { per_image: perImage(logits) },
        bindings: { logits: input(0), target_values: input(1), sums: output() },
        workgroups: [logits.shape[0], 1, 1],
      }],
    })),
  cost: (inputs, outputs) => ({
    flops: 15 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Positive terms; WGSL allows exp 3 ULP and more, log 3.
  cases: MASKS.map((c) => ({ ...c, tolerance: 1e-6 })),
};

export const diceBceSumsBackwardOp: OpDef = {
  name: "dice_bce_sums_backward",
  infer([logits, mask, dsums]) {
    const [sums] = diceBceSumsOp.infer([logits, mask], {});
    requireSame("dsums", dsums, "sums", sums);
    return [logits];
  },
  vjp: "non-differentiable",
  reference([logits, mask, dsums], _, [type]) {
    const per = perImage(type);
    return [logits.map((z, i) => {
      const t = mask[i], p = sigmoid(z), at = Math.floor(i / per) * 4;
      return dsums[at] * (p - t) + (dsums[at + 1] * t + dsums[at + 2]) * p * sigmoid(-z);
    })];
  },
  lower({ inputs: [logits] }) {
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
  },
  cost: (inputs, outputs) => ({
    flops: 14 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: MASKS.map((c): OpCase => ({
    ...c,
    inputs: [...c.inputs, f32(c.inputs[0].shape[0], 4)],
    tolerance: 1e-6,
  })),
};

const SUMS_OF = [1, 5, 300].map((images) => ({
  name: `${images} images`,
  inputs: [{ ...f32(images, 4), fill: { kind: "uniform", low: 0, high: 40 } as const }],
  attrs: { count: 50 * images },
}));

export const diceBceOp: OpDef = {
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
  reference([sums], { count }) {
    const images = sums.length / 4;
    let loss = 0;
    for (let n = 0; n < images; n++) {
      const [b, i, p, t] = sums.subarray(4 * n, 4 * n + 4);
      loss += b / count + (1 - (2 * i + 1) / (p + t + 1)) / images;
    }
    return [Float64Array.of(loss)];
  },
  lower: ({ inputs: [{ shape: [images] }], attrs: { count } }) =>
    only("a chain", () => ({
      calls: [{
        kernel: LOSS,
        params: { images, inverse_count: 1 / count, inverse_images: 1 / images },
        bindings: { sums: input(0), loss: output() },
        workgroups: [1, 1, 1],
      }],
    })),
  cost: (inputs, outputs) => ({
    flops: 10 * inputs[0].shape[0],
    bytes: trafficOf(inputs, outputs),
  }),
  // A chain over at most 300 images of terms of like size.
  cases: SUMS_OF.map((c) => ({ ...c, tolerance: 4e-6 })),
};

export const diceBceBackwardOp: OpDef = {
  name: "dice_bce_backward",
  infer([sums, dloss]) {
    diceBceOp.infer([sums], {});
    requireSame("dloss", dloss, "one number", f32(1));
    return [sums];
  },
  vjp: "non-differentiable",
  reference([sums, [dloss]], { count }) {
    const images = sums.length / 4;
    return [sums.map((_, at) => {
      const n = at - at % 4, whole = sums[n + 2] + sums[n + 3] + 1;
      const u = (2 * sums[n + 1] + 1) / (images * whole ** 2);
      return dloss * [1 / count, -2 / (images * whole), u, u][at % 4];
    })];
  },
  lower: ({ inputs: [{ shape: [images] }], attrs: { count } }) =>
    only("elementwise", () => ({
      calls: [{
        kernel: LOSS_BACKWARD,
        params: { images, inverse_count: 1 / count, inverse_images: 1 / images },
        bindings: { sums: input(0), dloss: input(1), dsums: output() },
        workgroups: gridFor(images, ELEMENTWISE),
      }],
    })),
  cost: (inputs, outputs) => ({
    flops: 8 * inputs[0].shape[0],
    bytes: trafficOf(inputs, outputs),
  }),
  cases: SUMS_OF.map((c): OpCase => ({ ...c, inputs: [...c.inputs, f32(1)], tolerance: 1e-6 })),
};
