/** Inception's features of many slices, beside PyTorch, taking turns. */

import type { Gpu } from "../gpu/device.ts";
import { Graph } from "../graph/graph.ts";
import { InceptionExtractor, inceptionInput } from "../metrics/extract.ts";
import { fidelityShapes, inception, type NamedTensors } from "../metrics/inception.ts";
import { PhiloxStream } from "../random/philox.ts";
import { relativeError } from "../tune/check.ts";
import { OURS, Peer, type PeerSpec } from "./peers.ts";
import { type Timing, timing } from "./statistics.ts";

export interface FeatureRow {
  readonly name: string;
  /** Seconds for all slices. */
  readonly total?: number;
  /** Of one slice, a value a turn. */
  readonly time?: Timing;
  /** Its time over ours: above 1, ours is faster. */
  readonly ratio?: number;
  /** Until the first slices' features: weights, compilation, warm-up. */
  readonly firstMilliseconds?: number;
  /** ‖its features − ours‖ / ‖ours‖, all slices together. */
  readonly difference?: number;
  readonly failed?: string;
}

export interface FeatureReport {
  readonly slices: number;
  readonly side: number;
  /** Slices at a time on the device, in a turn. */
  readonly batch: number;
  readonly turn: number;
  readonly rows: readonly FeatureRow[];
  readonly versions: Readonly<Record<string, string>>;
}

export interface FeatureOptions {
  readonly slices: number;
  /** A folder of ours for weights, slices and features. */
  readonly folder: string;
  /** Slices at a time on the device; by default the extractor's own. */
  readonly batch?: number;
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** Side of the slices: what the seed preset generates. */
const SIDE = 128;
/** Slices of a turn: long enough that a change of turns costs nothing. */
const TURN = 16;

/** Weights of torch-fidelity's shapes that keep the size of what goes through, as He 2015. */
function seededWeights(): NamedTensors {
  const graph = new Graph();
  const image = { shape: [1, 1, 299, 299], dtype: "f32" } as const;
  inception(graph, graph.input("x", image));
  const random = new PhiloxStream(2);
  const value = (name: string, inputs: number) =>
    name.endsWith("running_var") || name.endsWith("bn.weight")
      ? () => 0.75 + random.uniform() / 2
      : inputs
      ? () => (2 * random.uniform() - 1) * Math.sqrt(6 / inputs)
      : () => (random.uniform() - 0.5) / 4;
  return new Map([...fidelityShapes(graph)].map(([name, shape]) => {
    const inputs = shape.length > 1 ? shape.slice(1).reduce((a, b) => a * b) : 0;
    const data = new Float32Array(shape.reduce((a, b) => a * b)).map(value(name, inputs));
    return [name, { shape, data }];
  }));
}

/** Smooth seeded slices in [−1, 1], no two alike. */
function seededSlices(count: number): Float32Array<ArrayBuffer>[] {
  const random = new PhiloxStream(3);
  return Array.from({ length: count }, () => {
    const [a, b, c, d] = Array.from({ length: 4 }, () => random.uniform());
    return Float32Array.from({ length: SIDE * SIDE }, (_, i) => {
      const x = i % SIDE / SIDE, y = Math.floor(i / SIDE) / SIDE;
      return Math.sin(20 * a * x + 6 * b) * Math.cos(30 * c * y * (1 + d * x)) * 0.8 +
        0.2 * (2 * random.uniform() - 1);
    });
  });
}

/** Times all slices once through each program, some at a time in turns. */
export async function benchFeatures(
  gpu: Gpu,
  spec: PeerSpec,
  { slices: count, folder, batch, onProgress = () => {} }: FeatureOptions,
): Promise<FeatureReport> {
  const weights = seededWeights();
  const specs: { name: string; shape: number[] }[] = [];
  const file = await Deno.create(`${folder}/weights.bin`);
  for (const [name, { shape, data }] of weights) {
    specs.push({ name, shape });
    const bytes = new Uint8Array((data as Float32Array).buffer);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  }
  file.close();

  const slices = seededSlices(count);
  const turns = Array.from(
    { length: Math.ceil(count / TURN) },
    (_, i) => slices.slice(i * TURN, (i + 1) * TURN),
  );
  const steps = 2 * turns.length;
  let done = 0;
  const progress = () => onProgress("features", ++done, steps);

  onProgress("starting", 0, 1);
  let start = performance.now();
  const extractor = await InceptionExtractor.create(gpu, weights, { batch });
  const ours = async (part: readonly Float32Array[]) => {
    const inputs = part.map((data) => inceptionInput({ data, height: SIDE, width: SIDE }, null));
    return (await extractor.run(inputs)).features.data as Float32Array;
  };
  await ours(turns[0]);
  const own = { first: performance.now() - start, times: [] as number[], total: 0 };
  const features: Float32Array[] = [];

  const peer = new Peer(spec);
  const theirs = { first: 0, times: [] as number[], total: 0 };
  const theirFeatures: Float32Array[] = [];
  let failed: string | undefined, version = "";
  const ask = async (part: readonly Float32Array[]) => {
    const all = new Float32Array(part.length * SIDE * SIDE);
    part.forEach((slice, i) => all.set(slice, i * SIDE * SIDE));
    await Deno.writeFile(`${folder}/slices.bin`, new Uint8Array(all.buffer));
    const answer = await peer.ask({ do: "features", count: part.length, side: SIDE });
    const bytes = await Deno.readFile(`${folder}/features.bin`);
    return { milliseconds: answer.milliseconds as number, rows: new Float32Array(bytes.buffer) };
  };
  try {
    start = performance.now();
    version = String((await peer.ask({ do: "setup", specs, folder })).version);
    await ask(turns[0]);
    theirs.first = performance.now() - start;
  } catch (error) {
    failed = (error as Error).message;
  }
  onProgress("starting", 1, 1);
  for (const part of turns) {
    start = performance.now();
    features.push(await ours(part));
    own.times.push((performance.now() - start) / part.length);
    own.total += performance.now() - start;
    progress();
    try {
      if (failed === undefined) {
        const { milliseconds, rows } = await ask(part);
        theirFeatures.push(rows);
        theirs.times.push(milliseconds / part.length);
        theirs.total += milliseconds;
      }
    } catch (error) {
      failed = (error as Error).message;
    }
    progress();
  }
  peer.end();
  const used = extractor.batch;
  extractor.destroy();
  const join = (parts: Float32Array[]) => Float32Array.from(parts.flatMap((p) => [...p]));
  return {
    slices: count,
    side: SIDE,
    batch: used,
    turn: TURN,
    versions: failed === undefined ? { [spec.name]: version } : {},
    rows: [
      {
        name: OURS,
        total: own.total / 1000,
        time: timing(own.times),
        ratio: 1,
        firstMilliseconds: own.first,
      },
      failed === undefined
        ? {
          name: spec.name,
          total: theirs.total / 1000,
          time: timing(theirs.times),
          ratio: theirs.total / own.total,
          firstMilliseconds: theirs.first,
          difference: relativeError(join(theirFeatures), join(features)),
        }
        : { name: spec.name, failed },
    ],
  };
}
