/** gradient_clip: kernel calls, the variants to choose from. */

import { input, type KernelCall, type Lowering, output, scratch } from "../../graph/kernel_call.ts";
import type { DeviceProfile, OpDef } from "../../graph/op.ts";
import { sizeOf, type TensorType } from "../../graph/tensor.ts";
import { kernel } from "../common/checks.ts";
import { REDUCE, SUMMED } from "../common/subgroup_sharing.ts";
import {
  type Reading,
  readings,
  reducingKernels,
  reductionWorkgroup,
  variantsOf,
} from "../common/vectorized_access.ts";
import { CLIP_BLOCK, type GradientClipAttrs } from "./shared.ts";
import partialText from "../../../kernels/gradient_clip/partial.wgsl" with { type: "text" };
import factorText from "../../../kernels/gradient_clip/factor.wgsl" with { type: "text" };

const PARTIAL = reducingKernels("gradient_clip/partial.wgsl", partialText, ["x"], SUMMED);

const FACTOR = kernel("gradient_clip/factor.wgsl", `${factorText}\n${REDUCE.alone}`, SUMMED);

/** Blocks that a lane of the first pass adds up. */
const CHAIN = 32;

/** Sums of squares of the gradient (inputs 0 and 1) into scratch 0, then a call on so many of them. */
export function withSquares(
  filled: TensorType,
  device: DeviceProfile,
  { name, x }: Reading,
  then: (count: number) => KernelCall,
): Lowering {
  const blocks = sizeOf(filled.shape);
  const workgroup = reductionWorkgroup(device);
  const count = Math.ceil(blocks / (CHAIN * workgroup));
  return {
    scratch: [4 * count],
    calls: [{
      kernel: PARTIAL(name, device),
      constants: { WORKGROUP: workgroup },
      specialize: x,
      params: { blocks },
      bindings: { x: input(0), filled: input(1), partials: scratch() },
      workgroups: [count, 1, 1],
      note: "partial sums",
    }, then(count)],
  };
}

export const lowerGradientClip: OpDef<GradientClipAttrs>["lower"] = (
  { inputs: [g, filled], attrs: { maxNorm }, device },
) => {
  return variantsOf(
    readings(device, g, CLIP_BLOCK),
    (reading) =>
      withSquares(filled, device, reading, (count) => ({
        kernel: FACTOR,
        params: { count, most: maxNorm },
        bindings: {
          partials: scratch(),
          hyper: input(2),
          clipped: output(0),
          norm: output(1),
        },
        workgroups: [1, 1, 1],
        note: "factor",
      })),
  );
};
