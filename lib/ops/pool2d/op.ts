/** Pooling over windows. Inference only: the networks that measure images are never trained here. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../../graph/op.ts";
import { show, sizeOf, type Tensor, type TensorType } from "../../graph/tensor.ts";
import { ELEMENTWISE, f32, kernel, only, requireFloat, requireRank } from "../common/checks.ts";
import { flatPlane, requireFlat } from "../common/flat.ts";
import stagedText from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import averageText from "../../../kernels/pool2d/average.wgsl" with { type: "text" };
import maxText from "../../../kernels/pool2d/max.wgsl" with { type: "text" };

/** The windows of a pool. */
export interface Pool2dOptions {
  /** A side, or [height, width]. */
  readonly window: number | readonly [number, number];
  /** Pixels from one window to the next; 1 by default. */
  readonly stride?: number;
  /** On all sides; what is added takes no part in the maximum or the mean. */
  readonly padding?: number;
  /** x holds flat planes of images of this height and width; so will the result. */
  readonly flat?: readonly [number, number];
  /** Elements from row to row of flat planes; the width by default. The result has no gaps. */
  readonly pitch?: number;
}

/**
 * Largest value of each window: x [N,C,H,W] → [N,C,Ho,Wo], rounded down as PyTorch does. Flat planes
 * [N,C,1,P] (see flat.ts) become flat planes.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, maxPool2d, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 1, 2, 2));
 * g.output("y", maxPool2d(x, { window: 2 }));
 * interpret(g, OPS, { x: [1, 2, 3, 4] }).outputs.get("y"); // [4]
 * ```
 */
export function maxPool2d(x: Tensor, options: Pool2dOptions): Tensor {
  return x.graph.append(maxPool2dOp, [x], attrsOf(options))[0];
}

/**
 * Mean of each window's pixels inside x (`count_include_pad=False`): [N,C,H,W] → [N,C,Ho,Wo].
 *
 * @example
 * ```ts
 * import { averagePool2d, f32, Graph, interpret, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 1, 2, 2));
 * g.output("y", averagePool2d(x, { window: 2 }));
 * interpret(g, OPS, { x: [1, 2, 3, 4] }).outputs.get("y"); // [2.5]
 * ```
 */
export function averagePool2d(x: Tensor, options: Pool2dOptions): Tensor {
  return x.graph.append(averagePool2dOp, [x], attrsOf(options))[0];
}

function attrsOf({ window, stride = 1, padding = 0, flat, pitch }: Pool2dOptions): Pool2dAttrs {
  const sides = typeof window === "number" ? [window, window] as const : window;
  const layout = flat ? { flat, pitch: pitch ?? flat[1] } : {};
  return { window: sides, stride, padding, ...layout };
}

interface Pool2dAttrs {
  readonly flat?: readonly [number, number];
  readonly pitch?: number;
  readonly window: readonly [number, number];
  readonly stride: number;
  readonly padding: number;
}

interface Sizes {
  h: number;
  w: number;
  height: number;
  width: number;
  /** Elements from one row to the next, and from one plane to the next. */
  pitch: number;
  plane: number;
  outPlane: number;
}

function sizes(x: TensorType, { window, stride, padding, flat, pitch: given }: Pool2dAttrs): Sizes {
  const [h, w] = flat ?? x.shape.slice(2), pitch = given ?? w;
  const [height, width] = [h, w].map((side, i) =>
    Math.floor((side + 2 * padding - window[i]) / stride) + 1
  );
  const pixels = height * width;
  const plane = x.shape[2] * x.shape[3];
  return { h, w, height, width, pitch, plane, outPlane: flat ? flatPlane(pixels) : pixels };
}

function infer(x: TensorType, attrs: Pool2dAttrs): TensorType {
  const { window, stride, padding, flat } = attrs;
  requireFloat("x", x);
  requireRank("x", x, 4);
  if (![...window, stride].every((v) => Number.isInteger(v) && v > 0)) {
    throw new Error(`window [${window}] and stride ${stride} must be whole and positive`);
  }
  if (!Number.isInteger(padding) || padding < 0 || 2 * padding > Math.min(...window)) {
    throw new Error(`padding ${padding} must be whole and at most half the window [${window}]`);
  }
  const { w, pitch, height, width, outPlane } = sizes(x, attrs);
  if (flat) requireFlat(x, [flat[0], pitch]);
  if (pitch < w) throw new Error(`pitch ${pitch} must be at least the width ${w}`);
  if (height < 1 || width < 1) {
    throw new Error(`window [${window}] must fit in ${show("x", x)} with padding ${padding}`);
  }
  const [n, c] = x.shape;
  return flat ? f32(n, c, 1, outPlane) : f32(n, c, height, width);
}

/** Folds the pixels of every window that are inside x; `done` gets the fold and their number. */
function fold(
  x: Float64Array,
  from: TensorType,
  to: TensorType,
  attrs: Pool2dAttrs,
  start: number,
  step: (so_far: number, value: number) => number,
  done: (folded: number, count: number) => number,
): Float64Array {
  const { window, stride, padding } = attrs;
  const { h, w, height, width, pitch, plane, outPlane } = sizes(from, attrs);
  const y = new Float64Array(sizeOf(to.shape));
  for (let at = 0; at < y.length; at++) {
    const base = Math.floor(at / outPlane) * plane, pixel = at % outPlane;
    if (pixel >= height * width) continue;
    const top = Math.floor(pixel / width) * stride - padding;
    const left = pixel % width * stride - padding;
    let folded = start, count = 0;
    for (let r = Math.max(0, top); r < Math.min(h, top + window[0]); r++) {
      for (let k = Math.max(0, left); k < Math.min(w, left + window[1]); k++) {
        folded = step(folded, x[base + r * pitch + k]);
        count++;
      }
    }
    y[at] = done(folded, count);
  }
  return y;
}

const CASES: [name: string, shape: number[], attrs: Pool2dAttrs][] = [
  ["3x3 stride 2", [2, 3, 17, 9], { window: [3, 3], stride: 2, padding: 0 }],
  ["3x3 padded", [1, 5, 6, 7], { window: [3, 3], stride: 1, padding: 1 }],
  ["2x2 padded, stride 3", [2, 1, 5, 8], { window: [2, 2], stride: 3, padding: 1 }],
  ["whole plane", [2, 3, 8, 5], { window: [8, 5], stride: 1, padding: 0 }],
  ["flat", [2, 3, 1, 36], { window: [3, 3], stride: 2, padding: 1, flat: [5, 7] }],
  ["flat, padded", [2, 3, 1, 32], { window: [3, 3], stride: 2, padding: 1, flat: [5, 6] }],
  ["rows with gaps", [1, 3, 1, 48], {
    window: [3, 3],
    stride: 2,
    padding: 0,
    flat: [5, 7],
    pitch: 9,
  }],
  ["one pixel", [1, 1, 1, 1], { window: [1, 1], stride: 1, padding: 0 }],
];

function pool(name: `${string}_pool2d`, text: string, file: string, rest: {
  reference: OpDef<Pool2dAttrs>["reference"];
  tolerance: number;
}): OpDef<Pool2dAttrs> {
  const source = kernel(`pool2d/${file}.wgsl`, text, stagedText);
  return {
    name,
    infer: ([x], attrs) => [infer(x, attrs)],
    vjp: "non-differentiable",
    reference: rest.reference,
    lower({ inputs: [x], outputs: [y], attrs }) {
      const { window, stride, padding } = attrs;
      const { h, w, height, width, pitch, plane, outPlane } = sizes(x, attrs);
      const count = sizeOf(y.shape);
      return only("window", () => ({
        calls: [{
          kernel: source,
          params: {
            count,
            height: h,
            width: w,
            pitch,
            plane,
            out_pixels: height * width,
            out_width: width,
            out_plane: outPlane,
            window_height: window[0],
            window_width: window[1],
            stride,
            padding,
          },
          bindings: { x: input(0), y: output() },
          workgroups: gridFor(count, ELEMENTWISE),
        }],
      }));
    },
    cost: (inputs, outputs, { window }) => ({
      flops: sizeOf(outputs[0].shape) * window[0] * window[1],
      bytes: trafficOf(inputs, outputs),
    }),
    cases: CASES.map(([name, shape, attrs]): OpCase<Pool2dAttrs> => ({
      name,
      inputs: [f32(...shape)],
      attrs: { ...attrs },
      tolerance: rest.tolerance,
    })),
  };
}

export const maxPool2dOp: OpDef<Pool2dAttrs> = pool("max_pool2d", maxText, "max", {
  reference: (
    [x],
    attrs,
    [from],
    [to],
  ) => [fold(x, from, to, attrs, -Infinity, Math.max, (v) => v)],
  tolerance: 0, // a choice, no arithmetic
});

export const averagePool2dOp: OpDef<Pool2dAttrs> = pool("average_pool2d", averageText, "average", {
  reference: ([x], attrs, [from], [to]) => [
    fold(x, from, to, attrs, 0, (a, b) => a + b, (sum, count) => sum / count),
  ],
  tolerance: 5e-7, // sums of up to 40 numbers of random sign, then a division
});
