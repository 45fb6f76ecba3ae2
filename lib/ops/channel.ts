/** A value per image and channel added to its pixels, and the sums that are its gradient. */

import { type BufferRef, gridFor, input, output, scratch } from "../graph/kernel_call.ts";
import { type DeviceProfile, type OpDef, trafficOf } from "../graph/op.ts";
import { sameShape, show, sizeOf, type Tensor } from "../graph/tensor.ts";
import {
  ELEMENTWISE,
  f32,
  kernel,
  only,
  requireFloat,
  requireRank,
  requireStored,
} from "./common.ts";
import { storingOn, SUMMED } from "./lanes.ts";
import {
  foldGrid,
  type Reading,
  readingKernels,
  readings,
  reducingKernels,
  reductionWorkgroup,
  requireLoop,
  rowGrid,
  variantsOf,
} from "./rows.ts";
import addText from "../../kernels/add_channel/forward.wgsl" with { type: "text" };
import rowsText from "../../kernels/sum/rows.wgsl" with { type: "text" };
import columnsText from "../../kernels/sum/columns.wgsl" with { type: "text" };

const ADD = readingKernels("add_channel/forward.wgsl", addText, "x");
const ROWS = reducingKernels("sum/rows.wgsl", rowsText, ["x"], SUMMED);
const COLUMNS = kernel("sum/columns.wgsl", columnsText);

/** x [N,C,H,W] + v [N,C], the same for all pixels. */
export function addChannel(x: Tensor, v: Tensor): Tensor {
  return x.graph.append(addChannelOp, [x, v])[0];
}

/** [N,C]: the sum of each channel of x [N,C,H,W]. */
export function sumSpatial(x: Tensor): Tensor {
  return x.graph.append(sumSpatialOp, [x])[0];
}

/** [C]: the sum of each channel of all images of x [N,C,H,W]. */
export function sumChannels(x: Tensor): Tensor {
  return x.graph.append(sumSpatialOp, [x])[1];
}

export const addChannelOp: OpDef = {
  name: "add_channel",
  infer([x, v]) {
    requireStored("x", x);
    requireRank("x", x, 4);
    requireFloat("v", v);
    if (!sameShape(v.shape, x.shape.slice(0, 2))) {
      throw new Error(`${show("v", v)} must be [${x.shape.slice(0, 2)}], for ${show("x", x)}`);
    }
    return [x];
  },
  half: () => [{ inputs: [0], outputs: [0] }],
  vjp: (_, [dy], needs) => [dy, needs[1] ? sumSpatial(dy!) : undefined],
  reference([x, v], _, [{ shape: [, , height, width] }]) {
    return [x.map((a, i) => a + v[Math.floor(i / (height * width))])];
  },
  lower({ inputs: [x], device }) {
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
  },
  cost: (inputs, outputs) => ({
    flops: sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // One rounding of 2^-24.
  cases: [
    { name: "odd", inputs: [f32(3, 6, 5, 17), f32(3, 6)], attrs: {}, tolerance: 1e-7 },
    { name: "across chunks", inputs: [f32(1, 2, 50, 52), f32(1, 2)], attrs: {}, tolerance: 1e-7 },
  ],
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

/** Of x [N,C,H,W]: the sums of each image's channels [N,C], and of the channels of all [C]. */
export const sumSpatialOp: OpDef = {
  name: "sum_spatial",
  infer([x]) {
    requireStored("x", x);
    requireRank("x", x, 4);
    requireLoop("17/16 of the batch", Math.ceil(x.shape[0] * 17 / 16));
    return [f32(x.shape[0], x.shape[1]), f32(x.shape[1])];
  },
  half: () => [{ inputs: [0] }],
  vjp: "non-differentiable",
  reference([x], _, [{ shape: [batch, channels, height, width] }]) {
    const [y, total] = [new Float64Array(batch * channels), new Float64Array(channels)];
    x.forEach((v, i) => y[Math.floor(i / (height * width))] += v);
    y.forEach((v, i) => total[i % channels] += v);
    return [y, total];
  },
  lower({ inputs: [x], device }) {
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
  },
  cost: (inputs, outputs) => ({
    flops: sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Sums of numbers of both signs: a chain of k additions adds about √(k/2)·2^-25 of the result's
  // usual size; trees of 8, blocks of 16 and few blocks give at most 3e-7.
  cases: [
    { name: "odd", inputs: [f32(3, 6, 5, 17)], attrs: {}, tolerance: 3e-7 },
    { name: "batch 1", inputs: [f32(1, 2, 40, 40)], attrs: {}, tolerance: 3e-7 },
    { name: "one pixel", inputs: [f32(1, 6, 1, 1)], attrs: {}, tolerance: 0 },
    { name: "one pixel an image", inputs: [f32(3, 6, 1, 1)], attrs: {}, tolerance: 3e-7 },
    { name: "some images", inputs: [f32(37, 3, 4, 5)], attrs: {}, tolerance: 3e-7 },
    { name: "many images", inputs: [f32(1000, 70, 1, 1)], attrs: {}, tolerance: 4e-7 },
    // Rows that end where eight vec4s of a lane do, and where its next would begin.
    { name: "whole chunks", inputs: [f32(1, 2, 32, 32)], attrs: {}, tolerance: 3e-7 },
    { name: "chunks and a half", inputs: [f32(1, 2, 16, 30)], attrs: {}, tolerance: 3e-7 },
    {
      name: "large mean",
      inputs: [{ ...f32(2, 3, 128, 128), fill: { kind: "normal", mean: 1000 } }],
      attrs: {},
      tolerance: 3e-7,
    },
    {
      // One element an iteration, 8 lanes would each take 65,728: past the limit of 65,535.
      name: "long loop",
      inputs: [{ ...f32(1, 1, 513, 1025), fill: { kind: "uniform", low: 0, high: 1 } }],
      attrs: {},
      tolerance: 3e-7,
    },
  ],
};

/** [C]: the sum over the batch of x [N,C]. */
export const sumBatchOp: OpDef = {
  name: "sum_batch",
  infer([x]) {
    requireFloat("x", x);
    requireRank("x", x, 2);
    requireLoop("17/16 of the batch", Math.ceil(x.shape[0] * 17 / 16));
    return [f32(x.shape[1])];
  },
  vjp: "non-differentiable",
  reference([x], _, [{ shape: [, channels] }]) {
    const y = new Float64Array(channels);
    x.forEach((v, i) => y[i % channels] += v);
    return [y];
  },
  lower({ inputs: [{ shape: [batch, channels] }] }) {
    return only("columns", () => ({ calls: [columns(batch, channels, input(0), output())] }));
  },
  cost: (inputs, outputs) => ({
    flops: sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // As in sum_spatial.
  cases: [
    { name: "odd", inputs: [f32(3, 6)], attrs: {}, tolerance: 3e-7 },
    { name: "batch 1", inputs: [f32(1, 6)], attrs: {}, tolerance: 0 },
    { name: "many", inputs: [f32(1000, 70)], attrs: {}, tolerance: 4e-7 },
  ],
};
