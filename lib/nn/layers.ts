/** PyTorch's layers with their default initialisation. Each names its parameters by graph scope. */

import type { Tensor } from "../graph/tensor.ts";
import { conv2d } from "../ops/conv2d/op.ts";
import { conv2dUpsampled } from "../ops/conv2d/upsampled_op.ts";
import { groupNorm } from "../ops/group_norm/op.ts";
import { linear } from "../ops/linear/op.ts";
import type { Init, ParameterSource } from "./parameters.ts";

/**
 * `torch.nn.Conv2d`: weight and bias uniform in ±1/√fan_in (kaiming_uniform with a = √5), or the bias
 * as `biasInit` says. x [N,C,H,W] → [N,out,H',W'].
 */
export function convLayer(
  source: ParameterSource,
  name: string,
  x: Tensor,
  out: number,
  kernel: number,
  { biasInit, ...options }: {
    stride?: 1 | 2;
    padding?: number | [number, number, number, number];
    biasInit?: Init;
  } = {},
): Tensor {
  return x.graph.scope(name, () => {
    const { weight, bias } = convParameters(source, x.shape[1], out, kernel, biasInit);
    return conv2d(x, weight, { bias, ...options });
  });
}

/** The same, 3×3 with padding 1, of x with each pixel doubled. */
export function upsampledConvLayer(
  source: ParameterSource,
  name: string,
  x: Tensor,
  out: number,
): Tensor {
  return x.graph.scope(name, () => {
    const { weight, bias } = convParameters(source, x.shape[1], out, 3);
    return conv2dUpsampled(x, weight, bias);
  });
}

function convParameters(
  source: ParameterSource,
  channels: number,
  out: number,
  kernel: number,
  biasInit?: Init,
) {
  const init = { bound: 1 / Math.sqrt(channels * kernel * kernel) };
  return {
    weight: source.get("weight", [out, channels, kernel, kernel], init),
    bias: source.get("bias", [out], biasInit ?? init),
  };
}

/** `torch.nn.GroupNorm`, with SiLU after it if asked for. */
export function groupNormLayer(
  source: ParameterSource,
  name: string,
  x: Tensor,
  options: { groups: number; eps: number; silu?: boolean },
): Tensor {
  return x.graph.scope(name, () => {
    const channels = x.shape[1];
    const weight = source.get("weight", [channels], { value: 1 });
    const bias = source.get("bias", [channels], { value: 0 });
    return groupNorm(x, weight, bias, options);
  });
}

/** `torch.nn.Linear`: x [M,K] → [M,out], uniform in ±1/√K. */
export function linearLayer(source: ParameterSource, name: string, x: Tensor, out: number): Tensor {
  return x.graph.scope(name, () => {
    const init = { bound: 1 / Math.sqrt(x.shape[1]) };
    const weight = source.get("weight", [out, x.shape[1]], init);
    const bias = source.get("bias", [out], init);
    return linear(x, weight, bias);
  });
}

/** `torch.nn.Linear` over the channels of x [N,C,H,W]: a 1×1 convolution, kept channel-first. */
export function channelLinearLayer(
  source: ParameterSource,
  name: string,
  x: Tensor,
  out: number,
  reshape: (weight: Tensor, shape: number[]) => Tensor,
): Tensor {
  return x.graph.scope(name, () => {
    const channels = x.shape[1];
    const init = { bound: 1 / Math.sqrt(channels) };
    const weight = source.get("weight", [out, channels], init);
    const bias = source.get("bias", [out], init);
    return conv2d(x, reshape(weight, [out, channels, 1, 1]), { bias });
  });
}
