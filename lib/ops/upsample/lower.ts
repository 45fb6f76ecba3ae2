/** upsample: kernel calls, the variants to choose from. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { ELEMENTWISE, type Stored } from "../common/checks.ts";
import { readingKernels, readings, variantsOf } from "../common/vectorized_access.ts";
import forwardText from "../../../kernels/upsample_nearest_2x/forward.wgsl" with { type: "text" };
import forwardScalarText from "../../../kernels/upsample_nearest_2x/forward_scalar.wgsl" with {
  type: "text",
};
import backwardText from "../../../kernels/upsample_nearest_2x/backward.wgsl" with { type: "text" };
import backwardScalarText from "../../../kernels/upsample_nearest_2x/backward_scalar.wgsl" with {
  type: "text",
};

const FORWARD = {
  ...readingKernels("upsample_nearest_2x/forward.wgsl", forwardText, "x"),
  scalar: readingKernels("upsample_nearest_2x/forward_scalar.wgsl", forwardScalarText, "x").scalar,
};

const BACKWARD = {
  ...readingKernels("upsample_nearest_2x/backward.wgsl", backwardText, "dy"),
  scalar:
    readingKernels("upsample_nearest_2x/backward_scalar.wgsl", backwardScalarText, "dy").scalar,
};

export const lowerUpsampleNearest2x: OpDef<Stored>["lower"] = (
  { inputs: [x], outputs: [y], device },
) => {
  const ways = readings(device, x, x.shape[3], { stored: y.dtype });
  return variantsOf(ways, ({ name, width, stored, ...r }) => {
    const count = sizeOf(x.shape) / width;
    return {
      calls: [{
        kernel: FORWARD[name],
        specialize: { ...r.x, ...stored },
        params: { count, [width === 4 ? "width4" : "width"]: x.shape[3] / width },
        bindings: { x: input(0), y: output() },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    };
  });
};

export const lowerUpsampleNearest2xBackward: OpDef["lower"] = (
  { inputs: [dy], outputs: [dx], device },
) => {
  const ways = readings(device, dy, dx.shape[3], { stored: dx.dtype });
  return variantsOf(ways, ({ name, width, stored, ...r }) => {
    const count = sizeOf(dx.shape) / width;
    return {
      calls: [{
        kernel: BACKWARD[name],
        specialize: { ...r.dy, ...stored },
        params: { count, [width === 4 ? "width4" : "width"]: dx.shape[3] / width },
        bindings: { dy: input(0), dx: output() },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    };
  });
};
