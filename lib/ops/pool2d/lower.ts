/** pool2d: kernel calls. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import { type Pool2dAttrs, sizes } from "./geometry.ts";
import stagedText from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import averageText from "../../../kernels/pool2d/average.wgsl" with { type: "text" };
import maxText from "../../../kernels/pool2d/max.wgsl" with { type: "text" };

function lowering(file: string, text: string): OpDef<Pool2dAttrs>["lower"] {
  const source = kernel(file, text, stagedText);
  return ({ inputs: [x], outputs: [y], attrs }) => {
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
  };
}

export const lowerMaxPool2d = lowering("pool2d/max.wgsl", maxText);
export const lowerAveragePool2d = lowering("pool2d/average.wgsl", averageText);
