/** One reverse step of sampling as graphs: model, guidance, scheduler, and what is kept of an image. */

import { Graph } from "../graph/graph.ts";
import type { Precision } from "../graph/tensor.ts";
import type { DeviceKind } from "../graph/op.ts";
import type { Tensor } from "../graph/tensor.ts";
import { optimize } from "../passes/optimize.ts";
import type { UNet2DConfig } from "../nn/config.ts";
import { FlatParameters, type ParameterLayout } from "../nn/parameters.ts";
import { unet2D } from "../nn/unet_2d.ts";
import { concat, slice } from "../ops/concat/op.ts";
import { qSample, schedulerStep } from "../ops/diffusion/op.ts";
import { STEP_COEFFICIENTS } from "../ops/diffusion/shared.ts";
import { guidance } from "../ops/guidance/op.ts";
import { guidanceRescale } from "../ops/guidance/op.ts";
import { blend } from "../ops/blend/op.ts";
import { randomNormal } from "../ops/random/op.ts";
import { scale } from "../ops/scale/op.ts";

export interface SamplingGraphOptions {
  readonly config: UNet2DConfig;
  readonly layout: ParameterLayout;
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  /** Conditional and unconditional in one doubled batch; without it the class map alone. */
  readonly guided: boolean;
  /** Rescale what guidance gives (input `rescale`). */
  readonly rescaled?: boolean;
  /** Where the noise comes from: made on the device, or an input `noise` (for reference cases). */
  readonly noise: "device" | "input";
  /** How activations are stored; f32 by default. */
  readonly precision?: Precision;
  /** The device that the graph is for: some forms of it suit one kind better. */
  readonly device: DeviceKind;
}

/** Told apart from other draws with the same seed and step. */
export const SAMPLING_NOISE_STREAM = 2;
const RENOISE_STREAM = 7;

type ModelOptions = Pick<
  SamplingGraphOptions,
  "config" | "layout" | "batch" | "height" | "width" | "precision" | "device"
>;

type ImageOptions = Pick<ModelOptions, "batch" | "height" | "width">;

const imageType = ({ batch, height, width }: ImageOptions) =>
  ({ shape: [batch, 1, height, width], dtype: "f32" }) as const;

/**
 * Pixels that the model takes at once on a software device. Sampling keeps nothing of an activation,
 * so with this few most of what a kernel writes is still in the processor's caches for the next one,
 * and a large batch needs hardly more memory than a small one.
 */
const SOFTWARE_PIXELS = 2 * 128 * 128;

/** The model on as many images at once as the device likes. x [N,C,H,W], t [N] → [N,out,H,W]. */
function modelOutput(
  { config, device }: ModelOptions,
  parameters: FlatParameters,
  sample: Tensor,
  t: Tensor,
): Tensor {
  const [rows, , height, width] = sample.shape;
  const most = device.software ? Math.max(1, Math.floor(SOFTWARE_PIXELS / (height * width))) : rows;
  if (rows <= most) return unet2D(config, parameters, sample, t);
  // As equal as can be: few shapes to tune and to compile for.
  const parts = Math.ceil(rows / most);
  const starts = Array.from({ length: parts + 1 }, (_, i) => Math.floor(i * rows / parts));
  const outputs = starts.slice(1).map((end, i) => {
    const part = (x: Tensor) =>
      x.graph.scope(`part ${i}`, () => slice(x, 0, starts[i], end - starts[i]));
    return unet2D(config, parameters, part(sample), part(t));
  });
  return t.graph.scope("parts", () => concat(outputs, 0));
}

/** What every graph with the model in it starts from. */
function modelParts(graph: Graph, options: ModelOptions, rows: number) {
  const { layout } = options;
  const image = imageType(options);
  const mask = graph.input("lung_mask", image);
  const t = graph.input("t", { shape: [rows], dtype: "i32" });
  const x = graph.state("x", image);
  const parameters = new FlatParameters(
    graph.state("params", { shape: [layout.size], dtype: "f32" }),
    layout,
  );
  const run = (classMaps: readonly string[]): Tensor => {
    const maps = classMaps.map((name) => graph.input(name, image));
    const sample = graph.scope("model_input", () => {
      const parts = maps.map((map) => concat([mask, map, x], 1));
      return parts.length > 1 ? concat(parts, 0) : parts[0];
    });
    return modelOutput(options, parameters, sample, t);
  };
  return { image, x, run };
}

/**
 * Guidance of both outputs [2N,1,H,W], its rescaling, and the scheduler's step from x with noise.
 */
function guidedStep(
  graph: Graph,
  both: Tensor,
  options: Pick<SamplingGraphOptions, "guided" | "rescaled" | "noise">,
  x: Tensor,
): void {
  const one = { shape: [1], dtype: "f32" } as const;
  let e = both;
  if (options.guided) {
    const strength = graph.input("strength", one);
    e = graph.scope("guidance", () => {
      const mixed = guidance(both, strength);
      return options.rescaled ? guidanceRescale(mixed, both, graph.input("rescale", one)) : mixed;
    });
  }
  const coefficients = graph.input("coefficients", { shape: [STEP_COEFFICIENTS], dtype: "f32" });
  const x0 = graph.state("x0", x);
  graph.scope("scheduler", () => {
    const noise = options.noise === "input" ? graph.input("noise", x) : randomNormal(
      graph.input("rng", { shape: [4], dtype: "u32" }),
      graph.input("images", { shape: [x.shape[0]], dtype: "u32" }),
      x.shape,
      SAMPLING_NOISE_STREAM,
    );
    const [next, predicted] = schedulerStep(e, noise, coefficients, x, x0);
    graph.update("x", next);
    graph.update("x0", predicted);
  });
}

/**
 * Inputs: `lung_mask`, `class_map` [N,1,H,W], `null_map` [N,1,H,W] (what stands for "no class";
 * guided only); `t` i32 [N] or [2N] when guided; `coefficients` of scheduler_step; `strength` [1]
 * (guided only), `rescale` [1] (rescaled only); `rng` u32 [4] and `images` u32 [N] (or `noise`
 * [N,1,H,W]).
 * States: `params` (flat), `x` [N,1,H,W], `x0` [N,1,H,W], the clean image predicted last.
 */
export function samplingGraph(options: SamplingGraphOptions): Graph {
  const { batch, guided } = options;
  const graph = new Graph();
  const { x, run } = modelParts(graph, options, guided ? 2 * batch : batch);
  guidedStep(graph, run(guided ? ["class_map", "null_map"] : ["class_map"]), options, x);
  return optimize(graph, options);
}

/**
 * The model alone, for guidance in two passes with half the memory: the same Plan runs for the class
 * and for "no class". Inputs `lung_mask`, `class_map`, `t` [N]; states `params`, `x`, `e`, the output.
 */
export function modelGraph(options: ModelOptions): Graph {
  const graph = new Graph();
  const { image, run } = modelParts(graph, options, options.batch);
  graph.state("e", image);
  graph.update("e", run(["class_map"]));
  return optimize(graph, options);
}

/** Between two passes: state `conditional` becomes `e`. */
export function keepGraph(options: ImageOptions): Graph {
  const graph = new Graph();
  graph.state("conditional", imageType(options));
  graph.update("conditional", scale(graph.state("e", imageType(options)), 1));
  return graph;
}

/** After two passes: samplingGraph's inputs and states without the model's, and both outputs. */
export function stepGraph(options: ImageOptions & { readonly rescaled?: boolean }): Graph {
  const graph = new Graph();
  const image = imageType(options);
  const x = graph.state("x", image);
  const both = concat([graph.state("conditional", image), graph.state("e", image)], 0);
  guidedStep(graph, both, { guided: true, rescaled: options.rescaled, noise: "device" }, x);
  return graph;
}

/** The starting noise alone: state `x` [N,1,H,W] from `rng` and `images`. */
export function initialNoiseGraph(batch: number, height: number, width: number): Graph {
  const graph = new Graph();
  const shape = [batch, 1, height, width];
  const x = graph.state("x", { shape, dtype: "f32" });
  const rng = graph.input("rng", { shape: [4], dtype: "u32" });
  const images = graph.input("images", { shape: [batch], dtype: "u32" });
  graph.update("x", randomNormal(rng, images, x.shape, SAMPLING_NOISE_STREAM));
  return graph;
}

/**
 * Puts what is known of the images back into x outside the region, at the noise level that x is at.
 * Inputs: `known`, `region` [N,1,H,W], `level` [2], `rng`, `images`; state `x`.
 */
export function blendGraph(batch: number, height: number, width: number): Graph {
  const graph = new Graph();
  const image = { shape: [batch, 1, height, width], dtype: "f32" } as const;
  const noise = randomNormal(
    graph.input("rng", { shape: [4], dtype: "u32" }),
    graph.input("images", { shape: [batch], dtype: "u32" }),
    image.shape,
    SAMPLING_NOISE_STREAM,
  );
  const level = graph.input("level", { shape: [2], dtype: "f32" });
  const [known, region] = [graph.input("known", image), graph.input("region", image)];
  graph.update("x", blend(known, region, noise, level, graph.state("x", image)));
  return graph;
}

/**
 * Back to an earlier noise level, for steps that are taken again (RePaint, algorithm 1, line 9).
 * Inputs: `ratio` [1,2], what x and the noise are multiplied by; `zero` i32 [N], zeros; `rng`,
 * `images`; state `x`.
 */
export function renoiseGraph(batch: number, height: number, width: number): Graph {
  const graph = new Graph();
  const x = graph.state("x", { shape: [batch, 1, height, width], dtype: "f32" });
  const noise = randomNormal(
    graph.input("rng", { shape: [4], dtype: "u32" }),
    graph.input("images", { shape: [batch], dtype: "u32" }),
    x.shape,
    RENOISE_STREAM,
  );
  const ratio = graph.input("ratio", { shape: [1, 2], dtype: "f32" });
  const zero = graph.input("zero", { shape: [batch], dtype: "i32" });
  graph.update("x", qSample(x, noise, zero, ratio));
  return graph;
}
