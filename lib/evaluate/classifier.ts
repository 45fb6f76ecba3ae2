/**
 * Does a slice show a nodule? A small convolutional network, trained here on the real training
 * split, that gives the class asked for of a generated slice a second opinion.
 */

import { BalancedSampler } from "../data/sampler.ts";
import type { Gpu } from "../gpu/device.ts";
import { plan } from "../gpu/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import { Graph } from "../graph/graph.ts";
import type { Tensor } from "../graph/tensor.ts";
import { convLayer, groupNormLayer } from "../nn/layers.ts";
import { collectParameters, FlatParameters, type ParameterSource } from "../nn/parameters.ts";
import { linear } from "../ops/linear.ts";
import { OPS } from "../ops/mod.ts";
import { mse } from "../ops/mse.ts";
import { adamw, ADAMW_HYPER } from "../ops/optimizer.ts";
import { view } from "../ops/view.ts";
import { PhiloxStream } from "../random/philox.ts";
import { ADAMW_DEFAULTS, adamwHyper } from "../train/adamw.ts";
import { flatGradient } from "../train/training_graph.ts";

/** A real slice to learn from, or any slice to judge. */
export interface ClassifierSlice {
  /** [height, width] in [−1, 1] */
  ct: Float32Array;
  lungMask: Float32Array;
  label: 0 | 1;
}

export interface ClassifierOptions {
  height: number;
  width: number;
  steps?: number;
  batch?: number;
  learningRate?: number;
  seed?: number;
  onStep?: (done: number) => void;
}

const WIDTHS = [16, 32, 48, 64];

const mean = (pixels: number) => ({ shape: [1, pixels], dtype: "f32" } as const);

/** Sets the input that averages over the pixels. */
function writeMean(executable: Executable) {
  const [, pixels] = executable.plan.inputs.mean.shape;
  executable.write("mean", new Float32Array(pixels).fill(1 / pixels));
}

/**
 * Three halvings of 3×3 convolutions with group norm and SiLU, a verdict a
 * pixel and their mean. x [N,2,H,W], CT and lung mask → [N,1], trained towards 1 for a nodule and 0 for none.
 */
function network(source: ParameterSource, x: Tensor): Tensor {
  const { graph } = x;
  return graph.scope("classifier", () => {
    WIDTHS.forEach((width, i) => {
      x = convLayer(source, `conv${i}`, x, width, 3, { stride: i === 0 ? 1 : 2, padding: 1 });
      x = groupNormLayer(source, `norm${i}`, x, { groups: 8, eps: 1e-5, silu: true });
    });
    // A verdict for every pixel, then their mean: as a product, which has a gradient.
    const verdicts = convLayer(source, "out", x, 1, 1);
    const [n, , height, wide] = verdicts.shape;
    return linear(view(verdicts, [n, height * wide]), graph.input("mean", mean(height * wide)));
  });
}

/** A trained classifier on the GPU. */
export class NoduleClassifier {
  private constructor(readonly executable: Executable, readonly batch: number) {}

  /**
   * Trains with AdamW on balanced batches, each slice flipped left to right every other time.
   *
   * @throws InputError where a class has no slice.
   */
  static async train(
    gpu: Gpu,
    slices: readonly ClassifierSlice[],
    options: ClassifierOptions,
  ): Promise<NoduleClassifier> {
    const { height, width, steps = 300, batch = 16, learningRate = 2e-3, seed = 0 } = options;
    const image = { shape: [batch, 2, height, width], dtype: "f32" } as const;
    const layout = collectParameters((graph, source) => network(source, graph.input("x", image)));
    const flat = { shape: [layout.size], dtype: "f32" } as const;

    const graph = new Graph();
    const x = graph.input("x", image);
    const states = ["params", "m", "v", "ema"].map((name) => graph.state(name, flat));
    const parameters = new FlatParameters(states[0], layout);
    const loss = mse(
      network(parameters, x),
      graph.input("label", { shape: [batch, 1], dtype: "f32" }),
    );
    const gradient = flatGradient(graph, parameters, loss, graph.input("loss_gradient", loss));
    const hyper = graph.input("hyper", { shape: [ADAMW_HYPER], dtype: "f32" });
    const [p, m, v, ema] = states;
    adamw(gradient, hyper, [p, m, v, ema])
      .forEach((tensor, i) => graph.update(["params", "m", "v", "ema"][i], tensor));
    const trainer = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
    const random = new PhiloxStream(seed, 7 * 2 ** 40);
    const start = layout.initialise(random);
    writeMean(trainer);
    trainer.write("params", start);
    trainer.write("ema", start);
    trainer.write("loss_gradient", new Float32Array([1]));

    const sampler = new BalancedSampler(slices.map(({ label }) => label), batch, seed);
    const pixels = height * width;
    const data = new Float32Array(2 * batch * pixels), labels = new Float32Array(batch);
    for (let step = 1; step <= steps; step++) {
      const chosen = sampler.next();
      for (let i = 0; i < batch; i++) {
        const slice = slices[chosen[i % chosen.length]];
        put(data, i, slice, width, random.int(2) === 1);
        labels[i] = slice.label;
      }
      trainer.write("x", data);
      trainer.write("label", labels);
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
    judge.output("score", network(weights, judge.input("x", image)));
    const executable = await Executable.load(gpu, plan(judge, OPS, { device: gpu.profile }));
    writeMean(executable);
    executable.write("params", trained);
    return new NoduleClassifier(executable, batch);
  }

  /** A score per slice, about 0 without and 1 with a nodule. */
  async scores(slices: readonly Omit<ClassifierSlice, "label">[]): Promise<Float32Array> {
    const [, , height, width] = this.executable.plan.inputs.x.shape;
    const out = new Float32Array(slices.length);
    const data = new Float32Array(2 * this.batch * height * width);
    for (let at = 0; at < slices.length; at += this.batch) {
      const part = slices.slice(at, at + this.batch);
      part.forEach((slice, i) => put(data, i, slice, width, false));
      this.executable.write("x", data);
      this.executable.run();
      out.set((await this.executable.read("score")).subarray(0, part.length), at);
    }
    return out;
  }

  destroy(): void {
    this.executable.destroy();
  }
}

/** Writes a slice's two planes as image `i` of a batch. */
function put(
  batch: Float32Array,
  i: number,
  { ct, lungMask }: Omit<ClassifierSlice, "label">,
  width: number,
  flip: boolean,
) {
  [ct, lungMask].forEach((plane, channel) => {
    const start = (2 * i + channel) * plane.length;
    for (let k = 0; k < plane.length; k++) {
      const column = k % width;
      batch[start + k] = plane[flip ? k - column + width - 1 - column : k];
    }
  });
}
