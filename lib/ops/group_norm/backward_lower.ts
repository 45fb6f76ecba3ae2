/** group_norm: kernel calls, the variants to choose from. */

import { gridFor, input, type Lowering, output } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import { ELEMENTWISE, kernel, only, type Stored } from "../common/checks.ts";
import { dimensions, type GroupNormTotalsAttrs, type SiluAttrs } from "./geometry.ts";
import {
  foldGrid,
  readings,
  reducingKernels,
  reductionWorkgroup,
  rowGrid,
  storingKernels,
  variantsOf,
} from "../common/vectorized_access.ts";
import sumsText from "../../../kernels/group_norm/backward_sums.wgsl" with { type: "text" };
import totalsText from "../../../kernels/group_norm/backward_totals.wgsl" with { type: "text" };
import dataText from "../../../kernels/group_norm/backward_data.wgsl" with { type: "text" };

const SUMS = reducingKernels("group_norm/backward_sums.wgsl", sumsText, ["x", "dy"]);

const TOTALS = kernel("group_norm/backward_totals.wgsl", totalsText);

const DATA = storingKernels("group_norm/backward_data.wgsl", dataText, "x", "dy");

/** x, dy, stats, weight, bias of the backward ops. */
const BACKWARD_INPUTS = {
  x: input(0),
  dy: input(1),
  stats: input(2),
  weight: input(3),
  bias: input(4),
};

export const lowerGroupNormSums: OpDef<SiluAttrs>["lower"] = (
  { inputs: [x, dy, stats], attrs: { silu }, device },
) => {
  const { batch, channels, pixels, groupChannels } = dimensions(x, stats.shape[1]);
  const rows = batch * channels;
  return variantsOf(
    readings(device, x, pixels, { dy: dy.dtype }),
    ({ name, width, value, lanes, ...r }) => ({
      calls: [{
        kernel: SUMS(name, device),
        constants: { WORKGROUP: reductionWorkgroup(device) },
        specialize: { ...value, ...lanes, ...r.x, ...r.dy },
        params: {
          rows,
          length: pixels / width,
          channels,
          group_channels: groupChannels,
          silu: Number(silu),
        },
        bindings: { ...BACKWARD_INPUTS, sums: output() },
        workgroups: foldGrid(rows),
      }],
    }),
  );
};

export const lowerGroupNormTotals: OpDef<GroupNormTotalsAttrs>["lower"] = (
  { inputs: [{ shape: [batch, channels] }], attrs: { groups, pixels } },
) => {
  const groupChannels = channels / groups;
  return only("serial", () => ({
    calls: [{
      kernel: TOTALS,
      params: {
        groups: batch * groups,
        batch,
        channels,
        group_channels: groupChannels,
        factor: 1 / (groupChannels * pixels),
      },
      bindings: {
        sums: input(0),
        weight: input(1),
        means: output(0),
        dweight: output(1),
        dbias: output(2),
      },
      workgroups: gridFor(Math.max(batch * groups, channels), ELEMENTWISE),
    }],
  }));
};

export const lowerGroupNormDataGradient: OpDef<SiluAttrs & Stored>["lower"] = (
  { inputs: [x, dy, stats], outputs: [dx], attrs: { silu }, device },
) => {
  const groups = stats.shape[1];
  const { batch, channels, pixels, groupChannels } = dimensions(x, groups);
  const ways = readings(device, x, pixels, { stored: dx.dtype, dy: dy.dtype });
  return variantsOf(ways, (reading): Lowering => {
    const { name, width, value, stored } = reading;
    const grid = rowGrid(device, batch * channels, pixels / width);
    return {
      calls: [{
        kernel: DATA(name, device),
        specialize: { ...value, ...reading.x, ...reading.dy, ...stored },
        ...grid,
        params: {
          ...grid.params,
          channels,
          group_channels: groupChannels,
          silu: Number(silu),
        },
        bindings: { ...BACKWARD_INPUTS, means: input(5), dx: output() },
      }],
    };
  });
};
