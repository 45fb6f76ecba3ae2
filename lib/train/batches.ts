/** Where the trainer's batches come from: slices kept in memory, or a packed file read ahead. */

import type { AugmentOptions } from "../data/augment.ts";
import type { Condition, PreparedSlice, SliceCache, SliceRecord } from "../data/dataset.ts";
import { type Batch, Prefetcher } from "../data/packed/prefetch.ts";
import type { BalancedSampler, SamplerState } from "../data/sampler.ts";

/** Planes of [batch, height, width]. */
export interface TrainingBatch {
  readonly ct: Float32Array<ArrayBuffer>;
  readonly lungMask: Float32Array<ArrayBuffer>;
  /** What the network is told, see `Condition`. */
  readonly classMap: Float32Array<ArrayBuffer>;
  /** Where the sampler stood after this batch: what a checkpoint after it must hold. */
  readonly position: SamplerState;
}

/** Batches in the sampler's order. One batch is in use at a time. */
export interface Batches {
  /** The batch of micro-batch `microStep`; the one before is not valid any more. */
  next(microStep: number): Promise<TrainingBatch>;
  /** Forgets what was read ahead: the sampler was moved. */
  restart(): void;
  close(): void;
}

/** A part of each batch, where several processes share it. */
export interface BatchPart {
  readonly first: number;
  readonly count: number;
}

/** From slices that a cache holds in memory. */
export class MemoryBatches implements Batches {
  constructor(
    readonly sampler: BalancedSampler,
    readonly records: readonly SliceRecord[],
    readonly cache: SliceCache,
    readonly part: BatchPart,
  ) {}

  async next(): Promise<TrainingBatch> {
    const { first, count } = this.part;
    const slices: PreparedSlice[] = [];
    for (const index of this.sampler.next().slice(first, first + count)) {
      slices.push(await this.cache.get(this.records[index]));
    }
    const pixels = slices[0].height * slices[0].width;
    const joined = (key: "ct" | "lungMask" | "classMap") => {
      const data = new Float32Array(count * pixels);
      slices.forEach((slice, i) => data.set(slice[key], i * pixels));
      return data;
    };
    return {
      ct: joined("ct"),
      lungMask: joined("lungMask"),
      classMap: joined("classMap"),
      position: this.sampler.state(),
    };
  }

  restart(): void {}
  close(): void {}
}

/** From a packed file, made ready by a worker a few batches ahead; augmented if asked for. */
export class PackedBatches implements Batches {
  #prefetcher: Prefetcher<SamplerState> | undefined;
  #inUse: Batch<SamplerState> | undefined;

  constructor(
    readonly sampler: BalancedSampler,
    readonly path: string,
    readonly part: BatchPart,
    readonly augment: AugmentOptions,
    readonly condition: Condition,
    readonly seed: number,
  ) {}

  async next(microStep: number): Promise<TrainingBatch> {
    const prefetcher = this.#prefetcher ??= this.#start(microStep);
    if (this.#inUse) prefetcher.recycle(this.#inUse);
    const batch = await prefetcher.take();
    if (batch?.microStep !== microStep) {
      throw new Error(`Cannot train: batch of step ${batch?.microStep}, required ${microStep}`);
    }
    this.#inUse = batch;
    const { ct, lungMask, classMap, tag: position } = batch;
    return { ct, lungMask, classMap, position };
  }

  #start(microStep: number): Prefetcher<SamplerState> {
    const { sampler, path, augment, condition, seed, part: { first, count } } = this;
    return new Prefetcher({
      path,
      augment,
      condition,
      seed,
      next() {
        const indices = sampler.next().slice(first, first + count);
        return { indices, microStep: microStep++, tag: sampler.state() };
      },
    });
  }

  restart(): void {
    this.close();
  }

  close(): void {
    this.#prefetcher?.close();
    this.#prefetcher = this.#inUse = undefined;
  }
}
