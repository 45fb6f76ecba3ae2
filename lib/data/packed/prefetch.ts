/** Batches made ready ahead of their use, by a worker, so that training never waits for the disk. */

import type { AugmentOptions } from "../augment.ts";
import type { Condition } from "../dataset.ts";

/** Which slices the next batch holds, and which micro-batch it is. */
export interface BatchRequest<Tag> {
  indices: readonly number[];
  /** With the seed it decides the augmentation. */
  microStep: number;
  /** Comes back with the batch, for example the sampler's state after it. */
  tag: Tag;
}

export interface Batch<Tag> {
  indices: readonly number[];
  microStep: number;
  tag: Tag;
  /** [batch, height, width] each; CT in [-1, 1], masks in [0, 1]. Valid until {@link Prefetcher.recycle}. */
  ct: Float32Array<ArrayBuffer>;
  lungMask: Float32Array<ArrayBuffer>;
  noduleMask: Float32Array<ArrayBuffer>;
  /** What the network is told, see `Condition`. */
  classMap: Float32Array<ArrayBuffer>;
}

export interface PrefetchOptions<Tag> {
  /** The packed cache's file. */
  path: string;
  /** What to make ready next; null when there is no more. Called ahead of use, in order. */
  next(): BatchRequest<Tag> | null;
  /** Batches kept ready. */
  depth?: number;
  augment?: AugmentOptions;
  /** What the class map holds; `class` by default. */
  condition?: Condition;
  seed?: number;
}

/** To the worker. */
export type ToWorker =
  | {
    kind: "open";
    path: string;
    augment: AugmentOptions;
    condition: Condition;
    seed: number;
  }
  | { kind: "batch"; indices: readonly number[]; microStep: number; buffers: ArrayBuffer[] };

/** From the worker: the buffers of CT, lung mask, nodule mask and class map, or what went wrong. */
export type FromWorker =
  | { kind: "batch"; buffers: ArrayBuffer[] }
  | { kind: "error"; message: string; name: string };

/**
 * Hands out batches in the order asked for. A fixed number of buffers goes round between the worker
 * and its user, so memory stays flat.
 */
export class Prefetcher<Tag = undefined> {
  readonly #worker: Worker;
  readonly #next: PrefetchOptions<Tag>["next"];
  /** Asked of the worker, in order; it answers in the same order. */
  readonly #asked: {
    request: BatchRequest<Tag>;
    promise: Promise<Batch<Tag>>;
    resolve(batch: Batch<Tag>): void;
    reject(error: Error): void;
  }[] = [];
  readonly #free: ArrayBuffer[][] = [];
  #waiting = 0; // index in #asked of the first without an answer
  #atEnd = false;
  #failure: Error | null = null;

  constructor(options: PrefetchOptions<Tag>) {
    const { path, next, depth = 3, augment = {}, condition = "class", seed = 0 } = options;
    this.#next = next;
    this.#worker = new Worker(new URL("./prefetch_worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = (event: MessageEvent<FromWorker>) => this.#answer(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#answer({ kind: "error", name: "Error", message: event.message });
    };
    this.#send({ kind: "open", path, augment, condition, seed });
    for (let i = 0; i < Math.max(1, depth); i++) this.#free.push([]);
    this.#fill();
  }

  #send(message: ToWorker, transfer: ArrayBuffer[] = []) {
    this.#worker.postMessage(message, transfer);
  }

  #fill() {
    while (!this.#atEnd && !this.#failure && this.#free.length > 0) {
      const request = this.#next();
      if (!request) {
        this.#atEnd = true;
        return;
      }
      const { indices, microStep } = request, buffers = this.#free.pop()!;
      const { promise, resolve, reject } = Promise.withResolvers<Batch<Tag>>();
      promise.catch(() => {}); // whoever takes the batch hears of it
      this.#asked.push({ request, promise, resolve, reject });
      this.#send({ kind: "batch", indices: [...indices], microStep, buffers }, buffers);
    }
  }

  #answer(message: FromWorker) {
    if (message.kind === "error") {
      const error = new Error(message.message);
      error.name = message.name;
      this.#failure = error;
      for (const { reject } of this.#asked.slice(this.#waiting)) reject(error);
      return;
    }
    const { request, resolve } = this.#asked[this.#waiting++];
    const [ct, lungMask, noduleMask, classMap] = message.buffers.map((b) => new Float32Array(b));
    const { indices, microStep, tag } = request;
    resolve({ indices, microStep, tag, ct, lungMask, noduleMask, classMap });
  }

  /**
   * The next batch, or null at the end.
   * @throws what stopped the worker, for example a damaged cache.
   */
  async take(): Promise<Batch<Tag> | null> {
    if (this.#asked.length === 0) {
      if (this.#failure) throw this.#failure;
      if (!this.#atEnd) {
        throw new Error("all batches are in use: recycle one before taking another");
      }
      return null;
    }
    const batch = await this.#asked[0].promise;
    this.#asked.shift();
    this.#waiting--;
    return batch;
  }

  /** Gives a batch's memory back for the next one; the batch must not be used any more. */
  recycle({ ct, lungMask, noduleMask, classMap }: Batch<Tag>): void {
    this.#free.push([ct.buffer, lungMask.buffer, noduleMask.buffer, classMap.buffer]);
    this.#fill();
  }

  /** Ends the worker. Batches not taken are lost. */
  close(): void {
    this.#worker.terminate();
  }
}
