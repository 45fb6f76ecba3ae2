/** The models whose kernels and steps can be timed: two presets, a public benchmark's, anyone's folder. */

import { gradients } from "../graph/autograd.ts";
import { Graph } from "../graph/graph.ts";
import type { DeviceKind } from "../graph/op.ts";
import type { Precision, Tensor } from "../graph/tensor.ts";
import type { UNet2DConfig } from "../nn/config.ts";
import { FlatParameters, type ParameterLayout, type ParameterSource } from "../nn/parameters.ts";
import { unet2D, unet2DParameters } from "../nn/unet_2d.ts";
import { mse } from "../ops/mse/op.ts";
import { OPS } from "../ops/mod.ts";
import { pack } from "../ops/view/op.ts";
import { optimize } from "../passes/optimize.ts";
import type { PlanOptions } from "../plan/lower.ts";
import { plan } from "../plan/planner.ts";
import { INFERENA, inferenaParameters, inferenaUNet } from "./inferena.ts";
import { smallConfig, smallImage } from "./small.ts";
import { benchConfig, benchStep, type PlannedStep, type StepKind } from "./steps.ts";

/** One of them: what it computes, at which size if not told. */
export interface BenchModel {
  readonly name: string;
  readonly kinds: readonly StepKind[];
  readonly batch: number;
  readonly size: number;
  readonly parameters: number;
  /** The step as it is, planned. */
  step(kind: StepKind, at: StepSize, options: PlanOptions): PlannedStep;
  /** A step on one small image whose kernels are the same: for float64 references. */
  small(kind: StepKind, at: StepSize, options: PlanOptions): Graph;
}

export interface StepSize {
  readonly batch: number;
  readonly size: number;
  readonly precision: Precision;
}

export const MODEL_NAMES = ["seed", "demo", "inferena"] as const;

/** A preset: its own training and sampling steps. */
function presetModel(name: string, size: number): BenchModel {
  const config = ({ batch, size, precision }: StepSize) =>
    benchConfig(batch, size, name, precision);
  return {
    name,
    kinds: ["train", "sample", "forward"],
    batch: 8,
    size,
    parameters: unet2DParameters(benchConfig(1, size, name).unet).count,
    step: (kind, at, options) => benchStep(kind, config(at), options),
    small: (kind, at, options) => benchStep(kind, smallConfig(config(at)), options).graph,
  };
}

interface PlainModel {
  readonly layout: ParameterLayout;
  readonly channels: number;
  readonly out: number;
  readonly unit: number;
  build(source: ParameterSource, x: Tensor, t: Tensor): Tensor;
}

/**
 * The model alone, or (`train`) with a mean squared error and all gradients by parameters. Inputs:
 * `sample`, `t`, and for training `target` and `loss_gradient` [1]; state: `params`.
 */
export function plainGraph(
  { layout, channels, out, build }: PlainModel,
  kind: "train" | "forward",
  batch: number,
  [height, width]: readonly [number, number],
  options: { readonly precision: Precision; readonly device: DeviceKind },
): Graph {
  const graph = new Graph();
  const image = (c: number) => ({ shape: [batch, c, height, width], dtype: "f32" }) as const;
  const flat = { shape: [layout.size], dtype: "f32" } as const;
  const sample = graph.input("sample", image(channels));
  const t = graph.input("t", { shape: [batch], dtype: "i32" });
  const params = graph.state("params", flat);
  const parameters = new FlatParameters(params, layout);
  const y = build(parameters, sample, t);
  if (kind === "forward") graph.output("y", y);
  else {
    const loss = mse(y, graph.input("target", image(out)));
    const one = graph.input("loss_gradient", { shape: [1], dtype: "f32" });
    const views = layout.specs.map((s) => parameters.views.get(s.name)!);
    const all = gradients(graph, OPS, loss, one, views);
    const offsets = layout.specs.map((s) => s.offset);
    const packed = graph.within("gradients", "backward", () => pack(all, offsets, layout.size));
    graph.output("loss", loss);
    graph.output("gradient", packed);
  }
  return optimize(graph, options);
}

function plainModel(name: string, model: PlainModel, batch: number, size: number): BenchModel {
  const graph = (
    kind: StepKind,
    batch: number,
    sides: readonly [number, number],
    { precision, device }: { precision: Precision; device: DeviceKind },
  ) =>
    plainGraph(model, kind === "train" ? "train" : "forward", batch, sides, { precision, device });
  return {
    name,
    kinds: ["train", "forward"],
    batch,
    size,
    parameters: model.layout.count,
    step(kind, { batch, size, precision }, options) {
      const made = graph(kind, batch, [size, size], { precision, device: options.device });
      return { kind, layout: model.layout, graph: made, plan: plan(made, OPS, options) };
    },
    small(kind, { size, precision }, options) {
      const widths = { block_out_channels: Array(Math.log2(model.unit) + 1).fill(1) };
      const sides = smallImage(widths, [size, size]);
      return graph(kind, 1, sides, { precision, device: options.device });
    },
  };
}

/** A diffusers model of any channels: forward, and training as a mean squared error with gradients. */
export function configModel(name: string, config: UNet2DConfig): BenchModel {
  const layout = unet2DParameters(config), { sample_size } = config;
  const side = Array.isArray(sample_size) ? Math.max(...sample_size) : sample_size;
  return plainModel(
    name,
    {
      layout,
      channels: config.in_channels,
      out: config.out_channels,
      unit: 2 ** (config.block_out_channels.length - 1),
      build: (source, x, t) => unet2D(config, source, x, t),
    },
    8,
    side ?? 64,
  );
}

/** One of {@link MODEL_NAMES}. */
export function namedModel(name: typeof MODEL_NAMES[number]): BenchModel {
  if (name !== "inferena") return presetModel(name, name === "seed" ? 128 : 32);
  return plainModel(
    name,
    {
      layout: inferenaParameters(),
      channels: INFERENA.channels,
      out: INFERENA.channels,
      unit: 2 ** (INFERENA.levels - 1),
      build: (source, x) => inferenaUNet(source, x),
    },
    INFERENA.batch,
    INFERENA.side,
  );
}
