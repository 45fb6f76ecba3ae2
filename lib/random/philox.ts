/**
 * Philox 4x32-10, a counter-based generator: a pure function of a 128-bit counter and a 64-bit key.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; the
 * constants are those of Random123's philox.h, and tests pin its published vectors.
 */

import { InputError } from "../errors.ts";

const M0 = 0xD2511F53, M1 = 0xCD9E8D57;
const W0 = 0x9E3779B9, W1 = 0xBB67AE85; // golden ratio, √3 − 1
const TWO_32 = 2 ** 32;

/** The upper 32 bits of a·b: products of 16-bit halves are exact in float64. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xFFFF, aHigh = a >>> 16, bLow = b & 0xFFFF, bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xFFFF);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/**
 * One block of Philox 4x32-10.
 * @param counter four 32-bit words, least significant first.
 * @param key two 32-bit words.
 * @param out where the four words of the block are written; may be `counter`.
 */
export function philox4x32(
  counter: ArrayLike<number>,
  key: ArrayLike<number>,
  out: Uint32Array = new Uint32Array(4),
): Uint32Array {
  let c0 = counter[0] >>> 0, c1 = counter[1] >>> 0, c2 = counter[2] >>> 0, c3 = counter[3] >>> 0;
  let k0 = key[0] >>> 0, k1 = key[1] >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, c0), low0 = Math.imul(M0, c0);
    const high1 = mulHigh(M1, c2), low1 = Math.imul(M1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c1 = low1 >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
  return out;
}

/** Where a stream is; plain JSON. */
export interface PhiloxState {
  /** Decimal, since a 64-bit seed is no JSON number. */
  seed: string;
  stream: number;
  /** Number of 32-bit words drawn so far. */
  drawn: number;
  /** The second value of the last Box–Muller pair, if not yet handed out. */
  spare: number | null;
}

/** A 64-bit key's two words from a seed: negative and larger seeds wrap modulo 2^64. */
export function keyOf(seed: bigint | number): [number, number] {
  const bits = BigInt.asUintN(64, BigInt(seed));
  return [Number(bits & 0xFFFFFFFFn), Number(bits >> 32n)];
}

/**
 * Numbers drawn one after another from Philox blocks 0, 1, 2, … under one key. The block number is
 * counter words 0 and 1, the stream number words 2 and 3: streams of one seed never overlap.
 */
export class PhiloxStream {
  readonly #seed: bigint;
  readonly #stream: number;
  readonly #key: [number, number];
  readonly #block = new Uint32Array(4);
  #drawn = 0;
  #spare: number | null = null;

  /** @param stream a whole number in [0, 2^53). */
  constructor(seed: bigint | number, stream = 0) {
    if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
      throw new InputError(`Cannot seed the generator: ${seed} is not a whole number below 2^53`);
    }
    if (!Number.isSafeInteger(stream) || stream < 0) {
      throw new Error(`Cannot open random stream ${stream}: it must be whole and in [0, 2^53)`);
    }
    this.#seed = BigInt.asUintN(64, BigInt(seed));
    this.#stream = stream;
    this.#key = keyOf(seed);
  }

  nextUint32(): number {
    const at = this.#drawn % 4;
    if (at === 0) this.#fill();
    this.#drawn++;
    return this.#block[at];
  }

  #fill() {
    const block = Math.floor(this.#drawn / 4), stream = this.#stream;
    philox4x32(
      [block >>> 0, Math.floor(block / TWO_32), stream >>> 0, Math.floor(stream / TWO_32)],
      this.#key,
      this.#block,
    );
  }

  /** Uniform in the open interval (0, 1), on the grid (k + ½)/2^32. */
  uniform(): number {
    return (this.nextUint32() + 0.5) / TWO_32;
  }

  /** Uniform in [low, high). */
  range(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** Uniform over 0 … n − 1 without bias (values of an incomplete last cycle are drawn again). */
  int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > TWO_32) {
      throw new Error(`Cannot draw an integer below ${n}: it must be whole and in [1, 2^32]`);
    }
    const limit = TWO_32 - TWO_32 % n;
    for (;;) {
      const value = this.nextUint32();
      if (value < limit) return value % n;
    }
  }

  /** Standard normal by Box–Muller, two to a pair of uniforms. */
  normal(): number {
    if (this.#spare !== null) {
      const value = this.#spare;
      this.#spare = null;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(this.uniform())), angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Shuffles in place (Fisher–Yates) and returns its argument. */
  shuffle<T extends unknown[] | Uint32Array>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.int(i + 1), kept = items[i];
      items[i] = items[j];
      items[j] = kept;
    }
    return items;
  }

  state(): PhiloxState {
    return {
      seed: this.#seed.toString(),
      stream: this.#stream,
      drawn: this.#drawn,
      spare: this.#spare,
    };
  }

  /**
   * Continues from a state of the same seed and stream.
   * @throws InputError if it is not such a state.
   */
  restore(state: PhiloxState): void {
    if (state.seed !== this.#seed.toString() || state.stream !== this.#stream) {
      throw new InputError(
        `Cannot restore the random state: it is of seed ${state.seed}, stream ${state.stream}; ` +
          `this one has seed ${this.#seed}, stream ${this.#stream}`,
      );
    }
    const spareOk = state.spare === null || Number.isFinite(state.spare);
    if (!Number.isSafeInteger(state.drawn) || state.drawn < 0 || !spareOk) {
      throw new InputError(`Cannot restore the random state: ${JSON.stringify(state)} is damaged`);
    }
    this.#drawn = state.drawn;
    this.#spare = state.spare;
    if (this.#drawn % 4 !== 0) this.#fill();
  }
}
