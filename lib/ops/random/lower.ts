/** random: kernel calls, the variants to choose from. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import type { RandomNormalAttrs } from "./reference.ts";
import philoxText from "../../../kernels/lib/philox.wgsl" with { type: "text" };
import bitsText from "../../../kernels/random/bits.wgsl" with { type: "text" };
import normalText from "../../../kernels/random/normal.wgsl" with { type: "text" };

const BITS = kernel("random/bits.wgsl", bitsText, philoxText);

const NORMAL = kernel("random/normal.wgsl", normalText, philoxText);

export const lowerRandomBits: OpDef["lower"] = ({ inputs: [counters] }) => {
  const count = counters.shape[0];
  return only("philox", () => ({
    calls: [{
      kernel: BITS,
      params: { count },
      bindings: { counters: input(0), key: input(1), bits: output() },
      workgroups: gridFor(count, ELEMENTWISE),
    }],
  }));
};

export const lowerRandomNormal: OpDef<RandomNormalAttrs>["lower"] = (
  { outputs: [z], attrs: { stream } },
) => {
  const perImage = sizeOf(z.shape) / z.shape[0];
  const blocks = Math.ceil(perImage / 4);
  const count = blocks * z.shape[0];
  return only("philox", () => ({
    calls: [{
      kernel: NORMAL,
      params: { count, blocks, per_image: perImage, stream },
      bindings: { rng: input(0), images: input(1), z: output() },
      workgroups: gridFor(count, ELEMENTWISE),
    }],
  }));
};
