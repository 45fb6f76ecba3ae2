/** loss_scale: kernel calls, the variants to choose from. */

import { input, output, scratch } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { kernel } from "../common/checks.ts";
import { CLIP_BLOCK } from "../gradient_clip/shared.ts";
import { withSquares } from "../gradient_clip/lower.ts";
import { readings, variantsOf } from "../common/vectorized_access.ts";
import { REDUCE, SUMMED } from "../common/subgroup_sharing.ts";
import type { LossScaleAttrs } from "./shared.ts";
import updateText from "../../../kernels/loss_scale/update.wgsl" with { type: "text" };

const UPDATE = kernel("loss_scale/update.wgsl", `${updateText}\n${REDUCE.alone}`, SUMMED);

export const lowerLossScale: OpDef<LossScaleAttrs>["lower"] = (
  { inputs: [g, filled], attrs, device },
) => {
  return variantsOf(
    readings(device, g, CLIP_BLOCK),
    (reading) =>
      withSquares(filled, device, reading, (count) => ({
        kernel: UPDATE,
        params: {
          count,
          most: attrs.maxNorm,
          growth_factor: attrs.growthFactor,
          backoff_factor: attrs.backoffFactor,
          growth_interval: attrs.growthInterval,
        },
        bindings: {
          partials: scratch(),
          hyper: input(2),
          log_betas: input(3),
          adjusted: output(0),
          norm: output(1),
          state: output(2),
        },
        workgroups: [1, 1, 1],
        note: "update",
      })),
  );
};
