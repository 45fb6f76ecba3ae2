/** The registry: every op by name. An op without a row does not compile. */

import type { OpDef, OpName } from "../graph/op.ts";
import { addOp } from "./add/op.ts";
import { conv2dBackwardDataOp, conv2dBackwardWeightOp, conv2dOp } from "./conv2d/op.ts";
import { conv2dFlatOp } from "./conv2d/flat.ts";
import { conv2dNormalisedOp } from "./conv2d/normalised.ts";
import {
  conv2dUpsampledBackwardDataOp,
  conv2dUpsampledBackwardWeightOp,
  conv2dUpsampledOp,
} from "./conv2d/upsampled_op.ts";
import { guidanceRescaleOp } from "./guidance/op.ts";
import { blendOp } from "./blend/op.ts";
import { qSampleOp, schedulerStepOp } from "./diffusion/op.ts";
import { guidanceOp } from "./guidance/op.ts";
import { accumulateOp, adamwOp, logScalarOp } from "./optimizer/op.ts";
import { randomBitsOp, randomNormalOp } from "./random/op.ts";
import { scaleOp } from "./scale/op.ts";
import { siluBackwardOp, siluOp } from "./silu/op.ts";
import { packOp, viewOp } from "./view/op.ts";
import { groupNormApplyOp, groupNormStatsOp } from "./group_norm/op.ts";
import {
  groupNormDataGradientOp,
  groupNormSumsOp,
  groupNormTotalsOp,
} from "./group_norm/backward.ts";
import { upsampleNearest2xBackwardOp, upsampleNearest2xOp } from "./upsample/op.ts";
import { concatOp, sliceBackwardOp, sliceOp } from "./concat/op.ts";
import { addChannelOp, sumBatchOp, sumSpatialOp } from "./channel/op.ts";
import { averagePool2dOp, maxPool2dOp } from "./pool2d/op.ts";
import { reluOp } from "./relu/op.ts";
import { unfold2dOp } from "./unfold2d/op.ts";
import { linearDataGradientOp, linearOp, linearParameterGradientsOp } from "./linear/op.ts";
import { timestepEmbeddingOp } from "./embedding/op.ts";
import { mseOp, mseWithGradientOp } from "./mse/op.ts";
import {
  diceBceBackwardOp,
  diceBceOp,
  diceBceSumsBackwardOp,
  diceBceSumsOp,
} from "./dice_bce/op.ts";
import { scaleImagesOp } from "./scale_images/op.ts";
import { gradientClipOp } from "./gradient_clip/op.ts";
import { lossScaleOp } from "./loss_scale/op.ts";
import { attentionOp } from "./attention/op.ts";
import { attentionBackwardOp } from "./attention/backward.ts";

/**
 * Every op by name: what graphs are interpreted, differentiated and planned with.
 *
 * @example
 * ```ts
 * import { OPS } from "@lung-ddpm/webgpu";
 * Object.keys(OPS).includes("conv2d"); // true
 * ```
 */
export const OPS: Readonly<Record<OpName, OpDef>> = {
  add: addOp,
  conv2d: conv2dOp,
  conv2d_backward_data: conv2dBackwardDataOp,
  conv2d_backward_weight: conv2dBackwardWeightOp,
  conv2d_flat: conv2dFlatOp,
  conv2d_normalised: conv2dNormalisedOp,
  conv2d_upsampled: conv2dUpsampledOp,
  conv2d_upsampled_backward_data: conv2dUpsampledBackwardDataOp,
  conv2d_upsampled_backward_weight: conv2dUpsampledBackwardWeightOp,
  pack: packOp,
  scale: scaleOp,
  silu: siluOp,
  silu_backward: siluBackwardOp,
  accumulate: accumulateOp,
  adamw: adamwOp,
  guidance: guidanceOp,
  guidance_rescale: guidanceRescaleOp,
  blend: blendOp,
  log_scalar: logScalarOp,
  q_sample: qSampleOp,
  random_bits: randomBitsOp,
  random_normal: randomNormalOp,
  scheduler_step: schedulerStepOp,
  view: viewOp,
  group_norm_stats: groupNormStatsOp,
  group_norm_apply: groupNormApplyOp,
  group_norm_sums: groupNormSumsOp,
  group_norm_totals: groupNormTotalsOp,
  group_norm_data_gradient: groupNormDataGradientOp,
  upsample_nearest_2x: upsampleNearest2xOp,
  upsample_nearest_2x_backward: upsampleNearest2xBackwardOp,
  concat: concatOp,
  slice: sliceOp,
  slice_backward: sliceBackwardOp,
  add_channel: addChannelOp,
  sum_spatial: sumSpatialOp,
  sum_batch: sumBatchOp,
  average_pool2d: averagePool2dOp,
  max_pool2d: maxPool2dOp,
  relu: reluOp,
  unfold2d: unfold2dOp,
  linear: linearOp,
  linear_data_gradient: linearDataGradientOp,
  linear_parameter_gradients: linearParameterGradientsOp,
  timestep_embedding: timestepEmbeddingOp,
  mse: mseOp,
  mse_with_gradient: mseWithGradientOp,
  dice_bce: diceBceOp,
  dice_bce_backward: diceBceBackwardOp,
  dice_bce_sums: diceBceSumsOp,
  dice_bce_sums_backward: diceBceSumsBackwardOp,
  scale_images: scaleImagesOp,
  gradient_clip: gradientClipOp,
  loss_scale: lossScaleOp,
  attention: attentionOp,
  attention_backward: attentionBackwardOp,
};
