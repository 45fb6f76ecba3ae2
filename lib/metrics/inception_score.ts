/** Inception Score (Salimans et al. 2016) with torch-fidelity's splits and shuffle. */

import type { Features } from "./linear_algebra.ts";
import { deviation, mean } from "./statistics.ts";

export interface InceptionScore {
  mean: number;
  /** Over the splits, ddof 0. */
  deviation: number;
}

/**
 * exp of the mean Kullback–Leibler divergence between each image's class probabilities and their
 * mean, in ten splits of the images shuffled as numpy's `RandomState(2020).permutation`.
 *
 * @param logits without the bias (torch-fidelity "logits_unbiased"): [N, 1008]
 * @throws RangeError where there are fewer images than splits.
 */
export function inceptionScore(
  { count, size, data }: Features,
  { splits = 10, seed = 2020 }: { splits?: number; seed?: number } = {},
): InceptionScore {
  if (count < splits) {
    throw new RangeError(`Inception Score needs at least ${splits} images, got ${count}`);
  }
  const order = numpyPermutation(count, seed);
  const scores: number[] = [];
  for (let split = 0; split < splits; split++) {
    const rows = order.subarray(
      Math.floor(split * count / splits),
      Math.floor((split + 1) * count / splits),
    );
    const marginal = new Float64Array(size);
    let entropies = 0; // Σ over images of Σ p·log p
    for (const row of rows) {
      const logs = logSoftmax(data.subarray(row * size, (row + 1) * size));
      for (let j = 0; j < size; j++) {
        const p = Math.exp(logs[j]);
        marginal[j] += p / rows.length;
        entropies += p * logs[j];
      }
    }
    let cross = 0; // Σ over images of Σ p·log q is N·Σ q·log q
    for (const q of marginal) if (q > 0) cross += q * Math.log(q);
    scores.push(Math.exp(entropies / rows.length - cross));
  }
  return { mean: mean(scores), deviation: deviation(scores) };
}

function logSoftmax(logits: ArrayLike<number>): Float64Array {
  let largest = -Infinity, sum = 0;
  for (let j = 0; j < logits.length; j++) largest = Math.max(largest, logits[j]);
  for (let j = 0; j < logits.length; j++) sum += Math.exp(logits[j] - largest);
  const shift = largest + Math.log(sum);
  return Float64Array.from({ length: logits.length }, (_, j) => logits[j] - shift);
}

/** `numpy.random.RandomState(seed).permutation(count)`: MT19937 and its Fisher–Yates shuffle. */
export function numpyPermutation(count: number, seed: number): Uint32Array {
  const next = mersenneTwister(seed);
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    let mask = i; // numpy's random_interval: draw under the next power of two until it fits
    for (let shift = 1; shift < 32; shift *= 2) mask |= mask >>> shift;
    let j = (next() & mask) >>> 0;
    while (j > i) j = (next() & mask) >>> 0;
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** MT19937 (Matsumoto and Nishimura 1998) with `init_genrand`. */
function mersenneTwister(seed: number): () => number {
  const N = 624, M = 397;
  const state = new Uint32Array(N);
  state[0] = seed;
  for (let i = 1; i < N; i++) {
    state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  }
  let at = N;
  return () => {
    if (at === N) {
      for (let i = 0; i < N; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % N] & 0x7fffffff);
        state[i] = state[(i + M) % N] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = state[at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}
