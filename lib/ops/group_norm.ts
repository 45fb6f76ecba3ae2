/** Group normalisation with affine and optional SiLU: statistics, application, and their gradient. */

import { input, output } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { f32, storedType } from "./common.ts";
import {
  groupNormDataGradientOp,
  groupNormSumsOp,
  groupNormTotalsOp,
} from "./group_norm_backward.ts";
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
import statsText from "../../kernels/group_norm/stats.wgsl" with { type: "text" };
import applyText from "../../kernels/group_norm/apply.wgsl" with { type: "text" };

const STATS = reducingKernels("group_norm/stats.wgsl", statsText, ["x"]);
const APPLY = storingKernels("group_norm/apply.wgsl", applyText, "x");

/** What {@link groupNorm} takes together, and what it does afterwards. */
export interface GroupNormOptions {
  /** Divides the number of channels. */
  readonly groups: number;
  /** Added to the variance. */
  readonly eps: number;
  /** Also apply x·sigmoid(x). */
  readonly silu?: boolean;
}

/**
 * y = (x − mean) / √(variance + eps) · weight + bias, mean and variance over the channels of a group
 * and all pixels, then SiLU if asked: torch.nn.GroupNorm. x [N,C,H,W]; weight, bias [C].
 *
 * @example
 * ```ts
 * import { f32, Graph, groupNorm, interpret, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(1, 2, 1, 1));
 * const [w, b] = ["w", "b"].map((name) => g.input(name, f32(2)));
 * g.output("y", groupNorm(x, w, b, { groups: 1, eps: 0 }));
 * interpret(g, OPS, { x: [1, 3], w: [1, 1], b: [0, 0] }).outputs.get("y"); // [-1, 1]
 * ```
 */
export function groupNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { groups, eps, silu = false }: GroupNormOptions,
): Tensor {
  const stats = groupNormStats(x, { groups, eps });
  return x.graph.append(groupNormApplyOp, [x, stats, weight, bias], { groups, silu })[0];
}

/** [N,G,2]: mean and 1/√(variance + eps) of each group of x [N,C,H,W]. */
export function groupNormStats(x: Tensor, { groups, eps }: GroupNormOptions): Tensor {
  return x.graph.append(groupNormStatsOp, [x], { groups, eps })[0];
}

export const groupNormStatsOp: OpDef = {
  name: "group_norm_stats",
  infer([x], { groups }) {
    requireGroups(x, groups);
    return [f32(x.shape[0], groups, 2)];
  },
  half: () => [{ inputs: [0] }],
  // The gradient of group_norm_apply holds the way through the statistics.
  vjp: "non-differentiable",
  reference([x], { groups, eps }, [type]) {
    const { batch, size } = dimensions(type, groups);
    const stats = new Float64Array(2 * batch * groups);
    for (let g = 0; g < batch * groups; g++) {
      const values = x.subarray(g * size, (g + 1) * size);
      const mean = values.reduce((a, v) => a + v, 0) / size;
      const variance = values.reduce((a, v) => a + (v - mean) ** 2, 0) / size;
      stats.set([mean, 1 / Math.sqrt(variance + eps)], 2 * g);
    }
    return [stats];
  },
  lower({ inputs: [x], attrs: { groups, eps }, device }) {
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
  },
  cost: (inputs, outputs) => ({
    flops: 4 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // A mean of 16,384 values summed in trees of 8 and chains of 64: about √64·2^-25 relative.
  cases: [
    { name: "odd", inputs: [f32(3, 6, 5, 17)], attrs: { groups: 3, eps: 1e-5 }, tolerance: 4e-7 },
    {
      name: "batch 1",
      inputs: [f32(1, 6, 4, 6)],
      attrs: { groups: 6, eps: 1e-6 },
      tolerance: 4e-7,
    },
    {
      name: "constant",
      inputs: [{ ...f32(1, 4, 8, 9), fill: { kind: "constant", value: 3.7 } }],
      attrs: { groups: 2, eps: 1e-5 },
      tolerance: 4e-7,
    },
    {
      name: "large mean",
      inputs: [{ ...f32(1, 8, 32, 32), fill: { kind: "normal", mean: 1000 } }],
      attrs: { groups: 4, eps: 1e-5 },
      tolerance: 4e-7,
    },
    {
      // One element an iteration, 8 lanes would each take 131,072: past the limit of 65,535.
      name: "long loop",
      inputs: [f32(1, 1, 1023, 1025)],
      attrs: { groups: 1, eps: 1e-5 },
      tolerance: 1e-6,
    },
  ],
};

export const groupNormApplyOp: OpDef = {
  name: "group_norm_apply",
  infer([x, stats, weight, bias], attrs) {
    requireParts(x, stats, weight, bias);
    return [{ shape: x.shape, dtype: storedType(attrs) }];
  },
  half: () => [{ inputs: [0] }, { outputs: [0], named: true }],
  /** `stats` must be those of x: dx includes the way through them. */
  vjp({ inputs: [x, stats, weight, bias], attrs: { silu } }, [dy], needs) {
    const { graph } = x;
    const all = [x, dy!, stats, weight, bias];
    const sums = graph.append(groupNormSumsOp, all, { silu })[0];
    const [groups, pixels] = [stats.shape[1], x.shape[2] * x.shape[3]];
    const [means, dweight, dbias] = graph.append(groupNormTotalsOp, [sums, weight], {
      groups,
      pixels,
    });
    const dx = needs[0]
      ? graph.append(groupNormDataGradientOp, [...all, means], { silu })[0]
      : undefined;
    return [dx, undefined, dweight, dbias];
  },
  reference([x, stats, weight, bias], { silu }, [type, { shape: [, groups] }]) {
    const { channels, pixels, groupChannels } = dimensions(type, groups);
    return [x.map((v, i) => {
      const row = Math.floor(i / pixels), c = row % channels, g = Math.floor(row / groupChannels);
      const z = (v - stats[2 * g]) * stats[2 * g + 1] * weight[c] + bias[c];
      return silu ? z / (1 + Math.exp(-z)) : z;
    })];
  },
  lower({ inputs: [x, stats], outputs: [y], attrs: { silu }, device }) {
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
  },
  cost: (inputs, outputs) => ({
    flops: 8 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Statistics are an input of their own here, so differences would not see the way through them:
  // tests/ops/group_norm_test.ts checks the gradient of the whole.
  // Six roundings of 2^-24, and exp's 3 + 2|z| ULP with SiLU.
  cases: [false, true].map((silu): OpCase => ({
    name: silu ? "odd silu" : "odd",
    inputs: [f32(3, 6, 5, 17), positive(3, 3, 2), f32(6), f32(6)],
    attrs: { groups: 3, silu },
    tolerance: silu ? 1e-6 : 4e-7,
    checkGradient: false,
  })).concat([
    {
      name: "vec4 across chunks",
      inputs: [f32(1, 4, 50, 52), positive(1, 2, 2), f32(4), f32(4)],
      attrs: { groups: 2, silu: true },
      tolerance: 1e-6,
      checkGradient: false,
    },
    {
      name: "large mean",
      inputs: [
        { ...f32(1, 2, 8, 8), fill: { kind: "normal", mean: 1000 } },
        { ...f32(1, 1, 2), fill: { kind: "values", values: [1000, 1] } },
        f32(2),
        f32(2),
      ],
      attrs: { groups: 1, silu: false },
      tolerance: 4e-7,
      checkGradient: false,
    },
  ]),
};
