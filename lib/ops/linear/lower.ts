/** linear: kernel calls, the variants to choose from. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import { storageReading } from "../common/vectorized_access.ts";
import type { WithExtras } from "../common/extras.ts";
import forwardText from "../../../kernels/linear/forward.wgsl" with { type: "text" };
import dataText from "../../../kernels/linear/backward_data.wgsl" with { type: "text" };
import weightText from "../../../kernels/linear/backward_weight.wgsl" with { type: "text" };

const FORWARD = kernel("linear/forward.wgsl", forwardText);

const DATA = kernel("linear/backward_data.wgsl", dataText);

const WEIGHT = kernel("linear/backward_weight.wgsl", weightText);

export const lowerLinear: OpDef["lower"] = ({ inputs: [x, , bias], outputs: [y] }) => {
  const [m, n] = y.shape;
  const { name, width, value, lanes } = storageReading(x.shape[1]);
  return only(name, () => ({
    calls: [{
      kernel: FORWARD,
      specialize: { ...value, ...lanes },
      params: { m, n, k: x.shape[1] / width, has_bias: bias ? 1 : 0 },
      // Something must be bound where there is no bias.
      bindings: { x: input(0), weight: input(1), bias: input(bias ? 2 : 1), y: output() },
      workgroups: gridFor(n * Math.ceil(m / 4), ELEMENTWISE),
    }],
  }));
};

export const lowerLinearDataGradient: OpDef<WithExtras>["lower"] = (
  { inputs: [dy, weight, added] },
) => {
  const [m, n] = dy.shape;
  const { name, width, value } = storageReading(weight.shape[1]);
  const k = weight.shape[1] / width;
  return only(name, () => ({
    calls: [{
      kernel: DATA,
      specialize: value,
      params: { m, n, k, has_added: added ? 1 : 0 },
      // Something must be bound where nothing is added.
      bindings: { dy: input(0), weight: input(1), added: input(added ? 2 : 1), dx: output() },
      workgroups: gridFor(k * Math.ceil(m / 4), ELEMENTWISE),
    }],
  }));
};

export const lowerLinearParameterGradients: OpDef["lower"] = ({ inputs: [x, dy] }) => {
  const [m, n] = dy.shape;
  const { name, width, value } = storageReading(x.shape[1]);
  const k = x.shape[1] / width;
  return only(name, () => ({
    calls: [{
      kernel: WEIGHT,
      specialize: value,
      params: { m, n, k },
      bindings: { x: input(0), dy: input(1), dweight: output(0), dbias: output(1) },
      workgroups: gridFor(k * Math.ceil(n / 4), ELEMENTWISE),
    }],
  }));
};
