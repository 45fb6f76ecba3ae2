/** Convolution of flat planes with a ReLU in its store. Inference only. */

import { input, type Lowering, output, scratch } from "../../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf, type Variant } from "../../graph/op.ts";
import { show, sizeOf, type Tensor, type TensorType } from "../../graph/tensor.ts";
import { gemmCall } from "./gemm.ts";
import { geometry } from "./geometry.ts";
import { panelsOf, STAGED } from "./panels.ts";
import { f32, kernel, requireFloat, requireRank } from "../common/checks.ts";
import { flatPlane } from "../common/flat.ts";
import { reluCall } from "../relu/op.ts";
import { unfoldCall } from "../unfold2d/lower.ts";
import text from "../../../kernels/conv2d/flat.wgsl" with { type: "text" };

const FLAT = kernel("conv2d/flat.wgsl", text, STAGED);

export interface Conv2dFlatOptions {
  /** Height and width of the images in x. */
  readonly size: readonly [number, number];
  /** Elements from one row of an image to the next, at least the width. */
  readonly pitch: number;
  /** Zeros above and below, left and right. */
  readonly padding: readonly [number, number];
  readonly relu: boolean;
}

/**
 * conv2d with stride 1 of flat planes (see flat.ts): x [N,Ci,1,P], pixel (r, c) of a plane at
 * r·pitch + c, weight [Co,Ci,Kh,Kw], bias [Co] → [N,Co,1,P'] with rows of the same pitch. What lies
 * past the pixels of a row or plane is of no account.
 */
export function conv2dFlat(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { size, pitch, padding, relu }: Conv2dFlatOptions,
): Tensor {
  return x.graph.append(conv2dFlatOp, [x, weight, bias], { size, pitch, padding, relu })[0];
}

/** Height and width of the result's images. */
export function flatSize(
  weight: readonly number[],
  { size, padding }: Pick<Conv2dFlatOptions, "size" | "padding">,
): [number, number] {
  const [height, width] = size.map((side, i) => side + 2 * padding[i] - weight[2 + i] + 1);
  return [height, width];
}

function requireShapes([x, weight, bias]: readonly TensorType[], attrs: Conv2dFlatOptions): void {
  const { size: [h, w], pitch, padding } = attrs;
  requireFloat("x", x);
  requireRank("x", x, 4);
  requireRank("weight", weight, 4);
  const plane = x.shape[2] * x.shape[3];
  if (plane % 4 || plane < h * pitch || plane >= 2 ** 21) {
    throw new Error(
      `${show("x", x)} must have planes of a multiple of 4 elements, at least ${h}·${pitch} and ` +
        `below 2^21`,
    );
  }
  if (weight.shape[1] !== x.shape[1]) {
    throw new Error(`${show("weight", weight)} must have the channels of ${show("x", x)}`);
  }
  if (bias.shape.length !== 1 || bias.shape[0] !== weight.shape[0]) {
    throw new Error(`${show("bias", bias)} must have a value for each channel of the weight`);
  }
  const [height, width] = flatSize(weight.shape, attrs);
  if (padding.some((p) => !Number.isInteger(p) || p < 0) || height < 1 || width < 1) {
    throw new Error(`${show("weight", weight)} must fit in images [${h},${w}] padded [${padding}]`);
  }
  if (pitch < Math.max(w, width)) {
    throw new Error(`pitch ${pitch} must be at least the width of the images, ${w} and ${width}`);
  }
}

export const conv2dFlatOp: OpDef<Conv2dFlatOptions> = {
  name: "conv2d_flat",
  infer(inputs, attrs) {
    const options = attrs;
    requireShapes(inputs, options);
    const [x, weight] = inputs;
    const [height] = flatSize(weight.shape, options);
    return [f32(x.shape[0], weight.shape[0], 1, flatPlane(height * options.pitch))];
  },
  vjp: "non-differentiable",
  reference([x, weight, bias], attrs, [from, of], [to]) {
    const { size: [h, w], pitch, padding: [top, left], relu } = attrs;
    const [co, ci, kh, kw] = of.shape;
    const [plane, outPlane] = [from, to].map(({ shape }) => shape[2] * shape[3]);
    const y = new Float64Array(sizeOf(to.shape));
    for (let at = 0; at < y.length; at++) {
      const pixel = at % outPlane, channel = Math.floor(at / outPlane) % co;
      const image = Math.floor(at / outPlane / co);
      let sum = bias[channel];
      for (let tap = 0; tap < kh * kw; tap++) {
        const r = Math.floor(pixel / pitch) + Math.floor(tap / kw) - top;
        const c = pixel % pitch + tap % kw - left;
        // A single tap takes what lies past the pixels as it is.
        if (kh * kw > 1 && (r < 0 || r >= h || c < 0 || c >= w)) continue;
        for (let k = 0; k < ci; k++) {
          sum += weight[(channel * ci + k) * kh * kw + tap] *
            x[(image * ci + k) * plane + r * pitch + c];
        }
      }
      y[at] = relu ? Math.max(0, sum) : sum;
    }
    return [y];
  },
  lower({ inputs: [x, weight], outputs: [y], attrs, device }) {
    const variant = (name: string, build: typeof direct): Variant => ({
      name,
      exact: true,
      build: () => build(x, weight, y, attrs),
    });
    const all = [variant("direct", direct), variant("unfolded_gemm", unfolded)];
    return device.software ? all : all.reverse();
  },
  cost: (inputs, outputs) => {
    const [, ci, kh, kw] = inputs[1].shape;
    return {
      flops: 2 * sizeOf(outputs[0].shape) * ci * kh * kw,
      bytes: trafficOf(inputs, outputs),
    };
  },
  cases: ([
    ["1×1, odd channels", [3, 5, 1, 24], [18, 5, 1, 1], [3, 7], 7, [0, 0], true],
    ["1×7", [2, 6, 1, 36], [20, 6, 1, 7], [5, 7], 7, [0, 3], true],
    ["7×1", [2, 6, 1, 36], [3, 6, 7, 1], [5, 7], 7, [3, 0], false],
    ["5×5", [1, 4, 1, 80], [16, 4, 5, 5], [8, 9], 9, [2, 2], true],
    ["no padding keeps the pitch", [2, 3, 1, 64], [17, 3, 3, 3], [7, 9], 9, [0, 0], false],
    ["rows with gaps", [2, 4, 1, 48], [5, 4, 3, 3], [5, 7], 9, [1, 1], true],
    ["many channels", [1, 90, 1, 16], [33, 90, 5, 5], [4, 4], 4, [2, 2], true],
  ] as [string, number[], number[], [number, number], number, [number, number], boolean][]).map((
    [name, x, weight, size, pitch, padding, relu],
  ): OpCase<Conv2dFlatOptions> => ({
    name,
    inputs: [f32(...x), f32(...weight), f32(weight[0])],
    attrs: { size, pitch, padding, relu },
    // 2^-24·√(Ci·taps / 12), at most 8e-7 here.
    tolerance: 1e-6,
  })),
};

const WORKGROUP = 32;

/** As good as no lower bound. */
const LOWEST = -3.4e38;

function direct(
  x: TensorType,
  weight: TensorType,
  y: TensorType,
  { size: [height, width], pitch, padding: [top, left], relu }: Conv2dFlatOptions,
): Lowering {
  const [co, ci, kh, kw] = weight.shape;
  const [batch, , , outPlane] = y.shape;
  const taps = kh * kw;
  const panels = panelsOf(
    { ci, co, taps, width: 16, transposed: false, weight: input(1), bias: input(2) },
    scratch(),
  );
  return {
    scratch: [panels.bytes],
    calls: [panels.pack, {
      kernel: FLAT,
      constants: { WORKGROUP },
      specialize: { SHIFTED: `${taps > 1}`, EVEN: `${ci % 2 === 0}` },
      params: {
        batch,
        out_plane4: outPlane / 4,
        plane4: x.shape[2] * x.shape[3] / 4,
        height,
        width,
        pitch,
        taps,
        window_width: kw,
        top,
        left,
        ci,
        co,
        panel_size: panels.size4,
        floor: relu ? 0 : LOWEST,
      },
      bindings: { x: input(0), panels: scratch(), y: output() },
      workgroups: [panels.count, Math.ceil(batch * Math.ceil(outPlane / 16) / WORKGROUP), 1],
    }],
  };
}

/** For real GPUs: the columns of the windows, their product with the weights, the ReLU. */
function unfolded(
  x: TensorType,
  weight: TensorType,
  y: TensorType,
  { size, pitch, padding, relu }: Conv2dFlatOptions,
): Lowering {
  const [co, ci, kh, kw] = weight.shape;
  const [n, , , outPlane] = y.shape;
  const isPoint = kh * kw === 1;
  const columns = isPoint ? x : f32(n, ci * kh * kw, 1, outPlane);
  const g = geometry(columns.shape, [co, ci * kh * kw, 1, 1], 1, 0);
  const sums = relu ? scratch(1) : output();
  const unfolding = { size, window: [kh, kw], stride: 1, padding, pitch } as const;
  return {
    scratch: [isPoint ? 16 : 4 * sizeOf(columns.shape), 4 * sizeOf(y.shape)],
    calls: [
      ...(isPoint ? [] : [unfoldCall(x, columns, unfolding, { x: input(0), y: scratch(0) })]),
      gemmCall(g, false, "f32", { bias: input(2), dtype: "f32" }, {
        x: isPoint ? input(0) : scratch(0),
        y: sums,
      }),
      ...(relu ? [reluCall(sizeOf(y.shape), { x: sums, y: output() })] : []),
    ],
  };
}
