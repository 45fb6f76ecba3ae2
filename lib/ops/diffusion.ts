/** The arithmetic around the model: q-sample, reverse step, guidance. */

import { gridFor, input, output } from "../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { ELEMENTWISE, f32, i32, kernel, only, requireFloat, requireSame } from "./common.ts";
import qSampleText from "../../kernels/q_sample/forward.wgsl" with { type: "text" };
import stepText from "../../kernels/scheduler_step/forward.wgsl" with { type: "text" };
import guidanceText from "../../kernels/guidance/forward.wgsl" with { type: "text" };

const Q_SAMPLE = kernel("q_sample/forward.wgsl", qSampleText);
const STEP = kernel("scheduler_step/forward.wgsl", stepText);
const GUIDANCE = kernel("guidance/forward.wgsl", guidanceText);

/** x_t of the forward process. x0, noise [N,…]; t i32 [N]; table [T,2]: √ᾱ and √(1−ᾱ). */
export function qSample(x0: Tensor, noise: Tensor, t: Tensor, table: Tensor): Tensor {
  return x0.graph.append(qSampleOp, [x0, noise, t, table])[0];
}

/** Number of coefficients of a reverse step: kx, ke, clip, lx, le, a, b, c, d, s and two unused. */
export const STEP_COEFFICIENTS = 12;

/**
 * One reverse step of any of the schedulers: see `lib/diffusion/` for the coefficients.
 * Shares the memory of x and previous, which must be states.
 *
 * @returns [x', the predicted x0].
 */
export function schedulerStep(
  e: Tensor,
  noise: Tensor,
  coefficients: Tensor,
  x: Tensor,
  previous: Tensor,
): Tensor[] {
  return e.graph.append(schedulerStepOp, [e, noise, coefficients, x, previous]);
}

/** u + strength·(c − u) of a doubled batch [2N,…], conditional half first; strength [1]. */
export function guidance(both: Tensor, strength: Tensor): Tensor {
  return both.graph.append(guidanceOp, [both, strength])[0];
}

export const qSampleOp: OpDef = {
  name: "q_sample",
  infer([x0, noise, t, table]) {
    requireFloat("x0", x0);
    requireSame("noise", noise, "x0", x0);
    if (t.dtype !== "i32" || sizeOf(t.shape) !== x0.shape[0]) {
      throw new Error(`t [${t.shape}] ${t.dtype} must be i32 [${x0.shape[0]}]`);
    }
    if (table.shape.length !== 2 || table.shape[1] !== 2) {
      throw new Error(`table [${table.shape}] must be [timesteps,2]`);
    }
    return [x0];
  },
  vjp: "non-differentiable",
  reference([x0, noise, t, table]) {
    const per = x0.length / t.length;
    return [x0.map((v, i) => {
      const step = t[Math.floor(i / per)];
      return table[2 * step] * v + table[2 * step + 1] * noise[i];
    })];
  },
  lower({ inputs: [x0, , , table] }) {
    const count = sizeOf(x0.shape);
    return only("elementwise", () => ({
      calls: [{
        kernel: Q_SAMPLE,
        params: { count, per_image: count / x0.shape[0], timesteps: table.shape[0] },
        bindings: { x0: input(0), noise: input(1), t: input(2), table: input(3), y: output() },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Three roundings.
  cases: [{
    name: "odd",
    inputs: [
      f32(3, 1, 6, 17),
      f32(3, 1, 6, 17),
      { ...i32(3), fill: { kind: "values", values: [0, 9, 4] } },
      f32(10, 2),
    ],
    attrs: {},
    tolerance: 3e-7,
  }],
};

export const schedulerStepOp: OpDef = {
  name: "scheduler_step",
  infer([e, noise, k, x, previous]) {
    requireFloat("e", e);
    requireSame("noise", noise, "e", e);
    requireSame("x", x, "e", e);
    requireSame("previous", previous, "e", e);
    if (sizeOf(k.shape) !== STEP_COEFFICIENTS) {
      throw new Error(`coefficients [${k.shape}] must be [${STEP_COEFFICIENTS}]`);
    }
    return [x, previous];
  },
  vjp: "non-differentiable",
  inPlace: { 0: 3, 1: 4 },
  reference([e, noise, k, x, previous]) {
    const x0 = x.map((v, i) => Math.min(Math.max(k[0] * v + k[1] * e[i], -k[2]), k[2]));
    const next = x.map((v, i) =>
      k[5] * v + k[6] * x0[i] + k[7] * (k[3] * v + k[4] * e[i]) + k[8] * previous[i] +
      k[9] * noise[i]
    );
    return [next, x0];
  },
  lower({ inputs: [e] }) {
    const count = sizeOf(e.shape);
    return only("elementwise", () => ({
      calls: [{
        kernel: STEP,
        params: { count },
        bindings: {
          e: input(0),
          noise: input(1),
          k: input(2),
          x: output(0),
          previous: output(1),
        },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 17 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Sums of up to five products; x0 of its own comes from a difference of large terms.
  cases: [{
    name: "odd",
    inputs: [
      f32(3, 1, 6, 17),
      f32(3, 1, 6, 17),
      {
        ...f32(STEP_COEFFICIENTS),
        fill: { kind: "values", values: [3, -2.5, 1, 0.1, 0.9, 0.4, 0.6, 0.2, -0.3, 0.05, 0, 0] },
      },
      f32(3, 1, 6, 17),
      f32(3, 1, 6, 17),
    ],
    attrs: {},
    tolerance: 1e-6,
  }],
};

export const guidanceOp: OpDef = {
  name: "guidance",
  infer([both, strength]) {
    requireFloat("both", both);
    if (both.shape[0] % 2) throw new Error(`both [${both.shape}] must have an even batch`);
    if (sizeOf(strength.shape) !== 1) throw new Error(`strength [${strength.shape}] must be [1]`);
    return [{ shape: [both.shape[0] / 2, ...both.shape.slice(1)], dtype: "f32" }];
  },
  vjp: "non-differentiable",
  reference([both, [s]]) {
    const half = both.length / 2;
    return [both.slice(0, half).map((c, i) => both[half + i] + s * (c - both[half + i]))];
  },
  lower({ outputs: [e] }) {
    const count = sizeOf(e.shape);
    return only("elementwise", () => ({
      calls: [{
        kernel: GUIDANCE,
        params: { count },
        bindings: { both: input(0), strength: input(1), e: output() },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: [{ name: "odd", inputs: [f32(6, 1, 5, 17), f32(1)], attrs: {}, tolerance: 4e-7 }],
};
