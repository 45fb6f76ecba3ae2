/** Updates of flat buffers: gradient accumulation, AdamW with EMA, the loss log. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor, type TensorType } from "../../graph/tensor.ts";
import { requireFloat, requireSame } from "../common/checks.ts";
import { ADAMW_HYPER } from "./shared.ts";
import { accumulateReference, adamwReference, logScalarReference } from "./reference.ts";
import { lowerAccumulate, lowerAdamw, lowerLogScalar } from "./lower.ts";
import { accumulateCases, adamwCases, logScalarCases } from "./cases.ts";

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
  reference: adamwReference,
  lower: lowerAdamw,
  cost: (inputs, outputs) => ({
    flops: 16 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: adamwCases,
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
  reference: accumulateReference,
  lower: lowerAccumulate,
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: accumulateCases,
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
  reference: logScalarReference,
  lower: lowerLogScalar,
  cost: () => ({ flops: 0, bytes: 8 }),
  cases: logScalarCases,
};
