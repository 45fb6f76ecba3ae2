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
  readonly #classes: [negatives: Uint32Array, positives: Uint32Array];
  readonly #batchSize: number;
  readonly #seed: bigint;
  #epoch = 0;
  #batch = 0;
  #order: [Uint32Array, Uint32Array];

  /**
   * @param labels 0 or 1 a slice.
   * @param batchSize slices a batch, at least 1.
   * @throws InputError if a class has no slice.
   */
  constructor(labels: ArrayLike<number>, batchSize: number, seed: bigint | number) {
    if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
      throw new InputError(`Cannot make batches of ${batchSize} slices: a whole number ≥ 1 needed`);
    }
    const indices = Uint32Array.from({ length: labels.length }, (_, i) => i);
    this.#classes = [
      indices.filter((i) => labels[i] === 0),
      indices.filter((i) => labels[i] === 1),
    ];
    const [negatives, positives] = this.#classes.map((members) => members.length);
    if (negatives === 0 || positives === 0) {
      throw new InputError(
        `Cannot make balanced batches: ${positives} slices with a nodule and ${negatives} without; ` +
          "at least one of each is needed",
      );
    }
    this.#batchSize = batchSize;
    this.#seed = BigInt.asUintN(64, BigInt(seed));
    this.batchesPerEpoch = Math.max(
      1,
      Math.floor(2 * Math.min(positives, negatives) / batchSize),
    );
    this.#order = this.#shuffled();
  }

  /** Epochs completed. */
  get epoch(): number {
    return this.#epoch;
  }

  #shuffled(): [Uint32Array, Uint32Array] {
    const random = new PhiloxStream(this.#seed, STREAM_BASE + this.#epoch);
    return [random.shuffle(this.#classes[0].slice()), random.shuffle(this.#classes[1].slice())];
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
      positives: this.#classes[1].length,
      negatives: this.#classes[0].length,
    };
  }

  /**
   * Continues where the sampler that gave `state` was.
   * @throws InputError if that one had another seed, batch size or number of slices.
   */
  restore(state: SamplerState): void {
    for (const [key, mine] of Object.entries(this.#identity())) {
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
