/** A small U-Net that marks nodules: what generated slices are judged by, and made useful for. */

import type { Tensor } from "../graph/tensor.ts";
import { concat } from "../ops/concat/op.ts";
import { convLayer, groupNormLayer, upsampledConvLayer } from "./layers.ts";
import type { ParameterSource } from "./parameters.ts";

/** Channels by level; a level halves the side. */
export const SEGMENTER_WIDTHS = [16, 32, 48] as const;
/** Sides must be multiples of it. */
export const SEGMENTER_MULTIPLE = 2 ** (SEGMENTER_WIDTHS.length - 1);
/**
 * Probability that an untrained segmenter gives every pixel (Lin et al. 2017, arXiv:1708.02002, 4.1).
 * From ½ Adam would take hundreds of steps to come down to a nodule's share of a slice, and as long as
 * p sums to thousands of pixels, Dice has no gradient.
 */
const PRIOR = 0.01;

function block(source: ParameterSource, name: string, x: Tensor, out: number, stride: 1 | 2 = 1) {
  return x.graph.scope(name, () => {
    for (const i of [1, 2]) {
      x = convLayer(source, `conv${i}`, x, out, 3, { padding: 1, stride: i === 1 ? stride : 1 });
      x = groupNormLayer(source, `norm${i}`, x, { groups: 8, eps: 1e-5, silu: true });
    }
    return x;
  });
}

/**
 * Ronneberger et al. 2015 (arXiv:1505.04597), with group norm and SiLU, strided convolutions down and
 * nearest-neighbour doubling up. x [N,2,H,W], CT in [−1, 1] and lung mask → logits [N,1,H,W].
 */
export function noduleSegmenter(source: ParameterSource, x: Tensor): Tensor {
  return x.graph.scope("segmenter", () => {
    const skips: Tensor[] = [];
    SEGMENTER_WIDTHS.forEach((width, i) => {
      x = block(source, `down${i}`, x, width, i === 0 ? 1 : 2);
      skips.push(x);
    });
    for (let i = SEGMENTER_WIDTHS.length - 2; i >= 0; i--) {
      const up = upsampledConvLayer(source, `up${i}`, x, SEGMENTER_WIDTHS[i]);
      x = block(source, `join${i}`, concat([up, skips[i]], 1), SEGMENTER_WIDTHS[i]);
    }
    return convLayer(source, "out", x, 1, 1, {
      biasInit: { value: Math.log(PRIOR / (1 - PRIOR)) },
    });
  });
}
