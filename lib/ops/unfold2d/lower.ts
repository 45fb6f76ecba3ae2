/** unfold2d: kernel calls, the variants to choose from. */

import {
  type BufferRef,
  gridFor,
  input,
  type KernelCall,
  output,
} from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { sizeOf, type TensorType } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import { convolvedSize, type Unfold2dOptions } from "./shared.ts";
import stagedText from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import text from "../../../kernels/unfold2d/forward.wgsl" with { type: "text" };

const FORWARD = kernel("unfold2d/forward.wgsl", text, stagedText);

export const lowerUnfold2d: OpDef<Unfold2dOptions>["lower"] = (
  { inputs: [x], outputs: [y], attrs },
) => {
  const options = attrs;
  return only("vec4", () => ({
    calls: [unfoldCall(x, y, options, { x: input(0), y: output() })],
  }));
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
