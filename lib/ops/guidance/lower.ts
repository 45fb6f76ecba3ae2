/** guidance: kernel calls, the variants to choose from. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import guidanceText from "../../../kernels/guidance/forward.wgsl" with { type: "text" };
import rescaleText from "../../../kernels/guidance_rescale/forward.wgsl" with { type: "text" };

const GUIDANCE = kernel("guidance/forward.wgsl", guidanceText);

const RESCALE = kernel("guidance_rescale/forward.wgsl", rescaleText);

export const lowerGuidance: OpDef["lower"] = ({ outputs: [e] }) => {
  const count = sizeOf(e.shape);
  return only("elementwise", () => ({
    calls: [{
      kernel: GUIDANCE,
      params: { count },
      bindings: { both: input(0), strength: input(1), e: output() },
      workgroups: gridFor(count, ELEMENTWISE),
    }],
  }));
};

export const lowerGuidanceRescale: OpDef["lower"] = ({ inputs: [e] }) => {
  const count = sizeOf(e.shape);
  return only("elementwise", () => ({
    calls: [{
      kernel: RESCALE,
      params: { count, per_image: count / e.shape[0] },
      bindings: {
        e: input(0),
        both_stats: input(1),
        e_stats: input(2),
        amount: input(3),
        y: output(),
      },
      workgroups: gridFor(count, ELEMENTWISE),
    }],
  }));
};
