/** channel: kernel calls, the variants to choose from. */

import { type BufferRef, gridFor, input, output, scratch } from "../../graph/kernel_call.ts";
import type { DeviceProfile, OpDef } from "../../graph/op.ts";
import { ELEMENTWISE, kernel, only } from "../common/checks.ts";
import { storingOn, SUMMED } from "../common/subgroup_sharing.ts";
import {
  foldGrid,
  type Reading,
  readingKernels,
  readings,
  reducingKernels,
  reductionWorkgroup,
  rowGrid,
  variantsOf,
} from "../common/vectorized_access.ts";
import addText from "../../../kernels/add_channel/forward.wgsl" with { type: "text" };
import rowsText from "../../../kernels/sum/rows.wgsl" with { type: "text" };
import columnsText from "../../../kernels/sum/columns.wgsl" with { type: "text" };

const ADD = readingKernels("add_channel/forward.wgsl", addText, "x");

const ROWS = reducingKernels("sum/rows.wgsl", rowsText, ["x"], SUMMED);

const COLUMNS = kernel("sum/columns.wgsl", columnsText);

export const lowerAddChannel: OpDef["lower"] = ({ inputs: [x], device }) => {
  const [batch, channels, height, wide] = x.shape;
  return variantsOf(readings(device, x, height * wide), ({ name, width, value, x, stored }) => {
    const grid = rowGrid(device, batch * channels, height * wide / width);
    return {
      calls: [{
        kernel: ADD[name],
        specialize: { ...value, ...x, ...stored },
        ...grid,
        bindings: { x: input(0), v: input(1), y: output() },
      }],
    };
  });
};

/**
 * Whether a workgroup may sum a channel of all images, `length` units each: it joins what its lanes have
 * without workgroup memory, and no chain nor loop of software Vulkan gets too long.
 */
function fitsOnePass(device: DeviceProfile, batch: number, length: number): boolean {
  if (storingOn(device) === "alone") return false;
  const lane = length / reductionWorkgroup(device);
  return batch <= 64 && batch * (Math.ceil(lane / 8 + lane / 128) + 9) <= 65535;
}

const columns = (batch: number, channels: number, x: BufferRef, y: BufferRef) => ({
  kernel: COLUMNS,
  params: { batch, channels },
  bindings: { x, y },
  workgroups: gridFor(channels, ELEMENTWISE),
});

export const lowerSumSpatial: OpDef["lower"] = ({ inputs: [x], device }) => {
  const [batch, channels, height, wide] = x.shape;
  const ways = readings(device, x, height * wide);
  const rows = (
    { name, width, value, lanes, ...r }: Reading,
    images: number,
    total: BufferRef,
  ) => ({
    kernel: ROWS(name, device),
    constants: { WORKGROUP: reductionWorkgroup(device) },
    specialize: { ...value, ...lanes, ...r.x },
    params: { batch, channels, length: height * wide / width, images },
    bindings: { x: input(0), y: output(0), total },
    workgroups: foldGrid(channels * Math.ceil(batch / images)),
  });
  const onePass = variantsOf(
    ways.filter(({ width }) => fitsOnePass(device, batch, height * wide / width)),
    (reading) => ({ calls: [rows(reading, batch, output(1))] }),
  );
  const twoPasses = variantsOf(ways, (reading) => ({
    scratch: [4 * batch * channels],
    calls: [rows(reading, 1, scratch()), columns(batch, channels, scratch(), output(1))],
  })).map((v) => ({ ...v, name: `${v.name}_two_passes` }));
  return [...onePass, ...twoPasses];
};

export const lowerSumBatch: OpDef["lower"] = ({ inputs: [{ shape: [batch, channels] }] }) => {
  return only("columns", () => ({ calls: [columns(batch, channels, input(0), output())] }));
};
