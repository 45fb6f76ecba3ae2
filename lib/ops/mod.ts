/** The registry: every op by name. An op without a row does not compile. */

import type { OpDef, OpName } from "../graph/op.ts";
import { addOp } from "./add.ts";
import {
  conv2dBackwardBiasOp,
  conv2dBackwardDataOp,
  conv2dBackwardWeightOp,
  conv2dOp,
} from "./conv2d.ts";
import { guidanceOp, qSampleOp, schedulerStepOp } from "./diffusion.ts";
import { accumulateOp, adamwOp, logScalarOp } from "./optimizer.ts";
import { randomBitsOp, randomNormalOp } from "./random.ts";
import { scaleOp } from "./scale.ts";
import { siluBackwardOp, siluOp } from "./silu.ts";
import { packOp, viewOp } from "./view.ts";

export const OPS: Readonly<Record<OpName, OpDef>> = {
  add: addOp,
  conv2d: conv2dOp,
  conv2d_backward_bias: conv2dBackwardBiasOp,
  conv2d_backward_data: conv2dBackwardDataOp,
  conv2d_backward_weight: conv2dBackwardWeightOp,
  pack: packOp,
  scale: scaleOp,
  silu: siluOp,
  silu_backward: siluBackwardOp,
  accumulate: accumulateOp,
  adamw: adamwOp,
  guidance: guidanceOp,
  log_scalar: logScalarOp,
  q_sample: qSampleOp,
  random_bits: randomBitsOp,
  random_normal: randomNormalOp,
  scheduler_step: schedulerStepOp,
  view: viewOp,
};
