/** embedding: kernel calls, the variants to choose from. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import { frequencies, type TimestepEmbeddingAttrs } from "./shared.ts";
import text from "../../../kernels/timestep_embedding/forward.wgsl" with { type: "text" };

const FORWARD = kernel("timestep_embedding/forward.wgsl", text);

export const lowerTimestepEmbedding: OpDef<TimestepEmbeddingAttrs>["lower"] = (
  { outputs: [y], attrs: { dim, flipSinToCos, downscaleFreqShift, maxPeriod } },
) => {
  const f = frequencies(dim, downscaleFreqShift, maxPeriod);
  const count = sizeOf(y.shape);
  return only("table", () => ({
    calls: [{
      kernel: FORWARD,
      specialize: {
        HALF: `${f.length}u`,
        FREQUENCIES: `array<f32, HALF>(${f.map((v) => `${v}f`).join(", ")})`,
      },
      params: { count, dim, flip: flipSinToCos ? 1 : 0 },
      bindings: { timesteps: input(0), y: output() },
      workgroups: gridFor(count, ELEMENTWISE),
    }],
  }));
};
