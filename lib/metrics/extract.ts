/** Features of many slices by a network on the GPU: batched Plans, a cache by content. */

import { resizeBilinear } from "../data/resize.ts";
import type { Gpu } from "../gpu/device.ts";
import { plan } from "../plan/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import { Graph } from "../graph/graph.ts";
import { RowCache } from "../io/row_cache.ts";
import { OPS } from "../ops/mod.ts";
import { alexnet, alexnetStates, lpipsHeads, lpipsInput } from "./alexnet.ts";
import {
  foldInception,
  INCEPTION,
  inception,
  INCEPTION_SIZE,
  type InceptionConfig,
  type NamedTensors,
  ONE_PIXEL,
  planePixels,
} from "./inception.ts";
import type { Features } from "./linear_algebra.ts";
import { LPIPS_CHANNELS, lpipsDistance, type Tap } from "./lpips.ts";

/** A plane of [height, width] in [−1, 1]. */
export interface Image {
  data: Float32Array;
  height: number;
  width: number;
}

/**
 * A slice as the original gives it to FID: (x·mask + 1)/2, bilinear to 299² (align_corners false),
 * ·255 cut to bytes, (byte − 128)/128.
 *
 * @param mask of the image's size; null leaves the outside as it is
 */
export function inceptionInput(
  { data, height, width }: Image,
  mask: ArrayLike<number> | null,
  side = INCEPTION_SIZE,
): Float32Array {
  const unit = data.map((value, i) => (value * (mask ? mask[i] : 1) + 1) / 2);
  return resizeBilinear(unit, { height, width }, { height: side, width: side })
    .map((value) => (Math.min(255, Math.max(0, Math.trunc(Math.fround(value * 255)))) - 128) / 128);
}

/** {@link inceptionInput} of a slice and its own lung mask. */
export const sliceInput = (
  { ct, lungMask }: { ct: Float32Array; lungMask: ArrayLike<number> },
  { height, width }: { height: number; width: number },
): Float32Array => inceptionInput({ data: ct, height, width }, lungMask);

/** What a pass over slices gives: rows in the order of the slices. */
export interface InceptionFeatures {
  features: Features;
  logits: Features;
}

export interface InceptionOptions {
  /** Slices at a time, fewer where the device's buffers are too small; 8 by default. */
  batch?: number;
  config?: InceptionConfig;
  /** Side of the input images; other than 299 only in tests. */
  side?: number;
  /** Folder of features by the bytes that the network sees and the weights' hash; none: no cache. */
  cache?: { folder: string; weights: string };
}

/** The network as a plan, and the bytes of its largest binding. */
function planInception(gpu: Gpu, config: InceptionConfig, side: number, batch: number) {
  const graph = new Graph();
  const shape = [batch, config.channels, side, side];
  const x = graph.input("x", { shape, dtype: "f32" });
  const { features, logits } = inception(graph, x, config);
  graph.output("features", features);
  graph.output("logits", logits);
  const made = plan(graph, OPS, { device: gpu.profile });
  const sizes = made.dispatches.flatMap(({ bindings }) =>
    bindings.map(({ texture, size }) => texture === undefined ? size : 0)
  );
  return { graph, plan: made, largest: sizes.reduce((a, b) => Math.max(a, b), 0) };
}

/** InceptionV3 with its weights on the GPU. */
export class InceptionExtractor {
  readonly #executable: Executable;
  readonly #options: InceptionOptions;
  readonly #cache: RowCache | undefined;
  /** Slices at a time. */
  readonly batch: number;
  readonly #sizes: [features: number, logits: number];

  private constructor(executable: Executable, options: InceptionOptions, batch: number) {
    this.#executable = executable;
    this.#options = options;
    this.#cache = options.cache && new RowCache(options.cache.folder);
    this.batch = batch;
    const { features, logits } = executable.plan.outputs;
    this.#sizes = [features.shape[1], logits.shape[1]];
  }

  /** Compiles the network and uploads `weights` (torch-fidelity's state dict). */
  static async create(
    gpu: Gpu,
    weights: NamedTensors,
    options: InceptionOptions = {},
  ): Promise<InceptionExtractor> {
    const { config = INCEPTION, side = INCEPTION_SIZE } = options;
    const most = gpu.profile.limits.maxStorageBufferBindingSize;
    let batch = options.batch ?? 8, planned = planInception(gpu, config, side, batch);
    while (batch > 1 && planned.largest > most) {
      batch = Math.max(1, Math.min(batch - 1, Math.floor(batch * most / planned.largest)));
      planned = planInception(gpu, config, side, batch);
    }
    const executable = await Executable.load(gpu, planned.plan);
    const folded = foldInception(planned.graph, weights, config);
    for (const [name, data] of folded) executable.write(name, data);
    return new InceptionExtractor(executable, options, batch);
  }

  /** @param inputs of `inceptionInput`; @param onDone called with the number of slices done. */
  async run(
    inputs: readonly Float32Array[],
    onDone: (done: number) => void = () => {},
  ): Promise<InceptionFeatures> {
    const width = this.#sizes[0] + this.#sizes[1];
    const rows = new Float32Array(inputs.length * width);
    const { cache } = this.#options;
    const paths = inputs.map((input) => cache && this.#cache?.path(cache.weights, input));
    const missing: number[] = [];
    for (const [i, path] of paths.entries()) {
      const known = path && await this.#cache?.read(path, width);
      if (known) rows.set(known, i * width);
      else missing.push(i);
    }
    let done = inputs.length - missing.length;
    onDone(done);
    const channels = this.#options.config?.channels ?? INCEPTION.channels;
    for (let at = 0; at < missing.length; at += this.batch) {
      const part = missing.slice(at, at + this.batch);
      const size = inputs[part[0]].length;
      const x = new Float32Array(this.batch * channels * size);
      for (const [k, i] of part.entries()) {
        for (let c = 0; c < channels; c++) x.set(inputs[i], (k * channels + c) * size);
      }
      this.#executable.write("x", x);
      this.#executable.run();
      const features = planePixels(await this.#executable.read("features"), ONE_PIXEL);
      const logits = planePixels(await this.#executable.read("logits"), ONE_PIXEL);
      for (const [k, i] of part.entries()) {
        const row = rows.subarray(i * width, (i + 1) * width);
        row.set(features.subarray(k * this.#sizes[0], (k + 1) * this.#sizes[0]));
        row.set(logits.subarray(k * this.#sizes[1], (k + 1) * this.#sizes[1]), this.#sizes[0]);
        if (paths[i]) await this.#cache?.write(paths[i], row);
      }
      onDone(done += part.length);
    }
    const take = (from: number, size: number): Features => {
      const data = new Float32Array(inputs.length * size);
      for (let i = 0; i < inputs.length; i++) {
        data.set(rows.subarray(i * width + from, i * width + from + size), i * size);
      }
      return { count: inputs.length, size, data };
    };
    return { features: take(0, this.#sizes[0]), logits: take(...this.#sizes) };
  }

  destroy(): void {
    this.#executable.destroy();
  }
}

/** LPIPS "alex" 0.1 with its weights on the GPU, a pair a run. */
export class LpipsExtractor {
  private constructor(
    readonly executable: Executable,
    readonly heads: Float32Array[],
  ) {}

  /** For images of one size; `alexWeights` and `headWeights` as torchvision's and lpips' files. */
  static async create(
    gpu: Gpu,
    { height, width }: { height: number; width: number },
    alexWeights: NamedTensors,
    headWeights: NamedTensors,
  ): Promise<LpipsExtractor> {
    const graph = new Graph();
    const x = graph.input("x", { shape: [2, 3, height, width], dtype: "f32" });
    alexnet(graph, x).forEach((tap, layer) => graph.output(`tap${layer}`, tap));
    const executable = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
    for (const [name, data] of alexnetStates(graph, alexWeights)) executable.write(name, data);
    return new LpipsExtractor(executable, lpipsHeads(headWeights));
  }

  /** The distance of two grey images; the network is made for values in [−1, 1]. */
  async distance(a: Float32Array, b: Float32Array): Promise<number> {
    const x = new Float32Array(6 * a.length);
    x.set(lpipsInput(a));
    x.set(lpipsInput(b), 3 * a.length);
    this.executable.write("x", x);
    this.executable.run();
    const sides: [Tap[], Tap[]] = [[], []];
    for (const [layer, channels] of LPIPS_CHANNELS.entries()) {
      const data = await this.executable.read(`tap${layer}`), half = data.length / 2;
      sides[0].push({ channels, data: data.subarray(0, half) });
      sides[1].push({ channels, data: data.subarray(half) });
    }
    return lpipsDistance(...sides, this.heads);
  }

  destroy(): void {
    this.executable.destroy();
  }
}
