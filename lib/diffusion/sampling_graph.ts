/** One reverse step of sampling as a graph: model, guidance, scheduler. */

import { Graph } from "../graph/graph.ts";
import type { UNet2DConfig } from "../nn/config.ts";
import { FlatParameters, type ParameterLayout } from "../nn/parameters.ts";
import { unet2D } from "../nn/unet_2d.ts";
import { concat } from "../ops/concat.ts";
import { guidance, schedulerStep, STEP_COEFFICIENTS } from "../ops/diffusion.ts";
import { randomNormal } from "../ops/random.ts";

export interface SamplingGraphOptions {
  readonly config: UNet2DConfig;
  readonly layout: ParameterLayout;
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  /** Conditional and unconditional in one doubled batch; without it the class map alone. */
  readonly guided: boolean;
  /** Where the noise comes from: made on the device, or an input `noise` (for reference cases). */
  readonly noise: "device" | "input";
}

/** Told apart from other draws with the same seed and step. */
export const SAMPLING_NOISE_STREAM = 2;

/**
 * Inputs: `lung_mask`, `class_map` [N,1,H,W], `null_map` [N,1,H,W] (what stands for "no class";
 * guided only); `t` i32 [N] or [2N] when guided; `coefficients` of scheduler_step; `strength` [1]
 * (guided only); `rng` u32 [4] and `images` u32 [N] (or `noise` [N,1,H,W]).
 * States: `params` (flat), `x` [N,1,H,W], `x0` [N,1,H,W], the clean image predicted last.
 */
export function samplingGraph(options: SamplingGraphOptions): Graph {
  const { config, layout, batch, height, width, guided } = options;
  const graph = new Graph();
  const image = { shape: [batch, 1, height, width], dtype: "f32" } as const;
  const mask = graph.input("lung_mask", image);
  const classMap = graph.input("class_map", image);
  const t = graph.input("t", { shape: [guided ? 2 * batch : batch], dtype: "i32" });
  const coefficients = graph.input("coefficients", { shape: [STEP_COEFFICIENTS], dtype: "f32" });
  const x = graph.state("x", image);
  const x0 = graph.state("x0", image);
  const parameters = new FlatParameters(
    graph.state("params", { shape: [layout.size], dtype: "f32" }),
    layout,
  );
  const sample = graph.scope("model_input", () => {
    const conditional = concat([mask, classMap, x], 1);
    if (!guided) return conditional;
    const unconditional = concat([mask, graph.input("null_map", image), x], 1);
    return concat([conditional, unconditional], 0);
  });
  let e = unet2D(config, parameters, sample, t);
  if (guided) {
    const strength = graph.input("strength", { shape: [1], dtype: "f32" });
    e = graph.scope("guidance", () => guidance(e, strength));
  }
  graph.scope("scheduler", () => {
    const noise = options.noise === "input" ? graph.input("noise", image) : randomNormal(
      graph.input("rng", { shape: [4], dtype: "u32" }),
      graph.input("images", { shape: [batch], dtype: "u32" }),
      image.shape,
      SAMPLING_NOISE_STREAM,
    );
    const [next, predicted] = schedulerStep(e, noise, coefficients, x, x0);
    graph.update("x", next);
    graph.update("x0", predicted);
  });
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
