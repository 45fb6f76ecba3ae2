/** Steps to be timed: the very Plans of training and sampling, with made-up data in their inputs. */

import { qSampleTable } from "../diffusion/noise_schedule.ts";
import { samplingGraph } from "../diffusion/sampling_graph.ts";
import { schedulerAlphas } from "../diffusion/scheduler.ts";
import { schedulerConfig } from "../diffusion/scheduler_config.ts";
import type { Gpu } from "../gpu/device.ts";
import { plan } from "../plan/planner.ts";
import type { PlanOptions } from "../plan/lower.ts";
import { type Plan, planBytes } from "../plan/plan.ts";
import { Executable, type LoadOptions } from "../gpu/runtime.ts";
import { Graph } from "../graph/graph.ts";
import type { DeviceKind } from "../graph/op.ts";
import type { Precision } from "../graph/tensor.ts";
import { FlatParameters, type ParameterLayout } from "../nn/parameters.ts";
import { unet2D, unet2DParameters } from "../nn/unet_2d.ts";
import { optimize } from "../passes/optimize.ts";
import { OPS } from "../ops/mod.ts";
import { CLIP_BLOCK } from "../ops/gradient_clip/shared.ts";
import { PhiloxStream } from "../random/philox.ts";
import { adamwHyper } from "../train/adamw.ts";
import { PRESETS, type RunConfig, runConfig } from "../train/config.ts";
import { fromLossScale, INITIAL_LOSS_SCALE, logBetas } from "../train/loss_scale.ts";
import { trainingGraph } from "../train/training_graph.ts";
import { trainingScheduler } from "../train/training_step.ts";

export type StepKind = "train" | "sample" | "forward";

/** A step of any model. */
export interface PlannedStep {
  readonly kind: StepKind;
  readonly layout: ParameterLayout;
  readonly graph: Graph;
  readonly plan: Plan;
  /** Of a preset: what a run would be configured with. */
  readonly config?: RunConfig;
}

export interface BenchStep extends PlannedStep {
  readonly config: RunConfig;
}

/**
 * The seed preset at another size. One micro-batch is a whole optimizer step here, as in the
 * programs that it is compared with.
 */
export function benchConfig(
  batch: number,
  size: number,
  preset = "seed",
  precision: Precision = "f32",
): RunConfig {
  const raw = structuredClone(PRESETS[preset]);
  return {
    ...runConfig(raw, `preset ${preset}`),
    resolution: [size, size],
    train_batch_size: batch,
    gradient_accumulation_steps: 1,
    precision,
  };
}

/** Plans a step. `sample` is guided: the model runs on twice the batch. */
export function benchStep(kind: StepKind, config: RunConfig, options: PlanOptions): BenchStep {
  const layout = unet2DParameters(config.unet);
  const [height, width] = config.resolution;
  const batch = config.train_batch_size;
  const { precision } = config;
  const { device } = options;
  const shared = { config: config.unet, layout, batch, height, width, precision, device };
  const graph = kind === "train"
    ? trainingGraph({
      ...shared,
      timesteps: config.ddpm_num_steps,
      accumulation: config.gradient_accumulation_steps,
      noise: "device",
      logSize: 256,
      maxGradNorm: config.max_grad_norm,
      recompute: config.recompute,
    })
    : kind === "sample"
    ? samplingGraph({ ...shared, guided: true, noise: "device" })
    : forwardGraph(config, layout, device);
  return { kind, config, layout, graph, plan: plan(graph, OPS, options) };
}

/** The model alone: `sample` [N,C,H,W] and `t` [N] to `y`. */
function forwardGraph(config: RunConfig, layout: ParameterLayout, device: DeviceKind): Graph {
  const graph = new Graph();
  const n = config.train_batch_size;
  const shape = [n, config.unet.in_channels, ...config.resolution];
  const sample = graph.input("sample", { shape, dtype: "f32" });
  const t = graph.input("t", { shape: [n], dtype: "i32" });
  const params = graph.state("params", { shape: [layout.size], dtype: "f32" });
  graph.output("y", unet2D(config.unet, new FlatParameters(params, layout), sample, t));
  return optimize(graph, { precision: config.precision, device });
}

/** The weights that every step, here and in other programs, is timed with. */
export function benchWeights(layout: ParameterLayout): Float32Array<ArrayBuffer> {
  return layout.initialise(new PhiloxStream(0, 4 * 2 ** 32));
}

/** Seeded noise in [−1, 1]. */
export function benchNoise(count: number): Float32Array<ArrayBuffer> {
  const random = new PhiloxStream(1);
  return Float32Array.from({ length: count }, () => 2 * random.uniform() - 1);
}

/** What steps that have no configuration take their schedule and optimizer from. */
const SEED = benchConfig(1, 128);

export class LoadedStep {
  #done = 0;

  readonly step: PlannedStep;
  readonly executable: Executable;

  private constructor(step: PlannedStep, executable: Executable) {
    [this.step, this.executable] = [step, executable];
  }

  static async load(gpu: Gpu, step: PlannedStep, options: LoadOptions = {}): Promise<LoadedStep> {
    const loaded = new LoadedStep(step, await Executable.load(gpu, step.plan, options));
    loaded.#fill();
    return loaded;
  }

  /** Bytes on the device. */
  get bytes(): number {
    return planBytes(this.step.plan);
  }

  #fill(): void {
    const { executable, step: { config = SEED, layout, plan } } = this;
    const weights = benchWeights(layout);
    for (const [name, slot] of Object.entries(plan.states)) {
      const data = name === "params" || name === "ema"
        ? weights
        : name === "loss_scale"
        ? fromLossScale(INITIAL_LOSS_SCALE)
        : name === "x"
        ? benchNoise(slot.bytes / 4)
        : new Float32Array(slot.bytes / 4);
      executable.write(name, data);
    }
    const alphas = schedulerAlphas(schedulerConfig(trainingScheduler(config), "configuration"));
    const inputs = plan.inputs;
    const set = (name: string, make: (size: number) => Float32Array | Int32Array | Uint32Array) => {
      if (inputs[name]) executable.write(name, make(inputs[name].bytes / 4));
    };
    set("table", () => qSampleTable(alphas));
    set("filled", () => layout.filledBlocks(CLIP_BLOCK));
    set("loss_gradient", () => new Float32Array([1]));
    set("log_betas", () => logBetas(config.adam_beta1, config.adam_beta2));
    set("control", () => new Float32Array([0, 1]));
    set("coefficients", (n) => new Float32Array(n).fill(0.5));
    set("strength", () => new Float32Array([2]));
    set("sample", benchNoise);
    set("target", benchNoise);
    this.upload();
  }

  /** Writes what a real run writes before each step. */
  upload(): void {
    const { executable, step: { config = SEED, plan } } = this;
    const step = this.#done++;
    for (const name of ["ct", "lung_mask", "class_map", "null_map"]) {
      const slot = plan.inputs[name];
      if (slot && (step === 0 || this.step.kind === "train")) {
        executable.write(name, this.#images ??= benchNoise(slot.bytes / 4));
      }
    }
    const t = plan.inputs.t;
    if (t) {
      const size = t.bytes / 4;
      // The forward pass is compared with other programs', so its timesteps stay.
      const moved = this.step.kind === "forward" ? 0 : step * 37;
      const at = (i: number) => (moved + i * 101) % config.ddpm_num_steps;
      executable.write("t", Int32Array.from({ length: size }, (_, i) => at(i)));
    }
    if (plan.inputs.rng) executable.write("rng", new Uint32Array([1, 2, step, 0]));
    if (plan.inputs.images) {
      const size = plan.inputs.images.bytes / 4;
      executable.write("images", Uint32Array.from({ length: size }, (_, i) => i));
    }
    if (plan.inputs.log_index) executable.write("log_index", new Int32Array([step % 256]));
    if (plan.inputs.hyper) {
      const { learning_rate: lr, adam_beta1, adam_beta2, adam_epsilon, adam_weight_decay } = config;
      const betas = [adam_beta1, adam_beta2] as const;
      const options = { lr, betas, eps: adam_epsilon, weightDecay: adam_weight_decay };
      executable.write("hyper", adamwHyper(options, step + 1, config.ema_decay, true));
    }
  }

  #images?: Float32Array<ArrayBuffer>;

  /** Milliseconds of a step: so many in a row, then one wait, that short steps are not all waiting. */
  async time(count = 1): Promise<number> {
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      this.upload();
      this.executable.run();
    }
    await this.executable.gpu.idle();
    return (performance.now() - start) / count;
  }

  /** @throws where what the step computed is not finite: nothing that it took is worth reporting. */
  async requireFinite(): Promise<void> {
    const name = { train: "loss", sample: "x", forward: "y" }[this.step.kind];
    const values = await this.executable.read(name);
    if (!values.every(Number.isFinite)) {
      throw new Error(`Benchmark: ${this.step.kind} gave values that are not finite`);
    }
  }

  destroy(): void {
    this.executable.destroy();
  }
}
