/**
 * The convolutional U-Net of the public benchmark kvark/inferena ("StableDiffusion, simplified"), so that
 * figures stand beside others': 4×32×32, batch 2, 64·[1,2,4] channels, no time embedding, no biases,
 * group norms of 16 groups. Its weights and inputs are sines, and its published loss is 0.57.
 */

import type { Graph } from "../graph/graph.ts";
import type { Tensor } from "../graph/tensor.ts";
import { groupNormLayer } from "../nn/layers.ts";
import { collectParameters, type ParameterLayout, type ParameterSource } from "../nn/parameters.ts";
import { add } from "../ops/add/op.ts";
import { concat } from "../ops/concat/op.ts";
import { conv2d } from "../ops/conv2d/op.ts";
import { upsampleNearest2x } from "../ops/upsample/op.ts";

const CHANNELS = 64, LEVELS = 3, LATENT = 4;
const NORM = { groups: 16, eps: 1e-5, silu: true };

export const INFERENA = { batch: 2, side: 32, channels: LATENT, levels: LEVELS } as const;

type Stride = 1 | 2;

function convolution(
  source: ParameterSource,
  name: string,
  x: Tensor,
  out: number,
  kernel: 1 | 3,
  stride: Stride = 1,
): Tensor {
  return x.graph.scope(name, () => {
    const shape = [out, x.shape[1], kernel, kernel];
    const init = { bound: 1 / Math.sqrt(x.shape[1] * kernel * kernel) };
    return conv2d(x, source.get("weight", shape, init), { stride, padding: kernel === 3 ? 1 : 0 });
  });
}

/** conv2(silu(norm2(conv1(silu(norm1(x)))))) + shortcut(x) */
function residual(source: ParameterSource, name: string, x: Tensor, out: number): Tensor {
  return x.graph.scope(name, () => {
    let h = convolution(source, "conv1", groupNormLayer(source, "norm1", x, NORM), out, 3);
    h = convolution(source, "conv2", groupNormLayer(source, "norm2", h, NORM), out, 3);
    return add(h, x.shape[1] === out ? x : convolution(source, "res_conv", x, out, 1));
  });
}

/** x [N,4,H,W] → [N,4,H,W]. */
export function inferenaUNet(source: ParameterSource, x: Tensor): Tensor {
  const width = (level: number) => CHANNELS * 2 ** level;
  let h = convolution(source, "conv_in", x, CHANNELS, 3);
  const skips: Tensor[] = [];
  for (let level = 0; level < LEVELS; level++) {
    h = residual(source, `encoder_blocks.${level}`, h, width(level));
    skips.push(h);
    if (level < LEVELS - 1) {
      h = convolution(source, `downsamples.${level}`, h, width(level), 3, 2);
    }
  }
  h = residual(source, "middle", h, width(LEVELS - 1));
  for (let i = 0; i < LEVELS; i++) {
    const level = LEVELS - 1 - i;
    if (i) h = x.graph.scope(`upsamples.${i}`, () => upsampleNearest2x(h));
    h = residual(source, `decoder_blocks.${i}`, concat([h, skips[level]], 1), width(level));
  }
  return convolution(source, "conv_out", groupNormLayer(source, "norm_out", h, NORM), LATENT, 3);
}

export function inferenaParameters(): ParameterLayout {
  return collectParameters((graph: Graph, source) => {
    const shape = [1, LATENT, 2 ** LEVELS, 2 ** LEVELS];
    inferenaUNet(source, graph.input("sample", { shape, dtype: "f32" }));
  });
}
