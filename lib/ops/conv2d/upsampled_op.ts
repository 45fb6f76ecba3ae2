/**
 * The 3×3 convolution of an image with each pixel doubled, without the doubled image, and its
 * gradients.
 */

import { input, type Lowering, output, scratch } from "../../graph/kernel_call.ts";
import {
  type DeviceProfile,
  type LowerContext,
  type OpDef,
  trafficOf,
  type Variant,
} from "../../graph/op.ts";
import { bytesOf, sizeOf, type Tensor, type TensorType } from "../../graph/tensor.ts";
import { sumChannels } from "../channel/op.ts";
import { f32, type Stored, storedType } from "../common/checks.ts";
import { conv2dBackwardDataOp, conv2dBackwardWeightOp, conv2dOp } from "./op.ts";
import { epilogueOf, requireExtras } from "./extras.ts";
import { type Geometry, geometry, requireImage, requireOutput, requireWeight } from "./geometry.ts";
import {
  backwardDataUpsampled,
  backwardWeightUpsampled,
  fitsDirect,
  forwardUpsampled,
  rebound,
  type Upsampled,
} from "./upsampled.ts";
import { BACKWARD_DATA_CASES, BACKWARD_WEIGHT_CASES, FORWARD_CASES } from "./upsampled_cases.ts";
import {
  backwardDataUpsampledGemm,
  backwardWeightUpsampledGemm,
  forwardUpsampledGemm,
} from "./upsampled_gemm.ts";
import { upsampleNearest2xBackwardOp, upsampleNearest2xOp } from "../upsample/op.ts";
import type { WithExtras } from "../common/extras.ts";

/** Of the convolution of the doubled image. */
const PADDED = { stride: 1, padding: [1, 1, 1, 1] } as const;

/**
 * `conv2d(upsampleNearest2x(x), weight, { bias, padding: 1 })`, diffusers' `Upsample2D`: x [N,Ci,H,W],
 * weight [Co,Ci,3,3], bias [Co] → [N,Co,2H,2W].
 */
export function conv2dUpsampled(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return x.graph.append(conv2dUpsampledOp, bias ? [x, weight, bias] : [x, weight], {
    extras: bias ? ["bias"] : [],
  })[0];
}

const doubled = ([n, c, h, w]: readonly number[]): number[] => [n, c, 2 * h, 2 * w];

/** Of the convolution of the doubled image. */
function doubledGeometry(x: readonly number[], weight: readonly number[]): Geometry {
  if (weight[2] !== 3 || weight[3] !== 3) throw new Error(`weight [${weight}] must be 3×3`);
  return geometry(doubled(x), weight, PADDED.stride, PADDED.padding);
}

const small = (x: readonly number[], co: number): Upsampled => ({
  n: x[0],
  ci: x[1],
  h: x[2],
  w: x[3],
  co,
});

/** 16 products for each pixel of x, input and output channel, in each of the three directions. */
const flops = ({ n, ci, h, w, co }: Upsampled): number => 32 * n * ci * h * w * co;

/** Another op as a part of a lowering: its first exact variant. */
const exactly = (op: OpDef, context: LowerContext): Lowering =>
  op.lower(context).find((v) => v.exact)!.build();

/**
 * The device's own kind first. A software device whose kernels do not fit goes through the doubled
 * image.
 */
function variants(
  device: DeviceProfile,
  g: Upsampled,
  way: {
    readonly direct: readonly Variant[];
    readonly gemm: Variant;
    readonly doubled: () => Lowering;
  },
): Variant[] {
  if (!device.software) return [way.gemm];
  if (fitsDirect(g, device)) return [...way.direct, way.gemm];
  return [{ name: "doubled", exact: true, build: way.doubled }, way.gemm];
}

/** `make` of the doubled image, which takes the place of its input 0. Scratch memory is f32. */
function fromDoubled(
  x: TensorType,
  device: DeviceProfile,
  make: (image: TensorType) => Lowering,
): Lowering {
  const image = f32(...doubled(x.shape));
  const made = make(image);
  const own = scratch(made.scratch?.length ?? 0);
  const doubling = exactly(upsampleNearest2xOp, {
    inputs: [x],
    outputs: [image],
    attrs: {},
    device,
  });
  return {
    scratch: [...made.scratch ?? [], bytesOf(image)],
    calls: [
      ...rebound(doubling.calls, output(), own),
      ...rebound(made.calls, input(0), own),
    ],
  };
}

export const conv2dUpsampledOp: OpDef<WithExtras & Stored> = {
  name: "conv2d_upsampled",
  infer(inputs, attrs) {
    const [x, weight] = inputs;
    requireImage("x", x);
    requireWeight(weight);
    const { n, co, ho, wo } = doubledGeometry(x.shape, weight.shape);
    requireExtras(inputs, attrs, [n, co, ho, wo]);
    return [{ shape: [n, co, ho, wo], dtype: storedType(attrs) }];
  },
  half: () => [{ inputs: [0], rereads: true }, { outputs: [0], named: true }],
  vjp({ inputs: [x, weight, bias] }, [dy], needs) {
    const { graph } = x;
    return [
      needs[0] ? graph.append(conv2dUpsampledBackwardDataOp, [dy!, weight])[0] : undefined,
      needs[1] ? graph.append(conv2dUpsampledBackwardWeightOp, [x, dy!])[0] : undefined,
      ...(bias ? [needs[2] ? sumChannels(dy!) : undefined] : []),
    ];
  },
  reference([x, weight, ...extras], attrs, [xType, ...types], outputs) {
    const image = f32(...doubled(xType.shape));
    const [wide] = upsampleNearest2xOp.reference([x], {}, [xType], [image]);
    const inputs = [wide, weight, ...extras];
    return conv2dOp.reference(inputs, { ...PADDED, ...attrs }, [image, ...types], outputs);
  },
  lower({ inputs: [x, ...others], outputs, attrs, device }) {
    const g = small(x.shape, others[0].shape[0]);
    const epilogue = epilogueOf(attrs);
    return variants(device, g, {
      direct: forwardUpsampled(g, epilogue, device),
      gemm: forwardUpsampledGemm(g, x.dtype, epilogue),
      doubled: () =>
        fromDoubled(x, device, (image) =>
          exactly(conv2dOp, {
            inputs: [image, ...others],
            outputs,
            attrs: { ...PADDED, ...attrs },
            device,
          })),
    });
  },
  cost: (inputs, outputs) => ({
    flops: flops(small(inputs[0].shape, inputs[1].shape[0])) +
      (inputs.length - 2) * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: FORWARD_CASES,
};

/** dL/dx [N,Ci,H,W] from dL/dy [N,Co,2H,2W] and the weight. */
export const conv2dUpsampledBackwardDataOp: OpDef<Stored> = {
  name: "conv2d_upsampled_backward_data",
  infer([dy, weight], attrs) {
    requireImage("dy", dy);
    requireWeight(weight);
    const x = smallShape(dy, weight);
    requireOutput(dy, doubledGeometry(x, weight.shape));
    return [{ shape: x, dtype: storedType(attrs) }];
  },
  half: () => [{ inputs: [0], rereads: true }, { outputs: [0], named: true }],
  vjp: "non-differentiable",
  reference([dy, weight], _, [dyType, weightType], [dx]) {
    const image = f32(...doubled(dx.shape));
    const attrs = { ...PADDED, inputShape: image.shape };
    const types = [dyType, weightType];
    const [wide] = conv2dBackwardDataOp.reference([dy, weight], attrs, types, [image]);
    return upsampleNearest2xBackwardOp.reference([wide], {}, [image], [dx]);
  },
  lower({ inputs: [dy, weight], outputs: [dx], device }) {
    const g = small(dx.shape, dy.shape[1]);
    return variants(device, g, {
      direct: backwardDataUpsampled(g, dx.dtype, device),
      gemm: backwardDataUpsampledGemm(g, dy.dtype, dx.dtype),
      doubled() {
        const image = f32(...doubled(dx.shape));
        const made = exactly(conv2dBackwardDataOp, {
          inputs: [dy, weight],
          outputs: [image],
          attrs: { ...PADDED, inputShape: image.shape },
          device,
        });
        const own = scratch(made.scratch?.length ?? 0);
        const context = { inputs: [image], outputs: [dx], attrs: {}, device };
        return {
          scratch: [...made.scratch ?? [], bytesOf(image)],
          calls: [
            ...rebound(made.calls, output(), own),
            ...rebound(exactly(upsampleNearest2xBackwardOp, context).calls, input(0), own),
          ],
        };
      },
    });
  },
  cost: (inputs, outputs) => ({
    flops: flops(small(outputs[0].shape, inputs[0].shape[1])),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: BACKWARD_DATA_CASES,
};

/** Of x, from dy and the weight. */
function smallShape(dy: TensorType, weight: TensorType): number[] {
  const [n, , h, w] = dy.shape;
  if (h % 2 || w % 2) throw new Error(`dy [${dy.shape}] must have even height and width`);
  return [n, weight.shape[1], h / 2, w / 2];
}

/** dL/dweight [Co,Ci,3,3] from x [N,Ci,H,W] and dL/dy [N,Co,2H,2W]. */
export const conv2dUpsampledBackwardWeightOp: OpDef = {
  name: "conv2d_upsampled_backward_weight",
  infer([x, dy]) {
    requireImage("x", x);
    requireImage("dy", dy);
    const weight = [dy.shape[1], x.shape[1], 3, 3];
    requireOutput(dy, doubledGeometry(x.shape, weight));
    return [f32(...weight)];
  },
  half: () => [{ inputs: [0], rereads: true }, { inputs: [1], rereads: true }],
  vjp: "non-differentiable",
  reference([x, dy], _, [xType, dyType], outputs) {
    const image = f32(...doubled(xType.shape));
    const [wide] = upsampleNearest2xOp.reference([x], {}, [xType], [image]);
    const attrs = { ...PADDED, weightShape: outputs[0].shape };
    return conv2dBackwardWeightOp.reference([wide, dy], attrs, [image, dyType], outputs);
  },
  lower({ inputs: [x, dy], outputs, device }) {
    const g = small(x.shape, dy.shape[1]);
    return variants(device, g, {
      direct: backwardWeightUpsampled(g, device),
      gemm: backwardWeightUpsampledGemm(g, x.dtype, dy.dtype),
      doubled: () =>
        fromDoubled(x, device, (image) =>
          exactly(conv2dBackwardWeightOp, {
            inputs: [image, dy],
            outputs,
            attrs: { ...PADDED, weightShape: outputs[0].shape },
            device,
          })),
    });
  },
  cost: (inputs, outputs) => ({
    flops: flops(small(inputs[0].shape, inputs[1].shape[1])),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: BACKWARD_WEIGHT_CASES,
};
