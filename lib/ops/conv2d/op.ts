/** Convolution of images, and its gradients. */

import { type DeviceProfile, type OpDef, trafficOf, type Variant } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { sumChannels } from "../channel/op.ts";
import { f32, storedType, subgroupLanes } from "../common/checks.ts";
import { BACKWARD_DATA_CASES, BACKWARD_WEIGHT_CASES, FORWARD_CASES } from "./cases.ts";
import { backwardDataDirect, fastShape, fastShapes, forwardDirect } from "./direct.ts";
import { addExtras, epilogueOf, extrasOf, halfTensors, requireExtras, rereads } from "./extras.ts";
import { backwardDataGemm, backwardWeightGemm, forwardGemm } from "./gemm.ts";
import { backwardDataGeneric, backwardWeightGeneric } from "./generic.ts";
import {
  type Conv2dAttrs,
  type Conv2dBackwardDataAttrs,
  type Conv2dBackwardWeightAttrs,
  convolutionFlops,
  type Geometry,
  geometry,
  type Padding,
  requireImage,
  requireOutput,
  requireWeight,
  sides,
} from "./geometry.ts";
import { backwardDataReference, backwardWeightReference, forwardReference } from "./reference.ts";
import { backwardDataTiled, backwardWeightTiled, fitsTiles, forwardTiled } from "./tiled.ts";
import {
  backwardDataWinograd,
  fitsTiledWinograd,
  fitsWinograd,
  forwardWinograd,
} from "./winograd.ts";
import { backwardWeightWinograd } from "./winograd_weight.ts";
import { backwardWeightByLanes, backwardWeightDirect } from "./weight.ts";
import { sharingOn } from "../common/subgroup_sharing.ts";

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

/** Variants made for software Vulkan and for real GPUs, the device's own kind first. */
function byDevice(device: DeviceProfile, software: Variant[], hardware: Variant[]): Variant[] {
  return device.software ? [...software, ...hardware] : [...hardware, ...software];
}

/** The fewest pairs of channels, and pixels of a batch, with which Winograd's kernels are faster. */
interface Threshold {
  readonly pairs: number;
  readonly pixels: number;
  /** Of an image. */
  readonly width: number;
}

/**
 * By measurement: on vectors of 8 lanes, with many channels and enough pixels. On 16 lanes the
 * transforms, bound by memory, never pay.
 */
function winogradThresholds(device: DeviceProfile): { images?: Threshold; weights?: Threshold } {
  if (device.lanes !== 8) return {};
  if (!subgroupLanes(device)) return { images: { pairs: 10_000, pixels: 8192, width: 16 } };
  // Narrower images would gain too; their steps are so short that the compiling costs more.
  return {
    images: { pairs: 9_000, pixels: 2048, width: 32 },
    weights: { pairs: 6_000, pixels: 2048, width: 32 },
  };
}

const winogradWins = (g: Geometry, least?: Threshold): boolean =>
  least !== undefined && Math.min(g.ci, g.co) >= 64 && g.ci * g.co >= least.pairs &&
  g.w >= least.width && g.n * g.h * g.w >= least.pixels;

/** What there is of the two, Winograd's variants first where measurements say that they are faster. */
const fasterFirst = (direct: readonly Variant[], winograd: readonly Variant[], isFirst: boolean) =>
  isFirst ? [...winograd, ...direct] : [...direct, ...winograd];

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
  lower({ inputs: [x, weight], attrs, device }) {
    const g = geometry(x.shape, weight.shape, attrs.stride, attrs.padding);
    const epilogue = epilogueOf(attrs);
    const fast = fastShapes(g, g.co, device);
    return byDevice(device, [
      ...fasterFirst(
        fast.map((shape) => forwardDirect(g, shape, epilogue)),
        fast.includes("3×3") && fitsWinograd(g, device)
          ? sharingOn(device).map((products) => forwardWinograd(g, products, x.dtype, epilogue))
          : [],
        winogradWins(g, winogradThresholds(device).images),
      ),
      forwardDirect(g, "any", epilogue),
    ], [
      ...fitsTiles(g, device) ? forwardTiled(g, x.dtype, epilogue) : [],
      forwardGemm(g, x.dtype, epilogue),
      ...fitsTiledWinograd(g, device) ? [forwardWinograd(g, "tiled", x.dtype, epilogue)] : [],
    ]);
  },
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
  lower({ inputs: [dy, weight], attrs, device }) {
    const g = geometry(attrs.inputShape, weight.shape, attrs.stride, attrs.padding);
    const epilogue = epilogueOf(attrs);
    const fast = fastShapes(g, g.ci, device);
    return byDevice(device, [
      ...fasterFirst(
        fast.map((shape) => backwardDataDirect(g, shape, epilogue)),
        fast.includes("3×3") && fitsWinograd(g, device)
          ? sharingOn(device).map((products) =>
            backwardDataWinograd(g, products, dy.dtype, epilogue)
          )
          : [],
        winogradWins(g, winogradThresholds(device).images),
      ),
      backwardDataGeneric(g, epilogue),
    ], [
      ...fitsTiles(g, device) ? backwardDataTiled(g, dy.dtype, epilogue) : [],
      backwardDataGemm(g, dy.dtype, epilogue),
      ...fitsTiledWinograd(g, device) ? [backwardDataWinograd(g, "tiled", dy.dtype, epilogue)] : [],
    ]);
  },
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
  lower({ inputs: [x, dy], attrs: { stride, padding, weightShape }, device }) {
    const g = geometry(x.shape, weightShape, stride, padding);
    const types = [x.dtype, dy.dtype] as const;
    const shape = fastShape(g, device);
    return byDevice(device, [
      ...fasterFirst(
        [
          ...shape ? backwardWeightByLanes(g, shape, device) : [],
          ...shape ? [backwardWeightDirect(g, shape, device.lanes)] : [],
        ],
        shape === "3×3" && fitsWinograd(g, device)
          ? sharingOn(device).map((products) =>
            backwardWeightWinograd(g, products, device.lanes, types)
          )
          : [],
        winogradWins(g, winogradThresholds(device).weights),
      ),
      backwardWeightGeneric(g),
    ], [
      ...fitsTiles(g, device) ? backwardWeightTiled(g, x.dtype, dy.dtype, device) : [],
      backwardWeightGemm(g, x.dtype, dy.dtype),
      ...fitsTiledWinograd(g, device)
        ? [backwardWeightWinograd(g, "tiled", device.lanes, types)]
        : [],
    ]);
  },
  cost: (inputs, outputs, { stride, padding, weightShape }) => ({
    flops: convolutionFlops(geometry(inputs[0].shape, weightShape, stride, padding)),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: BACKWARD_WEIGHT_CASES,
};
