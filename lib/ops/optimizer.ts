/** Updates of flat buffers: gradient accumulation, AdamW with EMA, the loss log. */

import { gridFor, input, type KernelCall, output } from "../graph/kernel_call.ts";
import { type OpDef, trafficOf, type Variant } from "../graph/op.ts";
import { sizeOf, type Tensor, type TensorType } from "../graph/tensor.ts";
import { ELEMENTWISE, f32, i32, kernel, only, requireFloat, requireSame } from "./common.ts";
import { storingFour, storingOn } from "./lanes.ts";
import { storageOrStaged } from "./rows.ts";
import stagedLibrary from "../../kernels/lib/staged.wgsl" with { type: "text" };
import adamwStagedText from "../../kernels/adamw/update_staged.wgsl" with { type: "text" };
import adamwText from "../../kernels/adamw/update.wgsl" with { type: "text" };
import accumulateText from "../../kernels/accumulate/forward.wgsl" with { type: "text" };
import logText from "../../kernels/log_scalar/forward.wgsl" with { type: "text" };

const ADAMW = kernel("adamw/update.wgsl", adamwText);
const ADAMW_STAGED = storingFour("adamw/update_staged.wgsl", adamwStagedText, stagedLibrary);
const ACCUMULATE = kernel("accumulate/forward.wgsl", accumulateText);
const LOG = kernel("log_scalar/forward.wgsl", logText);

/** Length of AdamW's `hyper`; `lib/train/adamw.ts` fills it. */
export const ADAMW_HYPER = 12;

/** One AdamW and EMA update, in place: the four states are p, m, v and ema, all [n]. */
export function adamw(
  g: Tensor,
  hyper: Tensor,
  states: readonly [p: Tensor, m: Tensor, v: Tensor, ema: Tensor],
): Tensor[] {
  return g.graph.append(adamwOp, [g, hyper, ...states]);
}

/** sum' = keep·sum + weight·g, in place; control [2]: keep (0 or 1), weight. */
export function accumulate(g: Tensor, control: Tensor, sum: Tensor): Tensor {
  return g.graph.append(accumulateOp, [g, control, sum])[0];
}

/** log[index] = value, in place. */
export function logScalar(value: Tensor, index: Tensor, log: Tensor): Tensor {
  return log.graph.append(logScalarOp, [value, index, log])[0];
}

function requireSize(name: string, type: TensorType, size: number): void {
  if (sizeOf(type.shape) !== size) throw new Error(`${name} [${type.shape}] must be [${size}]`);
}

export const adamwOp: OpDef = {
  name: "adamw",
  infer([g, hyper, p, m, v, ema]) {
    requireFloat("g", g);
    requireSize("hyper", hyper, ADAMW_HYPER);
    for (const [name, t] of Object.entries({ p, m, v, ema })) requireSame(name, t, "g", g);
    return [p, m, v, ema];
  },
  vjp: "non-differentiable",
  inPlace: { 0: 2, 1: 3, 2: 4, 3: 5 },
  reference([g, h, p, m, v, ema]) {
    const out = [p, m, v, ema].map((t) => t.slice());
    for (let i = 0; i < g.length; i++) {
      if (h[10] !== 0) {
        const gradient = g[i] * h[11];
        out[1][i] = m[i] + h[1] * (gradient - m[i]);
        out[2][i] = h[2] * v[i] + h[3] * gradient * gradient;
        out[0][i] = p[i] * h[5] - h[6] * out[1][i] / (Math.sqrt(out[2][i]) / h[7] + h[4]);
      }
      out[3][i] = ema[i] + h[9] * (out[0][i] - ema[i]);
    }
    return out;
  },
  lower({ inputs: [g, _hyper, ...states], device }) {
    const count4 = Math.ceil(sizeOf(g.shape) / 4);
    const variant = (name: string, call: Pick<KernelCall, "kernel" | "bindings">): Variant => ({
      name,
      exact: true,
      build: () => ({
        calls: [{
          ...call,
          params: { count4 },
          workgroups: gridFor(count4, ELEMENTWISE),
        }],
      }),
    });
    const bindings = {
      g: input(0),
      hyper: input(1),
      p: output(0),
      m: output(1),
      v: output(2),
      ema: output(3),
    };
    const before = {
      p_before: input(2),
      m_before: input(3),
      v_before: input(4),
      ema_before: input(5),
    };
    return storageOrStaged(
      device,
      [g, ...states],
      variant("vec4", { kernel: ADAMW, bindings }),
      variant("staged", {
        kernel: ADAMW_STAGED[storingOn(device)],
        bindings: { ...bindings, ...before },
      }),
    );
  },
  cost: (inputs, outputs) => ({
    flops: 16 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // A dozen roundings; p is the sum of a large and a small term.
  cases: [
    [1, "step"],
    [0, "ema only"],
  ].map(([apply, name]) => ({
    name: name as string,
    inputs: [
      f32(103),
      {
        ...f32(ADAMW_HYPER),
        fill: {
          kind: "values",
          values: [
            1e-3,
            0.1,
            0.999,
            0.001,
            1e-8,
            0.9999,
            0.005,
            0.1,
            0.9,
            0.1,
            apply as number,
            0.5,
          ],
        },
      },
      f32(103),
      f32(103),
      { ...f32(103), fill: { kind: "uniform", low: 0, high: 2 } },
      f32(103),
    ],
    attrs: {},
    tolerance: 5e-7,
  })),
};

export const accumulateOp: OpDef = {
  name: "accumulate",
  infer([g, control, sum]) {
    requireFloat("g", g);
    requireSize("control", control, 2);
    requireSame("sum", sum, "g", g);
    return [sum];
  },
  vjp: "non-differentiable",
  inPlace: { 0: 2 },
  reference: ([g, [keep, weight], sum]) => [g.map((v, i) => (keep ? sum[i] : 0) + weight * v)],
  lower({ inputs: [g] }) {
    const count4 = Math.ceil(sizeOf(g.shape) / 4);
    return only("vec4", () => ({
      calls: [{
        kernel: ACCUMULATE,
        params: { count4 },
        bindings: { g: input(0), control: input(1), sum: output() },
        workgroups: gridFor(count4, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: [[0, 0.5], [1, 0.25]].map((values) => ({
    name: values[0] ? "adds" : "starts",
    inputs: [f32(103), { ...f32(2), fill: { kind: "values", values } }, f32(103)],
    attrs: {},
    tolerance: 2e-7,
  })),
};

export const logScalarOp: OpDef = {
  name: "log_scalar",
  infer([value, index, log]) {
    requireSize("value", value, 1);
    requireSize("index", index, 1);
    return [log];
  },
  vjp: "non-differentiable",
  inPlace: { 0: 2 },
  reference([[value], [index], log]) {
    const next = log.slice();
    next[index] = value;
    return [next];
  },
  lower({ inputs: [, , log] }) {
    return only("single", () => ({
      calls: [{
        kernel: LOG,
        params: { count: sizeOf(log.shape) },
        bindings: { value: input(0), index: input(1), log_values: output() },
        workgroups: [1, 1, 1],
      }],
    }));
  },
  cost: () => ({ flops: 0, bytes: 8 }),
  cases: [0, 3, 8].map((value) => ({
    name: `place ${value}`,
    inputs: [f32(1), { ...i32(1), fill: { kind: "constant", value } }, f32(9)],
    attrs: {},
    tolerance: 0,
  })),
};
