/** Convolution of images, and its gradients. */

import { input } from "../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../graph/op.ts";
import { show, sizeOf, type Tensor } from "../graph/tensor.ts";
import { f32, requireFloat } from "./common.ts";
import { BACKWARD_DATA_CASES, BACKWARD_WEIGHT_CASES, FORWARD_CASES } from "./conv2d/cases.ts";
import { backwardDataDirect, fastShape, forwardDirect } from "./conv2d/direct.ts";
import {
  backwardBias,
  backwardDataGeneric,
  backwardWeightGeneric,
  forwardGeneric,
} from "./conv2d/generic.ts";
import {
  convolutionFlops,
  geometry,
  type Padding,
  requireImage,
  requireOutput,
  sides,
} from "./conv2d/geometry.ts";
import {
  backwardDataReference,
  backwardWeightReference,
  forwardReference,
} from "./conv2d/reference.ts";
import { backwardWeightDirect } from "./conv2d/weight.ts";

export interface Conv2dOptions {
  /** [Co] */
  readonly bias?: Tensor;
  readonly stride?: number;
  /** Zeros around x: all sides alike, or [top, left, bottom, right]. */
  readonly padding?: Padding;
}

/**
 * Cross-correlation, as torch.nn.functional.conv2d: x [N,Ci,H,W], weight [Co,Ci,Kh,Kw] →
 * [N,Co,Ho,Wo].
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  const { bias, stride = 1, padding = 0 } = options;
  const inputs = bias ? [x, weight, bias] : [x, weight];
  return x.graph.append(conv2dOp, inputs, { stride, padding: sides(padding) })[0];
}

export const conv2dOp: OpDef = {
  name: "conv2d",
  infer([x, weight, bias], { stride, padding }) {
    requireImage("x", x);
    requireImage("weight", weight);
    const { n, co, ho, wo } = geometry(x.shape, weight.shape, stride, padding);
    if (bias) {
      requireFloat("bias", bias);
      if (bias.shape.length !== 1 || bias.shape[0] !== co) {
        throw new Error(`${show("bias", bias)} must be [${co}]: weight [${weight.shape}]`);
      }
    }
    return [{ shape: [n, co, ho, wo], dtype: "f32" }];
  },
  vjp({ inputs: [x, weight, bias], attrs: { stride, padding } }, [dy], needs) {
    const { graph } = x;
    return [
      needs[0]
        ? graph.append(conv2dBackwardDataOp, [dy!, weight], {
          stride,
          padding,
          inputShape: [...x.shape],
        })[0]
        : undefined,
      needs[1]
        ? graph.append(conv2dBackwardWeightOp, [x, dy!], {
          stride,
          padding,
          weightShape: [...weight.shape],
        })[0]
        : undefined,
      ...(bias ? [needs[2] ? graph.append(conv2dBackwardBiasOp, [dy!])[0] : undefined] : []),
    ];
  },
  reference([x, weight, bias], { stride, padding }, [xType, weightType]) {
    const g = geometry(xType.shape, weightType.shape, stride, padding);
    return [forwardReference(g, x, weight, bias)];
  },
  lower({ inputs: [x, weight, bias], attrs: { stride, padding }, device }) {
    const g = geometry(x.shape, weight.shape, stride, padding);
    const shape = fastShape(g, device);
    const sources = [{ ref: input(0), channels: g.ci }];
    return [
      ...(shape ? [forwardDirect(g, shape, sources, input(1), { bias: bias && input(2) })] : []),
      forwardGeneric(g, bias !== undefined),
    ];
  },
  cost: (inputs, outputs, { stride, padding }) => ({
    flops: convolutionFlops(geometry(inputs[0].shape, inputs[1].shape, stride, padding)) +
      (inputs[2] ? sizeOf(outputs[0].shape) : 0),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: FORWARD_CASES,
};

/** dL/dx from dL/dy and the weight; attrs: stride, padding, inputShape. */
export const conv2dBackwardDataOp: OpDef = {
  name: "conv2d_backward_data",
  infer([dy, weight], { stride, padding, inputShape }) {
    requireImage("dy", dy);
    requireImage("weight", weight);
    requireOutput(dy, geometry(inputShape, weight.shape, stride, padding));
    return [{ shape: inputShape, dtype: "f32" }];
  },
  vjp: "non-differentiable",
  reference([dy, weight], { stride, padding, inputShape }, [_, weightType]) {
    const g = geometry(inputShape, weightType.shape, stride, padding);
    return [backwardDataReference(g, dy, weight)];
  },
  lower({ inputs: [_, weight], attrs: { stride, padding, inputShape }, device }) {
    const g = geometry(inputShape, weight.shape, stride, padding);
    const shape = fastShape(g, device);
    return [...(shape ? [backwardDataDirect(g, shape)] : []), backwardDataGeneric(g)];
  },
  cost: (inputs, outputs, { stride, padding, inputShape }) => ({
    flops: convolutionFlops(geometry(inputShape, inputs[1].shape, stride, padding)),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: BACKWARD_DATA_CASES,
};

/** dL/dweight from x and dL/dy; attrs: stride, padding, weightShape. */
export const conv2dBackwardWeightOp: OpDef = {
  name: "conv2d_backward_weight",
  infer([x, dy], { stride, padding, weightShape }) {
    requireImage("x", x);
    requireImage("dy", dy);
    requireOutput(dy, geometry(x.shape, weightShape, stride, padding));
    return [{ shape: weightShape, dtype: "f32" }];
  },
  vjp: "non-differentiable",
  reference([x, dy], { stride, padding, weightShape }, [xType]) {
    return [backwardWeightReference(geometry(xType.shape, weightShape, stride, padding), x, dy)];
  },
  lower({ inputs: [x], attrs: { stride, padding, weightShape }, device }) {
    const g = geometry(x.shape, weightShape, stride, padding);
    const shape = fastShape(g, device);
    return [...(shape ? [backwardWeightDirect(g, shape)] : []), backwardWeightGeneric(g)];
  },
  cost: (inputs, outputs, { stride, padding, weightShape }) => ({
    flops: convolutionFlops(geometry(inputs[0].shape, weightShape, stride, padding)),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: BACKWARD_WEIGHT_CASES,
};

/** dL/dbias from dL/dy: the sum over images and pixels. */
export const conv2dBackwardBiasOp: OpDef = {
  name: "conv2d_backward_bias",
  infer([dy]) {
    requireImage("dy", dy);
    return [{ shape: [dy.shape[1]], dtype: "f32" }];
  },
  vjp: "non-differentiable",
  reference([dy], _, [{ shape: [_n, co, h, w] }]) {
    const sums = new Float64Array(co);
    dy.forEach((v, i) => sums[Math.floor(i / (h * w)) % co] += v);
    return [sums];
  },
  lower: ({ inputs: [dy] }) => [backwardBias(dy.shape)],
  cost: (inputs, outputs) => ({
    flops: sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Sums in blocks of 64, relative to a sum of random signs.
  cases: [
    { name: "odd", inputs: [f32(3, 6, 5, 17)], attrs: {}, tolerance: 1e-6 },
    { name: "large", inputs: [f32(8, 5, 128, 128)], attrs: {}, tolerance: 2e-6 },
  ],
};
