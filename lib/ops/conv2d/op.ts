/** Convolution of images, and its gradients. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { sumChannels } from "../channel/op.ts";
import { f32, storedType } from "../common/checks.ts";
import { BACKWARD_DATA_CASES, BACKWARD_WEIGHT_CASES, FORWARD_CASES } from "./cases.ts";
import { addExtras, extrasOf, halfTensors, requireExtras, rereads } from "./extras.ts";
import {
  type Conv2dAttrs,
  type Conv2dBackwardDataAttrs,
  type Conv2dBackwardWeightAttrs,
  convolutionFlops,
  geometry,
  type Padding,
  requireImage,
  requireOutput,
  requireWeight,
  sides,
} from "./geometry.ts";
import { backwardDataReference, backwardWeightReference, forwardReference } from "./reference.ts";
import { lowerConv2d, lowerConv2dBackwardData, lowerConv2dBackwardWeight } from "./lower.ts";

/** How {@link conv2d} walks over its input. */
export interface Conv2dOptions {
  /** [Co]; none by default. */
  readonly bias?: Tensor;
  /** Pixels from one output to the next; 1 by default. */
  readonly stride?: number;
  /** Zeros around x: all sides alike, or [top, left, bottom, right]. */
  readonly padding?: Padding;
}

/**
 * Cross-correlation, as torch.nn.functional.conv2d: x [N,Ci,H,W], weight [Co,Ci,Kh,Kw] →
 * [N,Co,Ho,Wo].
 *
 * @example
 * ```ts
 * import { conv2d, f32, Graph, interpret, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 1, 2, 2)), w = g.input("w", f32(1, 1, 2, 2));
 * g.output("y", conv2d(x, w));
 * interpret(g, OPS, { x: [1, 2, 3, 4], w: [1, 0, 0, 1] }).outputs.get("y"); // [5]
 * ```
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  const { bias, stride = 1, padding = 0 } = options;
  return x.graph.append(conv2dOp, bias ? [x, weight, bias] : [x, weight], {
    stride,
    padding: sides(padding),
    extras: bias ? ["bias"] : [],
  })[0];
}

export const conv2dOp: OpDef<Conv2dAttrs> = {
  name: "conv2d",
  infer(inputs, attrs) {
    const [x, weight] = inputs;
    requireImage("x", x);
    requireWeight(weight);
    const { n, co, ho, wo } = geometry(x.shape, weight.shape, attrs.stride, attrs.padding);
    requireExtras(inputs, attrs, [n, co, ho, wo]);
    return [{ shape: [n, co, ho, wo], dtype: storedType(attrs) }];
  },
  half: halfTensors,
  vjp({ inputs: [x, weight, bias], attrs }, [dy], needs) {
    const { graph } = x;
    const { stride, padding } = attrs;
    if (extrasOf(attrs).some((name) => name !== "bias")) {
      throw new Error("Cannot differentiate a fused conv2d: fuse after differentiation");
    }
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
      ...(bias ? [needs[2] ? sumChannels(dy!) : undefined] : []),
    ];
  },
  reference(inputs, attrs, [x, weight], [y]) {
    const g = geometry(x.shape, weight.shape, attrs.stride, attrs.padding);
    return [addExtras(forwardReference(g, inputs[0], inputs[1]), inputs, attrs, y.shape)];
  },
  lower: lowerConv2d,
  cost: (inputs, outputs, { stride, padding }) => ({
    flops: convolutionFlops(geometry(inputs[0].shape, inputs[1].shape, stride, padding)) +
      (inputs.length - 2) * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: FORWARD_CASES,
};

/**
 * dL/dx from dL/dy and the weight; attrs: stride, padding, inputShape, extras (a residual at most).
 */
export const conv2dBackwardDataOp: OpDef<Conv2dBackwardDataAttrs> = {
  name: "conv2d_backward_data",
  infer(inputs, attrs) {
    const [dy, weight] = inputs;
    const { stride, padding, inputShape } = attrs;
    requireImage("dy", dy);
    requireWeight(weight);
    requireOutput(dy, geometry(inputShape, weight.shape, stride, padding));
    requireExtras(inputs, attrs, inputShape);
    return [{ shape: inputShape, dtype: storedType(attrs) }];
  },
  half: halfTensors,
  vjp: "non-differentiable",
  reference(inputs, attrs, [_, weight]) {
    const { stride, padding, inputShape } = attrs;
    const g = geometry(inputShape, weight.shape, stride, padding);
    return [addExtras(backwardDataReference(g, inputs[0], inputs[1]), inputs, attrs, inputShape)];
  },
  lower: lowerConv2dBackwardData,
  cost: (inputs, outputs, { stride, padding, inputShape }) => ({
    flops: convolutionFlops(geometry(inputShape, inputs[1].shape, stride, padding)) +
      (inputs.length - 2) * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: BACKWARD_DATA_CASES,
};

/** dL/dweight from x and dL/dy; attrs: stride, padding, weightShape. */
export const conv2dBackwardWeightOp: OpDef<Conv2dBackwardWeightAttrs> = {
  name: "conv2d_backward_weight",
  infer([x, dy], { stride, padding, weightShape }) {
    requireImage("x", x);
    requireImage("dy", dy);
    requireOutput(dy, geometry(x.shape, weightShape, stride, padding));
    return [f32(...weightShape)];
  },
  half(attrs) {
    const reread = rereads(attrs, attrs.weightShape);
    return [{ inputs: [0], rereads: reread }, { inputs: [1], rereads: reread }];
  },
  vjp: "non-differentiable",
  reference([x, dy], { stride, padding, weightShape }, [xType]) {
    return [backwardWeightReference(geometry(xType.shape, weightShape, stride, padding), x, dy)];
  },
  lower: lowerConv2dBackwardWeight,
  cost: (inputs, outputs, { stride, padding, weightShape }) => ({
    flops: convolutionFlops(geometry(inputs[0].shape, weightShape, stride, padding)),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: BACKWARD_WEIGHT_CASES,
};
