/**
 * Does a slice show a nodule? A small convolutional network, trained here on where the real training
 * slices have theirs, that gives the class asked for of a generated slice a second opinion.
 */

import { type Augmentation, augmentPlane } from "../data/augment.ts";
import type { Size } from "../data/resize.ts";
import { BalancedSampler } from "../data/sampler.ts";
import type { Gpu } from "../gpu/device.ts";
import { plan } from "../plan/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import { Graph } from "../graph/graph.ts";
import type { Tensor } from "../graph/tensor.ts";
import { convLayer, groupNormLayer } from "../nn/layers.ts";
import { collectParameters, FlatParameters, type ParameterSource } from "../nn/parameters.ts";
import { OPS } from "../ops/mod.ts";
import { mse } from "../ops/mse/op.ts";
import { adamw } from "../ops/optimizer/op.ts";
import { ADAMW_HYPER } from "../ops/optimizer/shared.ts";
import { PhiloxStream } from "../random/philox.ts";
import { ADAMW_DEFAULTS, adamwHyper } from "../train/adamw.ts";
import { flatGradient } from "../train/training_graph.ts";

/** A slice to judge: planes of [height, width]. */
export interface JudgedSlice {
  /** In [−1, 1]. */
  ct: Float32Array;
  lungMask: Float32Array;
}

/** A real slice to learn from: one with a nodule says where it is. */
export interface ClassifierSlice extends JudgedSlice {
  label: 0 | 1;
  noduleMask?: ArrayLike<number>;
}

/**
 * Whether a slice can be learnt from: one without a nodule, or with one of which a pixel is left (small
 * ones vanish when a slice is shrunk).
 */
export const isTeachable = ({ label, noduleMask }: ClassifierSlice): boolean =>
  label === 0 || Array.from(noduleMask ?? []).some((value) => value > 0.5);

export interface ClassifierOptions {
  height: number;
  width: number;
  steps?: number;
  batch?: number;
  learningRate?: number;
  seed?: number;
  onStep?: (done: number) => void;
}

const WIDTHS = [16, 32, 48, 64], STRIDES = [1, 2, 2, 1] as const;
/** Side of a cell in pixels: what the strides make. */
const CELL = 4;
/**
 * Verdict that a cell with a nodule is trained towards; others towards 0. There are many more of those,
 * and a target of 1 would be lost among them.
 */
const TARGET = 8;

const cellsOf = (height: number, width: number) => ({
  rows: Math.ceil(height / CELL),
  columns: Math.ceil(width / CELL),
});

/**
 * 3×3 convolutions with group norm and SiLU, two of them halving. x [N,2,H,W], CT and lung mask →
 * a verdict a cell of 4×4 pixels, [N,1,⌈H/4⌉,⌈W/4⌉].
 */
function network(source: ParameterSource, x: Tensor): Tensor {
  return x.graph.scope("classifier", () => {
    WIDTHS.forEach((width, i) => {
      x = convLayer(source, `conv${i}`, x, width, 3, { stride: STRIDES[i], padding: 1 });
      x = groupNormLayer(source, `norm${i}`, x, { groups: 8, eps: 1e-5, silu: true });
    });
    return convLayer(source, "out", x, 1, 1);
  });
}

/** A trained classifier on the GPU. */
export class NoduleClassifier {
  private constructor(
    readonly executable: Executable,
    readonly batch: number,
    /** What a slice's highest verdict must be above to count as a nodule. */
    private threshold: number,
  ) {}

  /**
   * Trains with AdamW on balanced batches, each slice moved a little and flipped left to right every
   * other time. The threshold is the one that parts the training slices best.
   *
   * @throws InputError where a class has no slice to learn from (see {@link isTeachable}).
   */
  static async train(
    gpu: Gpu,
    all: readonly ClassifierSlice[],
    options: ClassifierOptions,
  ): Promise<NoduleClassifier> {
    const { height, width, steps = 300, batch = 16, learningRate = 2e-3, seed = 0 } = options;
    const slices = all.filter(isTeachable);
    const image = { shape: [batch, 2, height, width], dtype: "f32" } as const;
    const layout = collectParameters((graph, source) => network(source, graph.input("x", image)));
    const flat = { shape: [layout.size], dtype: "f32" } as const;
    const { rows, columns } = cellsOf(height, width), cells = rows * columns;

    const graph = new Graph();
    const x = graph.input("x", image);
    const states = ["params", "m", "v", "ema"].map((name) => graph.state(name, flat));
    const parameters = new FlatParameters(states[0], layout);
    const target = graph.input("target", { shape: [batch, 1, rows, columns], dtype: "f32" });
    const loss = mse(network(parameters, x), target);
    const gradient = flatGradient(graph, parameters, loss, graph.input("loss_gradient", loss));
    const hyper = graph.input("hyper", { shape: [ADAMW_HYPER], dtype: "f32" });
    const [p, m, v, ema] = states;
    adamw(gradient, hyper, [p, m, v, ema])
      .forEach((tensor, i) => graph.update(["params", "m", "v", "ema"][i], tensor));
    const trainer = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
    const random = new PhiloxStream(seed, 7 * 2 ** 40);
    const start = layout.initialise(random);
    trainer.write("params", start);
    trainer.write("ema", start);
    trainer.write("loss_gradient", new Float32Array([1]));

    const sampler = new BalancedSampler(slices.map(({ label }) => label), batch, seed);
    const data = new Float32Array(2 * batch * height * width);
    const targets = new Float32Array(batch * cells);
    const size = { height, width }, nodules = new Float32Array(height * width);
    const reach = [height, width].map((side) => Math.floor(side / 16));
    for (let step = 1; step <= steps; step++) {
      const chosen = sampler.next();
      targets.fill(0);
      for (let i = 0; i < batch; i++) {
        const slice = slices[chosen[i % chosen.length]];
        const [down, right] = reach.map((most) => random.int(2 * most + 1) - most);
        const how = { flip: random.int(2) === 1, angle: 0, down, right };
        put(data.subarray(2 * i * height * width), slice, size, how);
        if (slice.label === 1) {
          augmentPlane(Float32Array.from(slice.noduleMask!), size, how, true, nodules);
          nodules.forEach((value, at) => {
            const row = Math.floor(at / width / CELL), column = Math.floor(at % width / CELL);
            if (value > 0.5) targets[i * cells + row * columns + column] = TARGET;
          });
        }
      }
      trainer.write("x", data);
      trainer.write("target", targets);
      const lr = learningRate * Math.min(1, step / 20) *
        (0.5 + 0.5 * Math.cos(Math.PI * (step - 1) / steps));
      trainer.write("hyper", adamwHyper({ ...ADAMW_DEFAULTS, lr }, step, 0.98, true));
      trainer.run();
      if (step % 8 === 0) await gpu.idle();
      options.onStep?.(step);
    }
    const trained = await trainer.read("ema") as Float32Array<ArrayBuffer>;
    trainer.destroy();

    const judge = new Graph();
    const weights = new FlatParameters(judge.state("params", flat), layout);
    judge.output("verdicts", network(weights, judge.input("x", image)));
    const executable = await Executable.load(gpu, plan(judge, OPS, { device: gpu.profile }));
    executable.write("params", trained);
    const classifier = new NoduleClassifier(executable, batch, 0);
    classifier.threshold = bestThreshold(
      await classifier.#highest(slices),
      slices.map(({ label }) => label),
    );
    return classifier;
  }

  /** A score per slice, above 0.5 where it shows a nodule. */
  async scores(slices: readonly JudgedSlice[]): Promise<Float32Array> {
    return (await this.#highest(slices)).map((v) => 0.5 + (v - this.threshold) / TARGET);
  }

  /** The highest verdict of each slice's cells that touch its lungs; 0 where there is no lung. */
  async #highest(slices: readonly JudgedSlice[]): Promise<Float32Array> {
    const [, , height, width] = this.executable.plan.inputs.x.shape;
    const { rows, columns } = cellsOf(height, width), cells = rows * columns;
    const size = { height, width };
    const out = new Float32Array(slices.length);
    const data = new Float32Array(2 * this.batch * height * width);
    for (let at = 0; at < slices.length; at += this.batch) {
      const part = slices.slice(at, at + this.batch);
      part.forEach((slice, i) => put(data.subarray(2 * i * height * width), slice, size));
      this.executable.write("x", data);
      this.executable.run();
      const verdicts = await this.executable.read("verdicts");
      part.forEach(({ lungMask }, i) => {
        let highest = -Infinity;
        lungMask.forEach((value, k) => {
          const row = Math.floor(k / width / CELL), column = Math.floor(k % width / CELL);
          if (value > 0.5) {
            highest = Math.max(highest, verdicts[i * cells + row * columns + column]);
          }
        });
        out[at + i] = Number.isFinite(highest) ? highest : 0;
      });
    }
    return out;
  }

  destroy(): void {
    this.executable.destroy();
  }
}

/** Midway between two values such that the classes' shares on the right sides are largest in sum. */
function bestThreshold(values: ArrayLike<number>, labels: readonly number[]): number {
  const order = Array.from(values, (value, i) => ({ value, label: labels[i] }))
    .sort((a, b) => a.value - b.value);
  const share = 1 / labels.filter((label) => label === 0).length;
  const cost = 1 / labels.filter((label) => label === 1).length;
  let best = -Infinity, threshold = 0, sum = 0;
  for (let i = 0; i + 1 < order.length; i++) {
    sum += order[i].label === 0 ? share : -cost;
    if (sum > best && order[i].value < order[i + 1].value) {
      [best, threshold] = [sum, (order[i].value + order[i + 1].value) / 2];
    }
  }
  return threshold;
}

const STILL: Augmentation = { flip: false, angle: 0, down: 0, right: 0 };

/** Writes a slice's two planes as an image at the beginning of `to`. */
function put(
  to: Float32Array,
  { ct, lungMask }: JudgedSlice,
  size: Size,
  how: Augmentation = STILL,
): void {
  augmentPlane(ct, size, how, false, to);
  augmentPlane(lungMask, size, how, true, to.subarray(ct.length));
}
