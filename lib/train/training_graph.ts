/** One micro-batch of training as a graph: noise, forward, loss, backward, AdamW, EMA. */

import { gradients } from "../graph/autograd.ts";
import { Graph } from "../graph/graph.ts";
import type { Precision } from "../graph/tensor.ts";
import type { DeviceKind } from "../graph/op.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { UNet2DConfig } from "../nn/config.ts";
import { FlatParameters, type ParameterLayout } from "../nn/parameters.ts";
import { unet2D } from "../nn/unet_2d.ts";
import { concat } from "../ops/concat/op.ts";
import { qSample } from "../ops/diffusion/op.ts";
import { mse } from "../ops/mse/op.ts";
import { optimize } from "../passes/optimize.ts";
import { OPS } from "../ops/mod.ts";
import { CLIP_BLOCK } from "../ops/gradient_clip/shared.ts";
import { gradientClip } from "../ops/gradient_clip/op.ts";
import { LOSS_SCALE_STATE } from "../ops/loss_scale/shared.ts";
import { lossScale } from "../ops/loss_scale/op.ts";
import { accumulate, adamw, logScalar } from "../ops/optimizer/op.ts";
import { ADAMW_HYPER } from "../ops/optimizer/shared.ts";
import { randomNormal } from "../ops/random/op.ts";
import { scaleImages } from "../ops/scale_images/op.ts";
import { pack, view } from "../ops/view/op.ts";
import { GRAD_SCALER } from "./loss_scale.ts";

export interface TrainingGraphOptions {
  readonly config: UNet2DConfig;
  readonly layout: ParameterLayout;
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly timesteps: number;
  /** Micro-batches to an optimizer step; above 1 gradients are summed in a state `sum`. */
  readonly accumulation: number;
  /** Where the noise comes from: made on the device, or an input `noise` (for reference cases). */
  readonly noise: "device" | "input";
  /** Losses kept on the device until they are read back. */
  readonly logSize: number;
  /** False: the model predicts something else than the noise, see `targetTable`. */
  readonly predictsNoise?: boolean;
  /** Timesteps weigh differently in the loss, see `minSnrWeights`. */
  readonly weighted?: boolean;
  /** Gradients are clipped to this global norm. */
  readonly maxGradNorm?: number | null;
  /** Computes cheap activations again for the backward pass, for less memory. */
  readonly recompute?: boolean;
  /** Hands out the flat gradient before the optimizer, for whom sums it with others. */
  readonly exposeGradient?: boolean;
  /** f16: activations and their gradients are stored so, and the loss is scaled. */
  readonly precision?: Precision;
  /** The device that the graph is for: some forms of it suit one kind better. */
  readonly device: DeviceKind;
}

/** Told apart from other draws with the same seed and step. */
export const TRAINING_NOISE_STREAM = 1;

/**
 * Inputs: `ct`, `lung_mask`, `class_map` [N,1,H,W]; `t` i32 [N]; `rng` u32 [4] and `images` u32 [N]
 * (or `noise` [N,1,H,W]); `table` [T,2] of q_sample; `hyper` of adamw; `control` of accumulate where
 * accumulation > 1; `log_index` i32 [1]; `loss_gradient` [1], dL/dloss, 1.
 * Also `targets` [T,2] unless the model predicts the noise, `root_weights` [T] where timesteps are
 * weighted (the square roots of the weights), `filled` i32 of gradient_clip where it is clipped.
 * With f16 `filled` always and `log_betas` [2], but no `loss_gradient`.
 * States: `params`, `m`, `v`, `ema` (flat, see ParameterLayout), `sum`, `losses` [logSize],
 * `norms` [logSize] (global norms of the gradient, where it is clipped or f16), with f16
 * `loss_scale` [4] of the op of that name.
 * Outputs: `loss` [1], and `gradient` (flat) where it is exposed.
 */
export function trainingGraph(options: TrainingGraphOptions): Graph {
  const { config, layout, batch, height, width } = options;
  const graph = new Graph();
  const image = { shape: [batch, 1, height, width], dtype: "f32" } as const;
  const flat = { shape: [layout.size], dtype: "f32" } as const;
  const [ct, mask, classMap] = ["ct", "lung_mask", "class_map"].map((n) => graph.input(n, image));
  const t = graph.input("t", { shape: [batch], dtype: "i32" });
  const table = graph.input("table", { shape: [options.timesteps, 2], dtype: "f32" });
  const states = ["params", "m", "v", "ema"].map((n) => graph.state(n, flat));
  const parameters = new FlatParameters(states[0], layout);

  const noise = graph.scope(
    "noise",
    () =>
      options.noise === "input" ? graph.input("noise", image) : randomNormal(
        graph.input("rng", { shape: [4], dtype: "u32" }),
        graph.input("images", { shape: [batch], dtype: "u32" }),
        image.shape,
        TRAINING_NOISE_STREAM,
      ),
  );
  const noisy = graph.scope("q_sample", () => qSample(ct, noise, t, table));
  const sample = graph.scope("model_input", () => concat([mask, classMap, noisy], 1));
  const prediction = unet2D(config, parameters, sample, t);
  const loss = graph.scope("loss", () => {
    let pair = [prediction, noise];
    if (options.predictsNoise === false) {
      const targets = graph.input("targets", { shape: [options.timesteps, 2], dtype: "f32" });
      pair = [prediction, qSample(ct, noise, t, targets)];
    }
    if (options.weighted) {
      // w·(p − y)² = (√w·p − √w·y)².
      const roots = graph.input("root_weights", { shape: [options.timesteps], dtype: "f32" });
      pair = pair.map((x) => scaleImages(x, t, roots));
    }
    return mse(pair[0], pair[1]);
  });
  graph.output("loss", loss);

  const isHalf = options.precision === "f16";
  const lossScales = isHalf
    ? graph.state("loss_scale", { shape: [LOSS_SCALE_STATE], dtype: "f32" })
    : undefined;
  const seed = lossScales ? view(lossScales, [1]) : graph.input("loss_gradient", loss);
  const gradient = flatGradient(graph, parameters, loss, seed);
  if (options.exposeGradient) graph.output("gradient", gradient);
  graph.within("optimizer", "update", () => {
    let total = gradient;
    if (options.accumulation > 1) {
      const control = graph.input("control", { shape: [2], dtype: "f32" });
      total = accumulate(gradient, control, graph.state("sum", flat));
      graph.update("sum", total);
    }
    const log = { shape: [options.logSize], dtype: "f32" } as const;
    const index = graph.input("log_index", { shape: [1], dtype: "i32" });
    let hyper = graph.input("hyper", { shape: [ADAMW_HYPER], dtype: "f32" });
    const maxNorm = options.maxGradNorm ?? undefined;
    if (lossScales || maxNorm !== undefined) {
      const blocks = { shape: [layout.size / CLIP_BLOCK], dtype: "i32" } as const;
      const filled = graph.input("filled", blocks);
      let norm: Tensor;
      if (lossScales) {
        const betas = graph.input("log_betas", { shape: [2], dtype: "f32" });
        const scaling = { ...GRAD_SCALER, maxNorm };
        let next: Tensor;
        [hyper, norm, next] = lossScale(total, filled, hyper, betas, lossScales, scaling);
        graph.update("loss_scale", next);
      } else {
        [hyper, norm] = gradientClip(total, filled, hyper, maxNorm!);
      }
      graph.update("norms", logScalar(norm, index, graph.state("norms", log)));
    }
    const [p, m, v, ema] = states;
    const updated = adamw(total, hyper, [p, m, v, ema]);
    ["params", "m", "v", "ema"].forEach((name, i) => graph.update(name, updated[i]));
    graph.update("losses", logScalar(loss, index, graph.state("losses", log)));
  });
  return optimize(graph, options);
}

/**
 * Gradients of all parameters in one flat tensor, at the parameters' own offsets.
 *
 * @param seed [1], what they are multiplied by.
 */
export function flatGradient(
  graph: Graph,
  parameters: FlatParameters,
  loss: Tensor,
  seed: Tensor,
): Tensor {
  const { layout, views } = parameters;
  const wrt = layout.specs.map((s) => views.get(s.name)!);
  const grads = gradients(graph, OPS, loss, seed, wrt);
  return graph.within(
    "gradients",
    "backward",
    () => pack(grads, layout.specs.map((s) => s.offset), layout.size),
  );
}
