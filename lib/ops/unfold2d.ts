/** The pixels that a convolution sums, laid out one under another (im2col). Inference only. */

import { type BufferRef, gridFor, input, type KernelCall, output } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { show, sizeOf, type Tensor, type TensorType } from "../graph/tensor.ts";
import { ELEMENTWISE, f32, kernel, only, requireFloat, requireRank } from "./common.ts";
import { flatPlane, requireFlat } from "./flat.ts";
import stagedText from "../../kernels/lib/staged.wgsl" with { type: "text" };
import text from "../../kernels/unfold2d/forward.wgsl" with { type: "text" };

const FORWARD = kernel("unfold2d/forward.wgsl", text, stagedText);

export interface Unfold2dOptions {
  /** Height and width of the images in x. */
  readonly size: readonly [number, number];
  readonly window: readonly [number, number];
  readonly stride: number;
  /** Zeros above and below, left and right. */
  readonly padding: readonly [number, number];
}

/**
 * x [N,C,H,W], or its flat planes (see flat.ts) → flat planes [N, C·Kh·Kw, 1, P] of the Ho·Wo pixels
 * of a convolution with that window, in the order of a weight [Co,C,Kh,Kw].
 */
export function unfold2d(x: Tensor, { size, window, stride, padding }: Unfold2dOptions): Tensor {
  const attrs = { size: [...size], window: [...window], stride, padding: [...padding] };
  return x.graph.append(unfold2dOp, [x], attrs)[0];
}

/** Height and width of what a convolution makes of an image. */
export function convolvedSize(
  { size, window, stride, padding }: Unfold2dOptions,
): [number, number] {
  const [height, width] = size.map((side, i) =>
    Math.floor((side + 2 * padding[i] - window[i]) / stride) + 1
  );
  return [height, width];
}

export const unfold2dOp: OpDef = {
  name: "unfold2d",
  infer([x], attrs) {
    const { size, window, stride, padding } = attrs as Unfold2dOptions;
    requireFloat("x", x);
    requireRank("x", x, 4);
    requireFlat(x, size);
    if (![...window, stride].every((v) => Number.isInteger(v) && v > 0)) {
      throw new Error(`window [${window}] and stride ${stride} must be whole and positive`);
    }
    if (!padding.every((v) => Number.isInteger(v) && v >= 0)) {
      throw new Error(`padding [${padding}] must be whole numbers from 0`);
    }
    const [height, width] = convolvedSize(attrs as Unfold2dOptions);
    if (height < 1 || width < 1) {
      throw new Error(`window [${window}] must fit in the images [${size}] of ${show("x", x)}`);
    }
    const [n, c] = x.shape;
    return [f32(n, c * window[0] * window[1], 1, flatPlane(height * width))];
  },
  vjp: "non-differentiable",
  reference([x], attrs, [from], [to]) {
    const { size: [h, w], window: [kh, kw], stride, padding } = attrs as Unfold2dOptions;
    const [height, width] = convolvedSize(attrs as Unfold2dOptions);
    const [plane, outPlane] = [from, to].map(({ shape }: TensorType) => shape[2] * shape[3]);
    const y = new Float64Array(sizeOf(to.shape));
    for (let at = 0; at < y.length; at++) {
      const row = Math.floor(at / outPlane), pixel = at % outPlane;
      if (pixel >= height * width) continue;
      const tap = row % (kh * kw);
      const r = Math.floor(pixel / width) * stride + Math.floor(tap / kw) - padding[0];
      const c = pixel % width * stride + tap % kw - padding[1];
      if (r < 0 || r >= h || c < 0 || c >= w) continue;
      y[at] = x[Math.floor(row / (kh * kw)) * plane + r * w + c];
    }
    return [y];
  },
  lower({ inputs: [x], outputs: [y], attrs }) {
    const options = attrs as Unfold2dOptions;
    return only("vec4", () => ({
      calls: [unfoldCall(x, y, options, { x: input(0), y: output() })],
    }));
  },
  cost: (inputs, outputs) => ({ flops: 0, bytes: trafficOf(inputs, outputs) }),
  cases: ([
    ["3×3", [2, 3, 5, 7], { size: [5, 7], window: [3, 3], stride: 1, padding: [1, 1] }],
    ["stride 2", [1, 2, 9, 6], { size: [9, 6], window: [3, 3], stride: 2, padding: [0, 0] }],
    ["1×7, flat", [2, 2, 1, 36], { size: [5, 7], window: [1, 7], stride: 1, padding: [0, 3] }],
    ["7×1, flat", [2, 2, 1, 36], { size: [5, 7], window: [7, 1], stride: 1, padding: [3, 0] }],
    ["1×1", [1, 3, 3, 3], { size: [3, 3], window: [1, 1], stride: 1, padding: [0, 0] }],
  ] as [string, number[], Unfold2dOptions][]).map(([name, shape, attrs]): OpCase => ({
    name,
    inputs: [f32(...shape)],
    attrs: { ...attrs },
    tolerance: 0, // copies
  })),
};

/**
 * From x to y. With `pitch` rows of both have that many elements, and what lies past the pixels of a
 * row or plane of y holds what the equation gives there.
 */
export function unfoldCall(
  x: TensorType,
  y: TensorType,
  { size: [height, width], window, stride, padding, pitch }: Unfold2dOptions & {
    readonly pitch?: number;
  },
  bindings: { readonly x: BufferRef; readonly y: BufferRef },
): KernelCall {
  const [outHeight, outWidth] = convolvedSize({ size: [height, width], window, stride, padding });
  const count4 = sizeOf(y.shape) / 4;
  return {
    kernel: FORWARD,
    params: {
      count4,
      height,
      width,
      pitch: pitch ?? width,
      plane: x.shape[2] * x.shape[3],
      out_pixels: pitch ? y.shape[3] : outHeight * outWidth,
      out_pitch: pitch ?? outWidth,
      out_plane4: y.shape[3] / 4,
      window_height: window[0],
      window_width: window[1],
      stride,
      top: padding[0],
      left: padding[1],
    },
    bindings,
    workgroups: gridFor(count4, ELEMENTWISE),
  };
}
