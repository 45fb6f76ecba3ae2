/** group_norm: kernel calls, the variants to choose from. */

import { input, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { dimensions, type GroupNormApplyAttrs, type GroupNormStatsAttrs } from "./geometry.ts";
import {
  foldGrid,
  readings,
  reducingKernels,
  reductionWorkgroup,
  rowGrid,
  storingKernels,
  variantsOf,
} from "../common/vectorized_access.ts";
import statsText from "../../../kernels/group_norm/stats.wgsl" with { type: "text" };
import applyText from "../../../kernels/group_norm/apply.wgsl" with { type: "text" };

const STATS = reducingKernels("group_norm/stats.wgsl", statsText, ["x"]);

const APPLY = storingKernels("group_norm/apply.wgsl", applyText, "x");

export const lowerGroupNormStats: OpDef<GroupNormStatsAttrs>["lower"] = (
  { inputs: [x], attrs: { groups, eps }, device },
) => {
  const { batch, size } = dimensions(x, groups);
  return variantsOf(readings(device, x, size), ({ name, width, value, lanes, ...r }) => ({
    calls: [{
      kernel: STATS(name, device),
      constants: { WORKGROUP: reductionWorkgroup(device) },
      specialize: { ...value, ...lanes, ...r.x, WIDTH: `${width}.0` },
      params: { rows: batch * groups, count: size / width, eps },
      bindings: { x: input(0), stats: output() },
      workgroups: foldGrid(batch * groups),
    }],
  }));
};

export const lowerGroupNormApply: OpDef<GroupNormApplyAttrs>["lower"] = (
  { inputs: [x, stats], outputs: [y], attrs: { silu }, device },
) => {
  const { batch, channels, pixels, groupChannels } = dimensions(x, stats.shape[1]);
  const ways = readings(device, x, pixels, { stored: y.dtype });
  return variantsOf(ways, ({ name, width, value, stored, ...r }) => {
    const grid = rowGrid(device, batch * channels, pixels / width);
    return {
      calls: [{
        kernel: APPLY(name, device),
        specialize: { ...value, ...r.x, ...stored },
        ...grid,
        params: {
          ...grid.params,
          channels,
          group_channels: groupChannels,
          silu: Number(silu),
        },
        bindings: {
          x: input(0),
          stats: input(1),
          weight: input(2),
          bias: input(3),
          y: output(),
        },
      }],
    };
  });
};
