/** mse: kernel calls, the variants to choose from. */

import {
  input,
  type KernelCall,
  type KernelSource,
  type Lowering,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
import type { DeviceProfile, OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { kernel, only } from "../common/checks.ts";
import { REDUCE, type Sharing, storingOn, SUMMED } from "../common/subgroup_sharing.ts";
import { reductionWorkgroup } from "../common/vectorized_access.ts";
import partialText from "../../../kernels/mse/partial.wgsl" with { type: "text" };
import totalText from "../../../kernels/mse/total.wgsl" with { type: "text" };
import aloneText from "../../../kernels/lib/loss_alone.wgsl" with { type: "text" };
import gradientText from "../../../kernels/lib/loss_gradient.wgsl" with { type: "text" };

const partials = (keep: string): Record<Sharing, KernelSource> => {
  const of = (reduce: string) =>
    kernel("mse/partial.wgsl", `${partialText}\n${reduce}`, keep, SUMMED);
  return { alone: of(REDUCE.alone), 8: of(REDUCE[8]), 16: of(REDUCE[16]) };
};

const ALONE = partials(aloneText);

const WITH_GRADIENT = partials(gradientText);

const TOTAL = kernel("mse/total.wgsl", `${totalText}\n${REDUCE.alone}`, SUMMED);

export const lowerMse: OpDef["lower"] = ({ inputs, device }) =>
  only("two passes", () => twoPasses(sizeOf(inputs[0].shape), device, { kernels: ALONE }));

export const lowerMseWithGradient: OpDef["lower"] = ({ inputs, device }) =>
  only("two passes", () =>
    twoPasses(sizeOf(inputs[0].shape), device, {
      kernels: WITH_GRADIENT,
      bindings: { dloss: input(2), dprediction: output(1) },
    }));

/** Sums of chunks, by a kernel that may keep more, then their mean as output 0. */
function twoPasses(
  length: number,
  device: DeviceProfile,
  first: {
    readonly kernels: Record<Sharing, KernelSource>;
    readonly bindings?: KernelCall["bindings"];
  },
): Lowering {
  const workgroup = reductionWorkgroup(device);
  const count = Math.ceil(length / (4 * 32 * workgroup));
  return {
    scratch: [4 * count],
    calls: [{
      kernel: first.kernels[storingOn(device)],
      constants: { WORKGROUP: workgroup },
      params: { length },
      bindings: {
        prediction: input(0),
        target_values: input(1),
        partials: scratch(),
        ...first.bindings,
      },
      workgroups: [count, 1, 1],
      note: "partial sums",
    }, {
      kernel: TOTAL,
      params: { count, factor: 1 / length },
      bindings: { partials: scratch(), loss: output() },
      workgroups: [1, 1, 1],
      note: "total",
    }],
  };
}
