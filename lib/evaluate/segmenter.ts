/** Trains the nodule segmenter and finds nodules with it. */

import { augmentPlane } from "../data/augment.ts";
import type { Size } from "../data/resize.ts";
import { BalancedSampler } from "../data/sampler.ts";
import { wholePixels } from "../diffusion/nodules.ts";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { plan } from "../plan/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import { Graph } from "../graph/graph.ts";
import { collectParameters, FlatParameters } from "../nn/parameters.ts";
import { noduleSegmenter, SEGMENTER_MULTIPLE } from "../nn/segmenter.ts";
import { diceBce } from "../ops/dice_bce/op.ts";
import { OPS } from "../ops/mod.ts";
import { adamw } from "../ops/optimizer/op.ts";
import { ADAMW_HYPER } from "../ops/optimizer/shared.ts";
import { view } from "../ops/view/op.ts";
import { PhiloxStream } from "../random/philox.ts";
import { ADAMW_DEFAULTS, adamwHyper } from "../train/adamw.ts";
import { flatGradient } from "../train/training_graph.ts";

/** Planes of [height, width]. */
export interface SegmenterInput {
  /** In [−1, 1]. */
  readonly ct: Float32Array;
  readonly lungMask: Float32Array;
}

/** A slice to learn from. */
export interface SegmenterSlice extends SegmenterInput {
  readonly label: 0 | 1;
  /** Coverage, in [0, 1]: see `wholePixels` for what is to be marked. */
  readonly noduleMask: Float32Array;
}

export interface SegmenterOptions extends Size {
  readonly steps: number;
  readonly batch?: number;
  readonly learningRate?: number;
  readonly seed: number;
  readonly onStep?: (done: number) => void;
}

const STATES = ["params", "m", "v", "ema"] as const;
const EMA_DECAY = 0.99;
/** Keeps the draws of weights and augmentation apart from others with the same seed. */
const STREAM = 9 * 2 ** 40;

/** A trained segmenter on the GPU. */
export class NoduleSegmenter {
  private constructor(
    readonly executable: Executable,
    readonly batch: number,
    readonly size: Size,
  ) {}

  /**
   * Trains with AdamW and the loss {@link diceBce} of the batch on balanced batches, each slice flipped left to
   * right every other time and moved a little. A function of its slices and its seed, on one adapter.
   *
   * @throws InputError where no slice has a nodule, or none is without, and where the size does not fit.
   */
  static async train(
    gpu: Gpu,
    slices: readonly SegmenterSlice[],
    options: SegmenterOptions,
  ): Promise<NoduleSegmenter> {
    const { height, width, steps, batch = 16, learningRate = 2e-3, seed, onStep } = options;
    const size = { height, width }, pixels = height * width;
    if (height % SEGMENTER_MULTIPLE || width % SEGMENTER_MULTIPLE) {
      throw new InputError(
        `Cannot train a segmenter at ${height}×${width}: multiples of ${SEGMENTER_MULTIPLE} needed`,
      );
    }
    for (const label of [0, 1]) {
      if (!slices.some((slice) => slice.label === label)) {
        throw new InputError(
          `Cannot train a segmenter: no slice ${label ? "with" : "without"} a nodule among ` +
            `${slices.length}`,
        );
      }
    }
    const image = { shape: [batch, 2, height, width], dtype: "f32" } as const;
    const layout = collectParameters((graph, source) =>
      noduleSegmenter(source, graph.input("x", image))
    );
    const flat = { shape: [layout.size], dtype: "f32" } as const;
    const graph = new Graph();
    const states = STATES.map((name) => graph.state(name, flat));
    const parameters = new FlatParameters(states[0], layout);
    const target = graph.input("target", { shape: [batch, 1, height, width], dtype: "f32" });
    const logits = noduleSegmenter(parameters, graph.input("x", image));
    // Dice of the whole batch: image by image, every slice without a nodule asks for all p to be 0, and
    // half of them are; a segmenter of small nodules then settles for marking nothing.
    const all = [1, batch * pixels];
    const loss = diceBce(view(logits, all), view(target, all));
    const gradient = flatGradient(graph, parameters, loss, graph.input("loss_gradient", loss));
    const hyper = graph.input("hyper", { shape: [ADAMW_HYPER], dtype: "f32" });
    const [p, m, v, ema] = states;
    adamw(gradient, hyper, [p, m, v, ema]).forEach((t, i) => graph.update(STATES[i], t));
    const trainer = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
    const random = new PhiloxStream(seed, STREAM);
    const start = layout.initialise(random);
    trainer.write("params", start);
    trainer.write("ema", start);
    trainer.write("loss_gradient", new Float32Array([1]));

    // Nodules may cover less than half of any pixel: each has a pixel to be found by all the same.
    const targets = slices.map(({ noduleMask }) => wholePixels(noduleMask));
    const sampler = new BalancedSampler(slices.map(({ label }) => label), batch, seed);
    const x = new Float32Array(2 * batch * pixels), masks = new Float32Array(batch * pixels);
    const reach = [height, width].map((side) => Math.floor(side / 16));
    for (let step = 1; step <= steps; step++) {
      const chosen = sampler.next();
      for (let i = 0; i < batch; i++) {
        const index = chosen[i % chosen.length], slice = slices[index];
        const [down, right] = reach.map((most) => random.int(2 * most + 1) - most);
        const how = { flip: random.int(2) === 1, angle: 0, down, right };
        const at = (plane: number) => (2 * i + plane) * pixels;
        augmentPlane(slice.ct, size, how, false, x.subarray(at(0), at(1)));
        augmentPlane(slice.lungMask, size, how, true, x.subarray(at(1), at(2)));
        const mask = masks.subarray(i * pixels, (i + 1) * pixels);
        augmentPlane(targets[index], size, how, true, mask);
      }
      trainer.write("x", x);
      trainer.write("target", masks);
      const lr = learningRate * Math.min(1, step / 20) *
        (0.5 + 0.5 * Math.cos(Math.PI * (step - 1) / steps));
      trainer.write("hyper", adamwHyper({ ...ADAMW_DEFAULTS, lr }, step, EMA_DECAY, true));
      trainer.run();
      if (step % 8 === 0) await gpu.idle();
      onStep?.(step);
    }
    const trained = await trainer.read("ema") as Float32Array<ArrayBuffer>;
    trainer.destroy();

    const judge = new Graph();
    const weights = new FlatParameters(judge.state("params", flat), layout);
    judge.output("logits", noduleSegmenter(weights, judge.input("x", image)));
    const executable = await Executable.load(gpu, plan(judge, OPS, { device: gpu.profile }));
    executable.write("params", trained);
    return new NoduleSegmenter(executable, batch, size);
  }

  /** The probability of a nodule in every pixel of each slice, [height, width] each. */
  async probabilities(slices: readonly SegmenterInput[]): Promise<Float32Array[]> {
    const pixels = this.size.height * this.size.width;
    const x = new Float32Array(2 * this.batch * pixels);
    const out: Float32Array[] = [];
    for (let at = 0; at < slices.length; at += this.batch) {
      const part = slices.slice(at, at + this.batch);
      part.forEach(({ ct, lungMask }, i) => {
        x.set(ct, 2 * i * pixels);
        x.set(lungMask, (2 * i + 1) * pixels);
      });
      this.executable.write("x", x);
      this.executable.run();
      const logits = await this.executable.read("logits");
      part.forEach((_, i) =>
        out.push(
          Float32Array.from(
            logits.subarray(i * pixels, (i + 1) * pixels),
            (z) => 1 / (1 + Math.exp(-z)),
          ),
        )
      );
    }
    return out;
  }

  destroy(): void {
    this.executable.destroy();
  }
}
