/** Dynamic loss scaling for f16 gradients, decided on the device: nothing waits for it. */

import { input, output, scratch } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { f32, i32, kernel } from "./common.ts";
import { CLIP_BLOCK, requireGradient, sumOfSquares, withSquares } from "./gradient_clip.ts";
import { ADAMW_HYPER } from "./optimizer.ts";
import { readings, variantsOf } from "./rows.ts";
import { REDUCE, SUMMED } from "./lanes.ts";
import updateText from "../../kernels/loss_scale/update.wgsl" with { type: "text" };

const UPDATE = kernel("loss_scale/update.wgsl", `${updateText}\n${REDUCE.alone}`, SUMMED);

/** Elements of the state: scale, growth_tracker, steps skipped, steps taken. */
export const LOSS_SCALE_STATE = 4;

/** As `torch.amp.GradScaler` has them. */
export interface LossScaleOptions {
  readonly growthFactor: number;
  readonly backoffFactor: number;
  /** Steps in a row without overflow after which the scale grows. */
  readonly growthInterval: number;
  /** Largest global norm of the true gradient, see `gradientClip`. */
  readonly maxNorm?: number;
}

/**
 * AdamW's hyper-parameters for a gradient that is the true one times the loss scale: divided by it,
 * clipped, bias corrections for the steps that were taken; and none applied if the gradient holds
 * infinity or NaN. Then the scale changes, in place in `state`.
 *
 * @param filled as in `gradientClip`.
 * @param logBetas [2]: ln β1, ln β2.
 * @returns [hyper', the norm before clipping [1], the new state].
 */
export function lossScale(
  g: Tensor,
  filled: Tensor,
  hyper: Tensor,
  logBetas: Tensor,
  state: Tensor,
  { maxNorm = 3e38, ...options }: LossScaleOptions,
): [adjusted: Tensor, norm: Tensor, state: Tensor] {
  const inputs = [g, filled, hyper, logBetas, state];
  const [adjusted, norm, next] = g.graph.append(lossScaleOp, inputs, { ...options, maxNorm });
  return [adjusted, norm, next];
}

export const lossScaleOp: OpDef = {
  name: "loss_scale",
  infer([g, filled, hyper, logBetas, state]) {
    requireGradient(g, filled, hyper);
    if (sizeOf(logBetas.shape) !== 2) throw new Error(`log_betas [${logBetas.shape}] must be [2]`);
    if (sizeOf(state.shape) !== LOSS_SCALE_STATE) {
      throw new Error(`state [${state.shape}] must be [${LOSS_SCALE_STATE}]`);
    }
    return [f32(ADAMW_HYPER), f32(1), state];
  },
  vjp: "non-differentiable",
  inPlace: { 2: 4 },
  reference([g, filled, hyper, logBetas, [scale, tracker, skipped, steps]], attrs) {
    const norm = Math.abs(hyper[11]) * Math.sqrt(sumOfSquares(g, filled)) / scale;
    const finite = Number.isFinite(norm);
    const adjusted = hyper.slice();
    const [c1, c2] = logBetas.map((log) => -Math.expm1((steps + 1) * log));
    adjusted.set([hyper[0] / c1, Math.sqrt(c2)], 6);
    if (!finite) adjusted[10] = 0;
    adjusted[11] = hyper[11] / scale * Math.min(1, attrs.maxNorm / (norm + 1e-6));
    const grows = tracker + 1 >= attrs.growthInterval;
    const next = hyper[10] === 0
      ? [scale, tracker, skipped, steps]
      : finite
      ? [scale * (grows ? attrs.growthFactor : 1), grows ? 0 : tracker + 1, skipped, steps + 1]
      : [scale * attrs.backoffFactor, 0, skipped + 1, steps];
    return [adjusted, Float64Array.of(norm), Float64Array.from(next)];
  },
  lower({ inputs: [g, filled], attrs, device }) {
    return variantsOf(
      readings(device, g, CLIP_BLOCK),
      (reading) =>
        withSquares(filled, device, reading, (count) => ({
          kernel: UPDATE,
          params: {
            count,
            most: attrs.maxNorm,
            growth_factor: attrs.growthFactor,
            backoff_factor: attrs.backoffFactor,
            growth_interval: attrs.growthInterval,
          },
          bindings: {
            partials: scratch(),
            hyper: input(2),
            log_betas: input(3),
            adjusted: output(0),
            norm: output(1),
            state: output(2),
          },
          workgroups: [1, 1, 1],
          note: "update",
        })),
    );
  },
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // As in gradient_clip; 1 − β^t has a relative error of a few 2^-24.
  cases: [
    { name: "taken", state: [65536, 3, 1, 5] },
    { name: "scale grows", state: [65536, 1999, 0, 1999], maxNorm: 2e-4 },
    { name: "first step", state: [1, 0, 4, 0] },
    { name: "not due", state: [1024, 1999, 2, 70], apply: 0 },
    { name: "late", state: [2, 7, 1, 50_000], blocks: 2048 },
  ].map(({ name, state, apply = 1, maxNorm = 3e38, blocks = 5 }): OpCase => ({
    name,
    inputs: [
      f32(CLIP_BLOCK * blocks),
      { ...i32(blocks), fill: { kind: "values", values: [64, 1, 0, 33, 63] } },
      {
        ...f32(ADAMW_HYPER),
        fill: {
          kind: "values",
          values: [1e-3, 0.1, 0.999, 1e-3, 1e-8, 1, 9, 9, 0, 0.1, apply, 0.5],
        },
      },
      { ...f32(2), fill: { kind: "values", values: [Math.log(0.9), Math.log(0.999)] } },
      { ...f32(LOSS_SCALE_STATE), fill: { kind: "values", values: state } },
    ],
    attrs: { growthFactor: 2, backoffFactor: 0.5, growthInterval: 2000, maxNorm },
    tolerance: 1e-6,
  })),
};
