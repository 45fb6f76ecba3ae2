/** Random numbers made on the device: Philox 4x32-10 bits, and normal numbers from them. */

import { gridFor, input, output } from "../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { philox4x32 } from "../random/philox.ts";
import { ELEMENTWISE, kernel, only } from "./common.ts";
import philoxText from "../../kernels/lib/philox.wgsl" with { type: "text" };
import bitsText from "../../kernels/random/bits.wgsl" with { type: "text" };
import normalText from "../../kernels/random/normal.wgsl" with { type: "text" };

const BITS = kernel("random/bits.wgsl", bitsText, philoxText);
const NORMAL = kernel("random/normal.wgsl", normalText, philoxText);

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
  reference([counters, key]) {
    const bits = new Float64Array(counters.length);
    for (let i = 0; i < counters.length; i += 4) {
      bits.set(philox4x32(counters.subarray(i, i + 4), key), i);
    }
    return [bits];
  },
  lower({ inputs: [counters] }) {
    const count = counters.shape[0];
    return only("philox", () => ({
      calls: [{
        kernel: BITS,
        params: { count },
        bindings: { counters: input(0), key: input(1), bits: output() },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({ flops: 0, bytes: trafficOf(inputs, outputs) }),
  cases: [{
    name: "words",
    inputs: [
      { shape: [77, 4], dtype: "u32", fill: { kind: "integers", low: 0, high: 2 ** 32 } },
      { shape: [2], dtype: "u32", fill: { kind: "integers", low: 0, high: 2 ** 32 } },
    ],
    attrs: {},
    tolerance: 0,
  }],
};

export const randomNormalOp: OpDef = {
  name: "random_normal",
  infer([rng, images], { shape }) {
    if (sizeOf(rng.shape) !== 4 || images.shape.length !== 1 || images.shape[0] !== shape[0]) {
      throw new Error(`rng [${rng.shape}] must be [4], images [${images.shape}] [${shape[0]}]`);
    }
    return [{ shape, dtype: "f32" }];
  },
  vjp: "non-differentiable",
  reference([rng, images], { shape, stream }) {
    const perImage = sizeOf(shape) / shape[0];
    const z = new Float64Array(sizeOf(shape));
    const uniform = (bits: number) => ((bits >>> 8) + 0.5) / 2 ** 24;
    for (let image = 0; image < shape[0]; image++) {
      for (let block = 0; 4 * block < perImage; block++) {
        const bits = philox4x32([block, rng[2], images[image], stream], [rng[0], rng[1]]);
        for (let pair = 0; pair < 4; pair += 2) {
          const radius = Math.sqrt(-2 * Math.log(uniform(bits[pair])));
          const angle = 2 * Math.PI * uniform(bits[pair + 1]);
          const values = [radius * Math.cos(angle), radius * Math.sin(angle)];
          values.forEach((v, k) => {
            const at = 4 * block + pair + k;
            if (at < perImage) z[image * perImage + at] = v;
          });
        }
      }
    }
    return [z];
  },
  lower({ outputs: [z], attrs: { stream } }) {
    const perImage = sizeOf(z.shape) / z.shape[0];
    const blocks = Math.ceil(perImage / 4);
    const count = blocks * z.shape[0];
    return only("philox", () => ({
      calls: [{
        kernel: NORMAL,
        params: { count, blocks, per_image: perImage, stream },
        bindings: { rng: input(0), images: input(1), z: output() },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 10 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // The polynomials err by some 2^-24, and so do a dozen roundings, the largest of numbers below 1.
  cases: [
    // 119, 102 and 21 numbers an image: 3, 2 and 1 in the last block of four.
    ...[[3, 1, 7, 17], [3, 1, 6, 17], [3, 1, 3, 7]].map((shape) => ({
      name: `odd [${shape}]`,
      inputs: [
        { shape: [4], dtype: "u32", fill: { kind: "integers", low: 0, high: 2 ** 32 } },
        { shape: [3], dtype: "u32", fill: { kind: "integers", low: 0, high: 2 ** 32 } },
      ],
      attrs: { shape, stream: 5 },
      tolerance: 2e-7,
    } as const)),
    // Seeds that draw 2.5·2^-24 and 3.5·2^-24 from 1 and from 0, where the logarithm is steep.
    ...[446438, 904959].map((seed) => ({
      name: `at an end, seed ${seed}`,
      inputs: [
        { shape: [4], dtype: "u32", fill: { kind: "values", values: [seed, 0, 0, 0] } },
        { shape: [1], dtype: "u32", fill: { kind: "constant", value: 7 } },
      ],
      attrs: { shape: [1, 4], stream: 5 },
      tolerance: 2e-7,
    } as const)),
  ],
};
