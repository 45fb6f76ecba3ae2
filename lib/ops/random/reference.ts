/** random: float64 references, plain loops. */

import type { OpDef } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { philox4x32 } from "../../random/philox.ts";

export interface RandomNormalAttrs {
  readonly shape: readonly number[];
  /** Told apart from other draws of the same step. */
  readonly stream: number;
}

export const randomBitsReference: OpDef["reference"] = ([counters, key]) => {
  const bits = new Float64Array(counters.length);
  for (let i = 0; i < counters.length; i += 4) {
    bits.set(philox4x32(counters.subarray(i, i + 4), key), i);
  }
  return [bits];
};

export const randomNormalReference: OpDef<RandomNormalAttrs>["reference"] = (
  [rng, images],
  { shape, stream },
) => {
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
};
