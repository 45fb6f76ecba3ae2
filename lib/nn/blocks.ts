/** diffusers' blocks: ResnetBlock2D, Attention, Downsample2D, Upsample2D, and the down/mid/up blocks. */

import type { Tensor } from "../graph/tensor.ts";
import { add } from "../ops/add/op.ts";
import { attention } from "../ops/attention/op.ts";
import { addChannel } from "../ops/channel/op.ts";
import { concat } from "../ops/concat/op.ts";
import { silu } from "../ops/silu/op.ts";
import { view } from "../ops/view/op.ts";
import type { UNet2DConfig } from "./config.ts";
import {
  channelLinearLayer,
  convLayer,
  groupNormLayer,
  linearLayer,
  upsampledConvLayer,
} from "./layers.ts";
import type { ParameterSource } from "./parameters.ts";

/** What every block is told. */
export interface BlockContext {
  readonly source: ParameterSource;
  readonly config: UNet2DConfig;
  /** SiLU of the time embedding [N, time_embed_dim]; each resnet projects it. */
  readonly activatedTime: Tensor;
}

/**
 * models/resnet.py `ResnetBlock2D`, time_embedding_norm "default":
 * (shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + proj(silu(temb)))))) / scale.
 * x [N,C,H,W] → [N,out,H,W].
 */
export function resnetBlock2D(
  context: BlockContext,
  name: string,
  x: Tensor,
  out: number,
  outputScaleFactor = 1,
): Tensor {
  const { source, config, activatedTime } = context;
  const norm = { groups: config.norm_num_groups, eps: config.norm_eps, silu: true };
  return x.graph.scope(name, () => {
    let h = groupNormLayer(source, "norm1", x, norm);
    h = convLayer(source, "conv1", h, out, 3, { padding: 1 });
    h = addChannel(h, linearLayer(source, "time_emb_proj", activatedTime, out));
    h = groupNormLayer(source, "norm2", h, norm);
    h = convLayer(source, "conv2", h, out, 3, { padding: 1 });
    const shortcut = x.shape[1] === out ? x : convLayer(source, "conv_shortcut", x, out, 1);
    return add(h, shortcut, 1 / outputScaleFactor, 1 / outputScaleFactor);
  });
}

/**
 * models/attention_processor.py `Attention` as the blocks build it: group norm, multi-head
 * self-attention over the H·W positions, output projection, residual, division by the scale factor.
 */
export function attentionBlock(
  { source, config }: BlockContext,
  name: string,
  x: Tensor,
  headDim: number,
  groups: number,
  outputScaleFactor = 1,
): Tensor {
  return x.graph.scope(name, () => {
    const channels = x.shape[1];
    const heads = Math.floor(channels / headDim);
    const inner = heads * headDim;
    const h = groupNormLayer(source, "group_norm", x, { groups, eps: config.norm_eps });
    const project = (part: string, input: Tensor, out: number) =>
      channelLinearLayer(source, part, input, out, view);
    const [q, k, v] = ["to_q", "to_k", "to_v"].map((part) => project(part, h, inner));
    const y = project("to_out.0", attention(q, k, v, { heads }), channels);
    return add(y, x, 1 / outputScaleFactor, 1 / outputScaleFactor);
  });
}

/** `Downsample2D` with a convolution: padding 0 means one row and column at the far ends. */
function downsample2D({ source, config }: BlockContext, x: Tensor): Tensor {
  const padding = config.downsample_padding === 0
    ? [0, 0, 1, 1] as [number, number, number, number]
    : config.downsample_padding;
  return convLayer(source, "downsamplers.0.conv", x, x.shape[1], 3, { stride: 2, padding });
}

/** `Upsample2D` with a convolution: nearest 2×, then 3×3. */
function upsample2D({ source }: BlockContext, x: Tensor): Tensor {
  return x.graph.scope(
    "upsamplers.0",
    () => upsampledConvLayer(source, "conv", x, x.shape[1]),
  );
}

const headDimOf = (config: UNet2DConfig, channels: number) => config.attention_head_dim ?? channels;

/** `DownBlock2D` or `AttnDownBlock2D`. Returns the result and what the skip connections take. */
export function downBlock(
  context: BlockContext,
  level: number,
  x: Tensor,
): { x: Tensor; skips: Tensor[] } {
  const { config } = context;
  const out = config.block_out_channels[level];
  const withAttention = config.down_block_types[level] === "AttnDownBlock2D";
  return x.graph.scope(`down_blocks.${level}`, () => {
    const skips: Tensor[] = [];
    for (let i = 0; i < config.layers_per_block; i++) {
      x = resnetBlock2D(context, `resnets.${i}`, x, out);
      if (withAttention) {
        const headDim = headDimOf(config, out);
        x = attentionBlock(context, `attentions.${i}`, x, headDim, config.norm_num_groups);
      }
      skips.push(x);
    }
    if (level < config.block_out_channels.length - 1) skips.push(x = downsample2D(context, x));
    return { x, skips };
  });
}

/** `UNetMidBlock2D`: resnet, attention (unless add_attention is false), resnet. */
export function midBlock(context: BlockContext, x: Tensor): Tensor {
  const { config } = context;
  const channels = x.shape[1];
  const factor = config.mid_block_scale_factor;
  return x.graph.scope("mid_block", () => {
    x = resnetBlock2D(context, "resnets.0", x, channels, factor);
    if (config.add_attention) {
      const groups = config.attn_norm_num_groups ?? config.norm_num_groups;
      const headDim = headDimOf(config, channels);
      x = attentionBlock(context, "attentions.0", x, headDim, groups, factor);
    }
    return resnetBlock2D(context, "resnets.1", x, channels, factor);
  });
}

/** `UpBlock2D` or `AttnUpBlock2D`; takes its skips off the end of `skips`. */
export function upBlock(context: BlockContext, level: number, x: Tensor, skips: Tensor[]): Tensor {
  const { config } = context;
  const out = config.block_out_channels.at(-1 - level)!;
  const withAttention = config.up_block_types[level] === "AttnUpBlock2D";
  return x.graph.scope(`up_blocks.${level}`, () => {
    for (let i = 0; i <= config.layers_per_block; i++) {
      x = resnetBlock2D(context, `resnets.${i}`, concat([x, skips.pop()!], 1), out);
      if (withAttention) {
        const headDim = headDimOf(config, out);
        x = attentionBlock(context, `attentions.${i}`, x, headDim, config.norm_num_groups);
      }
    }
    return level < config.block_out_channels.length - 1 ? upsample2D(context, x) : x;
  });
}

/** `TimestepEmbedding`: linear, SiLU, linear; and the SiLU that every resnet applies to it. */
export function timeEmbedding(
  source: ParameterSource,
  sinusoid: Tensor,
  dimension: number,
): Tensor {
  return sinusoid.graph.scope("time_embedding", () => {
    const h = silu(linearLayer(source, "linear_1", sinusoid, dimension));
    return silu(linearLayer(source, "linear_2", h, dimension));
  });
}
