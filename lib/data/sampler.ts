/** Batches that are half nodule, half not, in an order that is a function of (seed, epoch). */

import { InputError } from "../errors.ts";
import { PhiloxStream } from "../random/philox.ts";

/** Where a sampler is; plain JSON. */
export interface SamplerState {
  epoch: number;
  /** Batches of this epoch already handed out. */
  batch: number;
  /** What the order depends on: a state fits only a sampler with the same. */
  seed: string;
  batchSize: number;
  positives: number;
  negatives: number;
  /** Of slices that are not all drawn alike. */
  weights?: string;
}

/** Keeps the sampler's streams apart from other uses of the same seed. */
const STREAM_BASE = 0x5A00 * 2 ** 32;

/**
 * Balanced batches. The smaller class sets the length of an epoch: 2·min(pos, neg)/batch batches,
 * at least one; of the larger class each epoch sees another random part. Every epoch is shuffled by
 * its own random stream, so that (epoch, batch) is all there is to resume from. An odd batch has
 * its extra slice from the two classes in turn (batch size 1 alternates).
 */
export class BalancedSampler {
  readonly batchesPerEpoch: number;
  readonly #classes: [negatives: Pool, positives: Pool];
  readonly #counts: [negatives: number, positives: number];
  readonly #weights: string | undefined;
  readonly #batchSize: number;
  readonly #seed: bigint;
  #epoch = 0;
  #batch = 0;
  #order: [Uint32Array, Uint32Array];

  /**
   * @param labels 0 or 1 a slice.
   * @param batchSize slices a batch, at least 1.
   * @param weights how often each slice is drawn beside others, above 0; all alike by default.
   * @throws InputError if a class has no slice.
   */
  constructor(
    labels: ArrayLike<number>,
    batchSize: number,
    seed: bigint | number,
    weights?: readonly number[],
  ) {
    if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
      throw new InputError(`Cannot make batches of ${batchSize} slices: a whole number ≥ 1 needed`);
    }
    const indices = Uint32Array.from({ length: labels.length }, (_, i) => i);
    const members = [0, 1].map((label) => indices.filter((i) => labels[i] === label));
    const [negatives, positives] = members.map(({ length }) => length);
    if (negatives === 0 || positives === 0) {
      throw new InputError(
        `Cannot make balanced batches: ${positives} slices with a nodule and ${negatives} without; ` +
          "at least one of each is needed",
      );
    }
    const uneven = weights?.some((weight) => weight !== 1) ? weights : undefined;
    this.#weights = uneven && nameOfWeights(uneven);
    this.#classes = [new Pool(members[0], uneven), new Pool(members[1], uneven)];
    this.#counts = [negatives, positives];
    this.#batchSize = batchSize;
    this.#seed = BigInt.asUintN(64, BigInt(seed));
    this.batchesPerEpoch = Math.max(
      1,
      Math.floor(2 * Math.min(this.#classes[0].size, this.#classes[1].size) / batchSize),
    );
    this.#order = this.#shuffled();
  }

  /** Epochs completed. */
  get epoch(): number {
    return this.#epoch;
  }

  #shuffled(): [Uint32Array, Uint32Array] {
    const random = new PhiloxStream(this.#seed, STREAM_BASE + this.#epoch);
    return [
      random.shuffle(this.#classes[0].draw(random)),
      random.shuffle(this.#classes[1].draw(random)),
    ];
  }

  /** How many positives batches 0 … count − 1 of the epoch hold. */
  #positivesBefore(count: number): number {
    const total = count * this.#batchSize;
    // For an odd batch size, which class gets the odd slice first changes from epoch to epoch.
    const flip = this.#batchSize % 2 === 1 && this.batchesPerEpoch % 2 === 1 ? this.#epoch % 2 : 0;
    return Math.floor((total + 1 - flip) / 2);
  }

  /** Indices of the next batch's slices, positives first; starts a new epoch by itself. */
  next(): number[] {
    if (this.#batch === this.batchesPerEpoch) {
      this.#epoch++;
      this.#batch = 0;
      this.#order = this.#shuffled();
    }
    const begin = this.#batch * this.#batchSize, end = begin + this.#batchSize;
    const from = this.#positivesBefore(this.#batch), to = this.#positivesBefore(++this.#batch);
    const [negatives, positives] = this.#order;
    const out: number[] = [];
    // A class smaller than its share of one batch is gone round again.
    for (let i = from; i < to; i++) out.push(positives[i % positives.length]);
    for (let i = begin - from; i < end - to; i++) out.push(negatives[i % negatives.length]);
    return out;
  }

  /** Back to the first batch of the first epoch. */
  rewind(): void {
    this.#epoch = this.#batch = 0;
    this.#order = this.#shuffled();
  }

  state(): SamplerState {
    return { epoch: this.#epoch, batch: this.#batch, ...this.#identity() };
  }

  #identity() {
    return {
      seed: this.#seed.toString(),
      batchSize: this.#batchSize,
      positives: this.#counts[1],
      negatives: this.#counts[0],
      // States of before there were weights have none.
      ...this.#weights === undefined ? {} : { weights: this.#weights },
    };
  }

  /**
   * Continues where the sampler that gave `state` was.
   * @throws InputError if that one had another seed, batch size or number of slices.
   */
  restore(state: SamplerState): void {
    const own = { weights: undefined, ...this.#identity() };
    for (const [key, mine] of Object.entries(own)) {
      const theirs = state[key as keyof SamplerState];
      if (theirs !== mine) {
        throw new InputError(
          `Cannot resume the order of batches: ${key} was ${theirs}, now it is ${mine}`,
        );
      }
    }
    const { epoch, batch } = state;
    if (
      !(Number.isSafeInteger(epoch) && epoch >= 0 && epoch < 2 ** 32) ||
      !(Number.isInteger(batch) && batch >= 0 && batch <= this.batchesPerEpoch)
    ) {
      throw new InputError(
        `Cannot resume the order of batches: epoch ${epoch}, batch ${batch} of ` +
          `${this.batchesPerEpoch} does not exist`,
      );
    }
    this.#epoch = epoch;
    this.#batch = batch;
    this.#order = this.#shuffled();
  }
}

/** Slices of one class; of weights an epoch has as many copies of each, of what is left over some. */
class Pool {
  /** Slices in an epoch. */
  readonly size: number;
  /** Of each weight: copies of all its slices, and how many of them come once more. */
  readonly #groups: { members: Uint32Array; copies: number; more: number }[];

  constructor(members: Uint32Array, weights?: readonly number[]) {
    const byWeight = Map.groupBy(members, (i) => weights?.[i] ?? 1);
    this.#groups = [...byWeight].sort(([a], [b]) => a - b).map(([weight, list]) => {
      const copies = Math.floor(weight);
      // One at least: a folder that was given is seen.
      const least = copies > 0 ? 0 : 1;
      const more = Math.max(least, Math.round((weight - copies) * list.length));
      return { members: Uint32Array.from(list), copies, more };
    });
    this.size = this.#groups.reduce((n, g) => n + g.copies * g.members.length + g.more, 0);
  }

  /** An epoch's slices, not shuffled; where all are alike nothing is drawn. */
  draw(random: PhiloxStream): Uint32Array {
    const out = new Uint32Array(this.size);
    let at = 0;
    for (const { members, copies, more } of this.#groups) {
      for (let copy = 0; copy < copies; copy++, at += members.length) out.set(members, at);
      if (more === 0) continue;
      out.set(random.shuffle(members.slice()).subarray(0, more), at);
      at += more;
    }
    return out;
  }
}

/** Tells apart orders of other weights: runs of equal ones, `3x1,2x0.5`. */
function nameOfWeights(weights: readonly number[]): string {
  const runs: [count: number, weight: number][] = [];
  for (const weight of weights) {
    const last = runs.at(-1);
    if (last?.[1] === weight) last[0]++;
    else runs.push([1, weight]);
  }
  return runs.map(([count, weight]) => `${count}x${weight}`).join();
}
