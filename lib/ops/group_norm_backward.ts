/** The gradient of group normalisation: sums per channel, totals of them, then the input's. */

import { gridFor, input, type Lowering, output } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, type TensorType } from "../graph/tensor.ts";
import {
  ELEMENTWISE,
  f32,
  kernel,
  only,
  requireRank,
  requireSame,
  requireStored,
  storedType,
} from "./common.ts";
import { dimensions, positive, requireGroups, requireParts } from "./group_norm_shared.ts";
import {
  foldGrid,
  readings,
  reducingKernels,
  reductionWorkgroup,
  rowGrid,
  storingKernels,
  variantsOf,
} from "./rows.ts";
import sumsText from "../../kernels/group_norm/backward_sums.wgsl" with { type: "text" };
import totalsText from "../../kernels/group_norm/backward_totals.wgsl" with { type: "text" };
import dataText from "../../kernels/group_norm/backward_data.wgsl" with { type: "text" };

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

/** dL/dz per element, given dL/dy: through SiLU where it was applied. */
function normalised(
  [x, dy, stats, weight, bias]: readonly Float64Array[],
  silu: boolean,
  type: TensorType,
  groups: number,
) {
  const { channels, pixels, groupChannels } = dimensions(type, groups);
  return (i: number) => {
    const row = Math.floor(i / pixels), c = row % channels, group = Math.floor(row / groupChannels);
    const rstd = stats[2 * group + 1];
    const xhat = (x[i] - stats[2 * group]) * rstd;
    const z = xhat * weight[c] + bias[c];
    const s = 1 / (1 + Math.exp(-z));
    const g = silu ? dy[i] * s * (1 + z * (1 - s)) : dy[i];
    return { row, c, group, rstd, xhat, g };
  };
}

/** Cases of the two ops that read x, dy, stats, weight, bias (and `more`). */
function backwardCases(
  more: (batch: number, groups: number) => TensorType[],
  tolerance: number,
): OpCase[] {
  const make = (name: string, shape: number[], groups: number, silu: boolean): OpCase => ({
    name,
    inputs: [
      f32(...shape),
      f32(...shape),
      positive(shape[0], groups, 2),
      f32(shape[1]),
      f32(shape[1]),
      ...more(shape[0], groups),
    ],
    attrs: { silu },
    tolerance,
  });
  return [
    make("odd", [3, 6, 5, 17], 3, false),
    make("odd silu", [3, 6, 5, 17], 3, true),
    make("vec4 across chunks", [1, 4, 50, 52], 2, true),
    // Rows that end where four vec4s of a lane do, and where its next would begin.
    make("whole chunks", [1, 4, 16, 32], 2, true),
    make("chunks and a half", [1, 4, 14, 16], 2, true),
    // One element an iteration, 8 lanes would each take 65,728: past the limit of 65,535.
    make("long loop", [1, 1, 513, 1025], 1, true),
  ];
}

export const groupNormSumsOp: OpDef = {
  name: "group_norm_sums",
  infer([x, dy, stats, weight, bias]) {
    requireParts(x, stats, weight, bias);
    requireStored("dy", dy);
    requireSame("dy", dy, "x", x);
    return [f32(x.shape[0], x.shape[1], 2)];
  },
  half: () => [{ inputs: [0] }, { inputs: [1] }],
  vjp: "non-differentiable",
  reference(inputs, { silu }, [type, , { shape: [, groups] }]) {
    const at = normalised(inputs, silu, type, groups);
    const sums = new Float64Array(2 * type.shape[0] * type.shape[1]);
    for (let i = 0; i < inputs[0].length; i++) {
      const { row, g, xhat } = at(i);
      sums[2 * row] += g;
      sums[2 * row + 1] += g * xhat;
    }
    return [sums];
  },
  lower({ inputs: [x, dy, stats], attrs: { silu }, device }) {
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
  },
  cost: (inputs, outputs) => ({
    flops: 14 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Sums of terms of both signs: exp's few 2^-24 an element, and chains of at most 16 + length/4096.
  cases: backwardCases(() => [], 1e-6),
};

/**
 * From the sums [N,C,2] of `group_norm_sums`, weight [C] and attrs `groups` and `pixels` (of an image):
 * means [N,G,2], which the input's gradient needs, and the gradients of weight and bias [C].
 */
export const groupNormTotalsOp: OpDef = {
  name: "group_norm_totals",
  infer([sums, weight], { groups, pixels }) {
    requireRank("sums", sums, 3);
    const [batch, channels] = sums.shape;
    requireGroups(f32(batch, channels, pixels, 1), groups);
    requireSame("sums", sums, "required", f32(batch, channels, 2));
    requireSame("weight", weight, "required", f32(channels));
    return [f32(batch, groups, 2), f32(channels), f32(channels)];
  },
  vjp: "non-differentiable",
  reference([sums, weight], { groups, pixels }, [{ shape: [batch, channels] }]) {
    const groupChannels = channels / groups;
    const means = new Float64Array(2 * batch * groups);
    const [dweight, dbias] = [new Float64Array(channels), new Float64Array(channels)];
    for (let row = 0; row < batch * channels; row++) {
      const c = row % channels, group = Math.floor(row / groupChannels);
      for (const k of [0, 1]) {
        means[2 * group + k] += weight[c] * sums[2 * row + k] / (groupChannels * pixels);
      }
      dbias[c] += sums[2 * row];
      dweight[c] += sums[2 * row + 1];
    }
    return [means, dweight, dbias];
  },
  lower({ inputs: [{ shape: [batch, channels] }], attrs: { groups, pixels } }) {
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
  },
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Chains of three to five terms of both signs.
  cases: [
    {
      name: "more channels than groups",
      inputs: [f32(3, 6, 2), f32(6)],
      attrs: { groups: 2, pixels: 35 },
      tolerance: 3e-7,
    },
    {
      name: "more groups than channels",
      inputs: [f32(5, 70, 2), f32(70)],
      attrs: { groups: 35, pixels: 3 },
      tolerance: 3e-7,
    },
    {
      // A channel a group, weights of 1: nothing is rounded.
      name: "batch 1",
      inputs: [f32(1, 70, 2), { ...f32(70), fill: { kind: "constant", value: 1 } }],
      attrs: { groups: 70, pixels: 1 },
      tolerance: 0,
    },
  ],
};

export const groupNormDataGradientOp: OpDef = {
  name: "group_norm_data_gradient",
  infer([x, dy, stats, weight, bias, means], attrs) {
    requireParts(x, stats, weight, bias);
    requireStored("dy", dy);
    requireSame("dy", dy, "x", x);
    requireSame("means", means, "stats", stats);
    return [{ shape: x.shape, dtype: storedType(attrs) }];
  },
  half: () => [{ inputs: [0] }, { inputs: [1] }, { outputs: [0], named: true }],
  vjp: "non-differentiable",
  reference(inputs, { silu }, [type, , { shape: [, groups] }]) {
    const [weight, means] = [inputs[3], inputs[5]];
    const at = normalised(inputs, silu, type, groups);
    return [inputs[0].map((_, i) => {
      const { c, group, rstd, xhat, g } = at(i);
      return rstd * (weight[c] * g - means[2 * group] - xhat * means[2 * group + 1]);
    })];
  },
  lower({ inputs: [x, dy, stats], outputs: [dx], attrs: { silu }, device }) {
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
  },
  cost: (inputs, outputs) => ({
    flops: 16 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // About ten roundings, and exp's 3 + 2|z| ULP.
  cases: backwardCases((batch, groups) => [f32(batch, groups, 2)], 1e-6),
};
