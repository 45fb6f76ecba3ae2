/** diffusers' `UNet2DModel` as a graph. */

import type { Tensor } from "../graph/tensor.ts";
import { timestepEmbedding } from "../ops/embedding/op.ts";
import { type BlockContext, downBlock, midBlock, timeEmbedding, upBlock } from "./blocks.ts";
import { checkImageSize, type UNet2DConfig } from "./config.ts";
import { convLayer, groupNormLayer } from "./layers.ts";
import { collectParameters, type ParameterLayout, type ParameterSource } from "./parameters.ts";

/**
 * Appends the forward pass: models/unets/unet_2d.py `UNet2DModel.forward`.
 *
 * @param sample [N, in_channels, H, W]; H and W divisible by 2^(levels − 1).
 * @param timestep i32 [N].
 * @returns [N, out_channels, H, W].
 *
 * @example
 * ```ts
 * import {
 *   f32,
 *   FlatParameters,
 *   Graph,
 *   i32,
 *   unet2D,
 *   unet2DConfig,
 *   unet2DParameters,
 * } from "@lung-ddpm/webgpu";
 * const config = unet2DConfig({
 *   block_out_channels: [32],
 *   down_block_types: ["DownBlock2D"],
 *   up_block_types: ["UpBlock2D"],
 * }, "config.json");
 * const layout = unet2DParameters(config);
 * const g = new Graph();
 * const weights = new FlatParameters(g.state("params", f32(layout.size)), layout);
 * unet2D(config, weights, g.input("sample", f32(1, 3, 8, 8)), g.input("t", i32(1))); // [1, 3, 8, 8]
 * ```
 */
export function unet2D(
  config: UNet2DConfig,
  source: ParameterSource,
  sample: Tensor,
  timestep: Tensor,
): Tensor {
  const [, channels, height, width] = sample.shape;
  if (channels !== config.in_channels) {
    throw new Error(
      `Cannot build UNet2DModel: sample [${sample.shape}] must have in_channels ` +
        `${config.in_channels}`,
    );
  }
  checkImageSize(config, height, width);
  const first = config.block_out_channels[0];
  const graph = sample.graph;
  const sinusoid = graph.scope("time_proj", () =>
    timestepEmbedding(timestep, {
      dim: first,
      flipSinToCos: config.flip_sin_to_cos,
      downscaleFreqShift: config.freq_shift,
    }));
  const activatedTime = timeEmbedding(source, sinusoid, config.time_embedding_dim ?? first * 4);
  const context: BlockContext = { source, config, activatedTime };

  let x = convLayer(source, "conv_in", sample, first, 3, { padding: 1 });
  const skips = [x];
  for (let level = 0; level < config.block_out_channels.length; level++) {
    const block = downBlock(context, level, x);
    x = block.x;
    skips.push(...block.skips);
  }
  if (config.mid_block_type) x = midBlock(context, x);
  for (let level = 0; level < config.block_out_channels.length; level++) {
    x = upBlock(context, level, x, skips);
  }
  const norm = { groups: config.norm_num_groups, eps: config.norm_eps, silu: true };
  x = groupNormLayer(source, "conv_norm_out", x, norm);
  return convLayer(source, "conv_out", x, config.out_channels, 3, { padding: 1 });
}

/**
 * Names, shapes and initial distributions of the model's parameters.
 *
 * @example
 * ```ts
 * import { unet2DConfig, unet2DParameters } from "@lung-ddpm/webgpu";
 * const config = unet2DConfig({
 *   block_out_channels: [32],
 *   down_block_types: ["DownBlock2D"],
 *   up_block_types: ["UpBlock2D"],
 * }, "config.json");
 * unet2DParameters(config).get("conv_in.weight").shape; // [32, 3, 3, 3]
 * ```
 */
export function unet2DParameters(config: UNet2DConfig): ParameterLayout {
  const side = 2 ** (config.block_out_channels.length - 1);
  return collectParameters((graph, source) => {
    const sample = graph.input("sample", {
      shape: [1, config.in_channels, side, side],
      dtype: "f32",
    });
    const timestep = graph.input("timestep", { shape: [1], dtype: "i32" });
    unet2D(config, source, sample, timestep);
  });
}
