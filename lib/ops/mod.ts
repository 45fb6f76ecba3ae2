/** The registry: every op by name. A new op is an import and a row. */

import { type Registry, registryOf } from "../graph/op.ts";
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
export const OPS: Registry = registryOf([
  addOp,
  conv2dOp,
  conv2dBackwardDataOp,
  conv2dBackwardWeightOp,
  conv2dFlatOp,
  conv2dNormalisedOp,
  conv2dUpsampledOp,
  conv2dUpsampledBackwardDataOp,
  conv2dUpsampledBackwardWeightOp,
  packOp,
  scaleOp,
  siluOp,
  siluBackwardOp,
  accumulateOp,
  adamwOp,
  guidanceOp,
  guidanceRescaleOp,
  blendOp,
  logScalarOp,
  qSampleOp,
  randomBitsOp,
  randomNormalOp,
  schedulerStepOp,
  viewOp,
  groupNormStatsOp,
  groupNormApplyOp,
  groupNormSumsOp,
  groupNormTotalsOp,
  groupNormDataGradientOp,
  upsampleNearest2xOp,
  upsampleNearest2xBackwardOp,
  concatOp,
  sliceOp,
  sliceBackwardOp,
  addChannelOp,
  sumSpatialOp,
  sumBatchOp,
  averagePool2dOp,
  maxPool2dOp,
  reluOp,
  unfold2dOp,
  linearOp,
  linearDataGradientOp,
  linearParameterGradientsOp,
  timestepEmbeddingOp,
  mseOp,
  mseWithGradientOp,
  diceBceOp,
  diceBceBackwardOp,
  diceBceSumsOp,
  diceBceSumsBackwardOp,
  scaleImagesOp,
  gradientClipOp,
  lossScaleOp,
  attentionOp,
  attentionBackwardOp,
]);
