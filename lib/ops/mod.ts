/** The registry: every op by name. An op without a row does not compile. */

import type { OpDef, OpName } from "../graph/op.ts";
import { addOp } from "./add.ts";
import { conv2dBackwardDataOp, conv2dBackwardWeightOp, conv2dOp } from "./conv2d.ts";
import { conv2dFlatOp } from "./conv2d_flat.ts";
import { conv2dNormalisedOp } from "./conv2d_normalised.ts";
import {
  conv2dUpsampledBackwardDataOp,
  conv2dUpsampledBackwardWeightOp,
  conv2dUpsampledOp,
} from "./conv2d_upsampled.ts";
import { blendOp, guidanceRescaleOp } from "./guidance.ts";
import { guidanceOp, qSampleOp, schedulerStepOp } from "./diffusion.ts";
import { accumulateOp, adamwOp, logScalarOp } from "./optimizer.ts";
import { randomBitsOp, randomNormalOp } from "./random.ts";
import { scaleOp } from "./scale.ts";
import { siluBackwardOp, siluOp } from "./silu.ts";
import { packOp, viewOp } from "./view.ts";
import { groupNormApplyOp, groupNormStatsOp } from "./group_norm.ts";
import {
  groupNormDataGradientOp,
  groupNormSumsOp,
  groupNormTotalsOp,
} from "./group_norm_backward.ts";
import { upsampleNearest2xBackwardOp, upsampleNearest2xOp } from "./upsample.ts";
import { concatOp, sliceBackwardOp, sliceOp } from "./concat.ts";
import { addChannelOp, sumBatchOp, sumSpatialOp } from "./channel.ts";
import { averagePool2dOp, maxPool2dOp } from "./pool2d.ts";
import { reluOp } from "./relu.ts";
import { unfold2dOp } from "./unfold2d.ts";
import { linearDataGradientOp, linearOp, linearParameterGradientsOp } from "./linear.ts";
import { timestepEmbeddingOp } from "./embedding.ts";
import { mseOp, mseWithGradientOp } from "./mse.ts";
import { diceBceBackwardOp, diceBceOp, diceBceSumsBackwardOp, diceBceSumsOp } from "./dice_bce.ts";
import { scaleImagesOp } from "./scale_images.ts";
import { gradientClipOp } from "./gradient_clip.ts";
import { lossScaleOp } from "./loss_scale.ts";
import { attentionOp } from "./attention.ts";
import { attentionBackwardOp } from "./attention_backward.ts";

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
