/** Drives the training Plan: batches up, losses down, state in and out. Knows nothing of files. */

import { type PreparedSlice, SliceCache, type SliceRecord } from "../data/dataset.ts";
import { BalancedSampler } from "../data/sampler.ts";
import { qSampleTable } from "../diffusion/noise_schedule.ts";
import { schedulerAlphas, schedulerConfig } from "../diffusion/scheduler.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { plan } from "../gpu/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import type { Graph } from "../graph/graph.ts";
import type { DeviceProfile } from "../graph/op.ts";
import { type ParameterLayout } from "../nn/parameters.ts";
import { unet2DParameters } from "../nn/unet_2d.ts";
import { OPS } from "../ops/mod.ts";
import { keyOf, philox4x32, PhiloxStream } from "../random/philox.ts";
import { adamwHyper } from "./adamw.ts";
import type { TrainingState } from "./checkpoint.ts";
import type { RunConfig } from "./config.ts";
import { trainingGraph } from "./training_graph.ts";

/** The last counter word: keeps draws for different purposes apart (noise has 1 and 2). */
const TIMESTEP_WORD = 3;
const WEIGHTS_STREAM = 4 * 2 ** 32;

/** Losses kept on the device: two windows, so that one can be read while the other fills. */
const LOG_SIZE = 256;

export interface LossRecord {
  readonly microStep: number;
  readonly loss: number;
}

export interface TrainerOptions {
  readonly onPipeline?: (done: number, total: number) => void;
}

export class Trainer {
  /** Optimizer steps done. */
  step = 0;
  /** Micro-batches done. */
  microStep = 0;
  readonly sampler: BalancedSampler;
  #read = 0; // micro-batches whose loss was asked for
  #pending: Promise<LossRecord[]> = Promise.resolve([]);

  private constructor(
    readonly gpu: Gpu,
    readonly config: RunConfig,
    readonly layout: ParameterLayout,
    readonly executable: Executable,
    readonly records: readonly SliceRecord[],
    readonly cache: SliceCache,
  ) {
    const labels = records.map((r) => r.label);
    this.sampler = new BalancedSampler(labels, config.train_batch_size, config.seed);
  }

  static async create(
    gpu: Gpu,
    config: RunConfig,
    records: readonly SliceRecord[],
    cache: SliceCache,
    { onPipeline }: TrainerOptions = {},
  ): Promise<Trainer> {
    const { layout, plan: laidOut } = trainingStep(config, gpu.profile);
    const executable = await Executable.load(gpu, laidOut, { onPipeline });
    const trainer = new Trainer(gpu, config, layout, executable, records, cache);
    const scheduler = schedulerConfig(trainingScheduler(config), "run configuration");
    executable.write("table", qSampleTable(schedulerAlphas(scheduler)));
    executable.write("loss_gradient", new Float32Array([1]));
    const weights = layout.initialise(new PhiloxStream(config.seed, WEIGHTS_STREAM));
    executable.write("params", weights);
    executable.write("ema", weights);
    return trainer;
  }

  get batchesPerEpoch(): number {
    return this.sampler.batchesPerEpoch;
  }

  /** Optimizer steps of the whole run. */
  get totalSteps(): number {
    const { max_train_steps, num_epochs, gradient_accumulation_steps } = this.config;
    return max_train_steps ??
      Math.ceil(num_epochs * this.batchesPerEpoch / gradient_accumulation_steps);
  }

  /** Submits one optimizer step; does not wait for it. */
  async runStep(): Promise<void> {
    const { config, executable } = this;
    const accumulation = config.gradient_accumulation_steps;
    for (let i = 0; i < accumulation; i++) {
      await this.#upload();
      if (accumulation > 1) {
        executable.write("control", new Float32Array([i > 0 ? 1 : 0, 1 / accumulation]));
      }
      const adamw = {
        lr: config.learning_rate,
        betas: [config.adam_beta1, config.adam_beta2] as const,
        eps: config.adam_epsilon,
        weightDecay: config.adam_weight_decay,
      };
      const last = i === accumulation - 1;
      executable.write("hyper", adamwHyper(adamw, this.step + 1, config.ema_decay, last));
      executable.run();
      this.microStep++;
    }
    this.step++;
  }

  async #upload(): Promise<void> {
    const { config, executable, microStep } = this;
    const batch = config.train_batch_size;
    const pixels = config.resolution[0] * config.resolution[1];
    const planes = { ct: "ct", lung_mask: "lungMask", class_map: "classMap" } as const;
    const slices: PreparedSlice[] = [];
    for (const index of this.sampler.next()) slices.push(await this.cache.get(this.records[index]));
    for (const [name, key] of Object.entries(planes)) {
      const data = new Float32Array(batch * pixels);
      slices.forEach((slice, i) => data.set(slice[key], i * pixels));
      executable.write(name, data);
    }
    const key = keyOf(config.seed);
    const t = Int32Array.from({ length: batch }, (_, i) => {
      const [bits] = philox4x32([i, microStep, 0, TIMESTEP_WORD], key);
      return Math.floor(bits / 2 ** 32 * config.ddpm_num_steps);
    });
    executable.write("t", t);
    executable.write("rng", new Uint32Array([...key, microStep, 0]));
    executable.write("images", Uint32Array.from({ length: batch }, (_, i) => i));
    executable.write("log_index", new Int32Array([microStep % LOG_SIZE]));
  }

  /** Whether the losses must be asked for now, before the log wraps around. */
  get mustRead(): boolean {
    return this.microStep - this.#read + this.config.gradient_accumulation_steps > LOG_SIZE / 2;
  }

  /**
   * Asks for the losses of the micro-batches since the last call and returns those asked for one
   * call before, so that the loop waits only for work that is long under way.
   */
  async losses(): Promise<LossRecord[]> {
    const before = await this.#pending;
    const [from, to] = [this.#read, this.microStep];
    this.#read = to;
    this.#pending = this.executable.read("losses").then((log) =>
      Array.from({ length: to - from }, (_, i) => ({
        microStep: from + i,
        loss: log[(from + i) % LOG_SIZE],
      }))
    );
    return before;
  }

  /** All losses not handed out yet; waits for all work. */
  async flushLosses(): Promise<LossRecord[]> {
    return [...await this.losses(), ...await this.losses()];
  }

  async state(): Promise<TrainingState> {
    const read = (name: string) => this.executable.read(name);
    const { step, microStep, sampler } = this;
    return {
      progress: { step, microStep, sampler: sampler.state() },
      params: await read("params"),
      ema: await read("ema"),
      m: await read("m"),
      v: await read("v"),
      sum: this.config.gradient_accumulation_steps > 1 ? await read("sum") : null,
    };
  }

  restore({ progress, params, ema, m, v, sum }: TrainingState): void {
    for (const [name, data] of Object.entries({ params, ema, m, v })) {
      this.executable.write(name, data);
    }
    if (sum && this.config.gradient_accumulation_steps > 1) this.executable.write("sum", sum);
    this.sampler.restore(progress.sampler);
    this.step = progress.step;
    this.microStep = this.#read = progress.microStep;
  }
}

/** The graph and the Plan of one micro-batch of a run: what trains, and what audits look at. */
export function trainingStep(config: RunConfig, device: DeviceProfile): TrainingStep {
  const layout = unet2DParameters(config.unet);
  const [height, width] = config.resolution;
  const graph = trainingGraph({
    config: config.unet,
    layout,
    batch: config.train_batch_size,
    height,
    width,
    timesteps: config.ddpm_num_steps,
    accumulation: config.gradient_accumulation_steps,
    noise: "device",
    logSize: LOG_SIZE,
  });
  return { layout, graph, plan: plan(graph, OPS, { device, exact: config.exact }) };
}

export interface TrainingStep {
  readonly layout: ParameterLayout;
  readonly graph: Graph;
  readonly plan: Plan;
}

/** The forward process of a run, as diffusers' scheduler_config.json says it. */
export function trainingScheduler(config: RunConfig): Record<string, unknown> {
  return {
    _class_name: "DDPMScheduler",
    _diffusers_version: "0.40.0",
    num_train_timesteps: config.ddpm_num_steps,
    beta_start: 0.0001,
    beta_end: 0.02,
    beta_schedule: "linear",
    prediction_type: "epsilon",
    variance_type: "fixed_small",
    clip_sample: true,
    clip_sample_range: 1,
    timestep_spacing: "leading",
    steps_offset: 0,
  };
}
