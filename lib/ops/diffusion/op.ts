/** The arithmetic around the model: q-sample and the reverse step. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { requireFloat, requireSame } from "../common/checks.ts";
import { STEP_COEFFICIENTS } from "./shared.ts";
import { qSampleReference, schedulerStepReference } from "./reference.ts";
import { lowerQSample, lowerSchedulerStep } from "./lower.ts";
import { qSampleCases, schedulerStepCases } from "./cases.ts";

/** x_t of the forward process. x0, noise [N,…]; t i32 [N]; table [T,2]: √ᾱ and √(1−ᾱ). */
export function qSample(x0: Tensor, noise: Tensor, t: Tensor, table: Tensor): Tensor {
  return x0.graph.append(qSampleOp, [x0, noise, t, table])[0];
}

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
  reference: qSampleReference,
  lower: lowerQSample,
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: qSampleCases,
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
  reference: schedulerStepReference,
  lower: lowerSchedulerStep,
  cost: (inputs, outputs) => ({
    flops: 17 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: schedulerStepCases,
};
