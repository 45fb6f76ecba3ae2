/** diffusion: kernel calls, the variants to choose from. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import qSampleText from "../../../kernels/q_sample/forward.wgsl" with { type: "text" };
import stepText from "../../../kernels/scheduler_step/forward.wgsl" with { type: "text" };

const Q_SAMPLE = kernel("q_sample/forward.wgsl", qSampleText);

const STEP = kernel("scheduler_step/forward.wgsl", stepText);

export const lowerQSample: OpDef["lower"] = ({ inputs: [x0, , , table] }) => {
  const count = sizeOf(x0.shape);
  return only("elementwise", () => ({
    calls: [{
      kernel: Q_SAMPLE,
      params: { count, per_image: count / x0.shape[0], timesteps: table.shape[0] },
      bindings: { x0: input(0), noise: input(1), t: input(2), table: input(3), y: output() },
      workgroups: gridFor(count, ELEMENTWISE),
    }],
  }));
};

export const lowerSchedulerStep: OpDef["lower"] = ({ inputs: [e] }) => {
  const count = sizeOf(e.shape);
  return only("elementwise", () => ({
    calls: [{
      kernel: STEP,
      params: { count },
      bindings: {
        e: input(0),
        noise: input(1),
        k: input(2),
        x: output(0),
        previous: output(1),
      },
      workgroups: gridFor(count, ELEMENTWISE),
    }],
  }));
};
