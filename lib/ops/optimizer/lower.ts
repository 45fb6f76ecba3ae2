/** optimizer: kernel calls, the variants to choose from. */

import { gridFor, input, type KernelCall, output } from "../../graph/kernel_call.ts";
import type { OpDef, Variant } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import { storingFour, storingOn } from "../common/subgroup_sharing.ts";
import { storageOrStaged } from "../common/vectorized_access.ts";
import stagedLibrary from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import adamwStagedText from "../../../kernels/adamw/update_staged.wgsl" with { type: "text" };
import adamwText from "../../../kernels/adamw/update.wgsl" with { type: "text" };
import accumulateText from "../../../kernels/accumulate/forward.wgsl" with { type: "text" };
import logText from "../../../kernels/log_scalar/forward.wgsl" with { type: "text" };

const ADAMW = kernel("adamw/update.wgsl", adamwText);

const ADAMW_STAGED = storingFour("adamw/update_staged.wgsl", adamwStagedText, stagedLibrary);

const ACCUMULATE = kernel("accumulate/forward.wgsl", accumulateText);

const LOG = kernel("log_scalar/forward.wgsl", logText);

export const lowerAdamw: OpDef["lower"] = ({ inputs: [g, _hyper, ...states], device }) => {
  const count4 = Math.ceil(sizeOf(g.shape) / 4);
  const variant = (name: string, call: Pick<KernelCall, "kernel" | "bindings">): Variant => ({
    name,
    exact: true,
    build: () => ({
      calls: [{
        ...call,
        params: { count4 },
        workgroups: gridFor(count4, ELEMENTWISE),
      }],
    }),
  });
  const bindings = {
    g: input(0),
    hyper: input(1),
    p: output(0),
    m: output(1),
    v: output(2),
    ema: output(3),
  };
  const before = {
    p_before: input(2),
    m_before: input(3),
    v_before: input(4),
    ema_before: input(5),
  };
  return storageOrStaged(
    device,
    [g, ...states],
    variant("vec4", { kernel: ADAMW, bindings }),
    variant("staged", {
      kernel: ADAMW_STAGED[storingOn(device)],
      bindings: { ...bindings, ...before },
    }),
  );
};

export const lowerAccumulate: OpDef["lower"] = ({ inputs: [g] }) => {
  const count4 = Math.ceil(sizeOf(g.shape) / 4);
  return only("vec4", () => ({
    calls: [{
      kernel: ACCUMULATE,
      params: { count4 },
      bindings: { g: input(0), control: input(1), sum: output() },
      workgroups: gridFor(count4, ELEMENTWISE),
    }],
  }));
};

export const lowerLogScalar: OpDef["lower"] = ({ inputs: [, , log] }) => {
  return only("single", () => ({
    calls: [{
      kernel: LOG,
      params: { count: sizeOf(log.shape) },
      bindings: { value: input(0), index: input(1), log_values: output() },
      workgroups: [1, 1, 1],
    }],
  }));
};
