/** Random numbers made on the device: Philox 4x32-10 bits, and normal numbers from them. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import { randomBitsReference, type RandomNormalAttrs, randomNormalReference } from "./reference.ts";
import { lowerRandomBits, lowerRandomNormal } from "./lower.ts";
import { randomBitsCases, randomNormalCases } from "./cases.ts";

/** One Philox block per counter: counters u32 [n,4], key u32 [2] → u32 [n,4]. */
export function randomBits(counters: Tensor, key: Tensor): Tensor {
  return counters.graph.append(randomBitsOp, [counters, key])[0];
}

/**
 * Standard normal numbers of `shape` [n, …].
 *
 * @param rng u32 [4]: seed low, seed high, step, unused.
 * @param images u32 [n]: names of the images. The same seed, step, name and stream give the same
 *   noise wherever the image stands.
 * @param stream told apart from other draws of the same step.
 */
export function randomNormal(
  rng: Tensor,
  images: Tensor,
  shape: readonly number[],
  stream: number,
): Tensor {
  return rng.graph.append(randomNormalOp, [rng, images], { shape: [...shape], stream })[0];
}

export const randomBitsOp: OpDef = {
  name: "random_bits",
  infer([counters, key]) {
    if (counters.shape.length !== 2 || counters.shape[1] !== 4 || sizeOf(key.shape) !== 2) {
      throw new Error(`counters [${counters.shape}] must be [n,4] and key [${key.shape}] [2]`);
    }
    return [{ shape: counters.shape, dtype: "u32" }];
  },
  vjp: "non-differentiable",
  reference: randomBitsReference,
  lower: lowerRandomBits,
  cost: (inputs, outputs) => ({ flops: 0, bytes: trafficOf(inputs, outputs) }),
  cases: randomBitsCases,
};

export const randomNormalOp: OpDef<RandomNormalAttrs> = {
  name: "random_normal",
  infer([rng, images], { shape }) {
    if (sizeOf(rng.shape) !== 4 || images.shape.length !== 1 || images.shape[0] !== shape[0]) {
      throw new Error(`rng [${rng.shape}] must be [4], images [${images.shape}] [${shape[0]}]`);
    }
    return [{ shape, dtype: "f32" }];
  },
  vjp: "non-differentiable",
  reference: randomNormalReference,
  lower: lowerRandomNormal,
  cost: (inputs, outputs) => ({
    flops: 10 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: randomNormalCases,
};
