/** Drives the training Plan: batches up, losses down, state in and out. Knows nothing of files. */

import type { AugmentOptions } from "../data/augment.ts";
import type { SliceCache, SliceRecord } from "../data/dataset.ts";
import { BalancedSampler, type SamplerState } from "../data/sampler.ts";
import { InputError } from "../errors.ts";
import { qSampleTable } from "../diffusion/noise_schedule.ts";
import { schedulerAlphas } from "../diffusion/scheduler.ts";
import { schedulerConfig } from "../diffusion/scheduler_config.ts";
import { type Gpu, requirePrecision } from "../gpu/device.ts";
import { fitting } from "../gpu/fits.ts";
import { Executable } from "../gpu/runtime.ts";
import { CLIP_BLOCK } from "../ops/gradient_clip/shared.ts";
import type { ParameterLayout } from "../nn/parameters.ts";
import { keyOf, philox4x32, PhiloxStream } from "../random/philox.ts";
import { tunedChoice } from "../tune/choice_files.ts";
import { adamwHyper } from "./adamw.ts";
import { type Batches, MemoryBatches, PackedBatches } from "./batches.ts";
import type { TrainingState } from "./checkpoint.ts";
import type { RunConfig } from "./config.ts";
import { learningRate } from "./learning_rate.ts";
import {
  fromLossScale,
  INITIAL_LOSS_SCALE,
  logBetas,
  type LossScale,
  toLossScale,
} from "./loss_scale.ts";
import { sha256 } from "./provenance.ts";
import { minSnrWeights, targetTable } from "./target.ts";
import type { ProcessGroup } from "./process_group.ts";
import {
  LOG_SIZE,
  NO_CLASS,
  trainingScheduler,
  type TrainingStep,
  trainingStep,
} from "./training_step.ts";

/** The last counter word: keeps draws for different purposes apart (noise has 1 and 2). */
const TIMESTEP_WORD = 3;
const LABEL_WORD = 4;
const WEIGHTS_STREAM = 4 * 2 ** 32;

export interface LossRecord {
  readonly microStep: number;
  readonly loss: number;
  /** Global norm of the gradient, where it is clipped or f16; not finite at an overflow. */
  readonly gradientNorm?: number;
  /** With f16: optimizer steps skipped up to here, and the loss scale when the losses were read. */
  readonly skippedSteps?: number;
  readonly lossScale?: number;
}

export interface TrainerOptions {
  /** Others to share each batch with. */
  readonly group?: ProcessGroup;
  /** A packed file of the records, to read batches from instead of the cache. */
  readonly packed?: string;
  readonly onPipeline?: (done: number, total: number) => void;
  /** See `LoadOptions`. */
  readonly ahead?: boolean;
}

export class Trainer {
  /** Optimizer steps done. */
  step = 0;
  /** Micro-batches done. */
  microStep = 0;
  readonly sampler: BalancedSampler;
  readonly batches: Batches;
  /** Where the sampler stood after the last batch used; it may be ahead of that. */
  #position: SamplerState;
  /** For a group: this member asks all to stop after the next step. */
  stopWanted = false;
  /** For a group: one of its members has asked to stop. All learn it at the same step. */
  stopAgreed = false;
  #read = 0; // micro-batches whose loss was asked for
  #skipped = 0; // optimizer steps among those
  #pending: Promise<LossRecord[]> = Promise.resolve([]);

  private constructor(
    readonly gpu: Gpu,
    readonly config: RunConfig,
    readonly layout: ParameterLayout,
    readonly executable: Executable,
    readonly records: readonly SliceRecord[],
    readonly cache: SliceCache,
    readonly group: ProcessGroup | undefined,
    packed: string | undefined,
  ) {
    this.sampler = samplerOf(records, config);
    this.#position = this.sampler.state();
    const count = config.train_batch_size / (group?.size ?? 1);
    const part = { first: count * (group?.rank ?? 0), count };
    const augment = augmentation(config);
    this.batches = packed
      ? new PackedBatches(this.sampler, packed, part, augment, config.condition, config.seed)
      : new MemoryBatches(this.sampler, records, cache, part);
  }

  static async create(
    gpu: Gpu,
    config: RunConfig,
    records: readonly SliceRecord[],
    cache: SliceCache,
    { onPipeline, group, packed, ahead }: TrainerOptions = {},
  ): Promise<Trainer> {
    requirePrecision(config.precision, gpu);
    const choose = await tunedChoice(gpu);
    const { layout, plan: laidOut } = fittingStep(config, gpu, group?.size, choose);
    const executable = await Executable.load(gpu, laidOut, { onPipeline, ahead });
    const trainer = new Trainer(gpu, config, layout, executable, records, cache, group, packed);
    const { prediction_type, snr_gamma } = config;
    const alphas = schedulerAlphas(schedulerConfig(trainingScheduler(config), "configuration"));
    executable.write("table", qSampleTable(alphas));
    if (prediction_type !== "epsilon") {
      executable.write("targets", targetTable(prediction_type, alphas));
    }
    if (snr_gamma !== null) {
      const weights = minSnrWeights(prediction_type, alphas, snr_gamma);
      executable.write("root_weights", Float32Array.from(weights, Math.sqrt));
    }
    if (trainer.#measuresNorm) executable.write("filled", layout.filledBlocks(CLIP_BLOCK));
    if (trainer.#scalesLoss) {
      executable.write("log_betas", logBetas(config.adam_beta1, config.adam_beta2));
    } else executable.write("loss_gradient", new Float32Array([1]));
    trainer.initialise();
    return trainer;
  }

  get #scalesLoss(): boolean {
    return this.config.precision === "f16";
  }

  get #measuresNorm(): boolean {
    return this.#scalesLoss || this.config.max_grad_norm !== null;
  }

  /** Fresh weights and moments: the state before the first step. */
  initialise(): void {
    const { executable, layout, config } = this;
    const weights = layout.initialise(new PhiloxStream(config.seed, WEIGHTS_STREAM));
    for (const name of ["params", "ema"]) executable.write(name, weights);
    for (const name of ["m", "v"]) executable.write(name, new Float32Array(layout.size));
    this.#setLossScale(INITIAL_LOSS_SCALE);
    this.sampler.rewind();
    this.batches.restart();
    this.#position = this.sampler.state();
    this.step = this.microStep = this.#read = 0;
  }

  #setLossScale(value: LossScale): void {
    if (this.#scalesLoss) this.executable.write("loss_scale", fromLossScale(value));
    this.#skipped = value.skipped;
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

  /** The learning rate of the optimizer step after `done` others. */
  rateAt(done: number): number {
    const { config, totalSteps } = this;
    return learningRate({
      scheduler: config.lr_scheduler,
      lr: config.learning_rate,
      warmupSteps: config.lr_warmup_steps,
      totalSteps,
    }, done);
  }

  /** Submits one optimizer step; does not wait for it (but for a group's exchange of gradients). */
  async runStep(): Promise<void> {
    const { config, executable, group } = this;
    for (let i = 0; i < config.gradient_accumulation_steps; i++) {
      await this.prepareMicroStep(i);
      if (group) await this.#runInGroup(group);
      else executable.run();
      this.finishMicroStep(i);
    }
  }

  /** Uploads all that micro-batch `i` of the next optimizer step needs. */
  async prepareMicroStep(i: number): Promise<void> {
    const { config, executable } = this;
    const accumulation = config.gradient_accumulation_steps;
    await this.#upload();
    if (accumulation > 1) {
      executable.write("control", new Float32Array([i > 0 ? 1 : 0, 1 / accumulation]));
    }
    const adamw = {
      lr: this.rateAt(this.step),
      betas: [config.adam_beta1, config.adam_beta2] as const,
      eps: config.adam_epsilon,
      weightDecay: config.adam_weight_decay,
    };
    const last = i === accumulation - 1;
    executable.write("hyper", adamwHyper(adamw, this.step + 1, config.ema_decay, last));
  }

  finishMicroStep(i: number): void {
    this.microStep++;
    if (i === this.config.gradient_accumulation_steps - 1) this.step++;
  }

  /** Gradient and loss of the whole batch are the means of the members' own. */
  async #runInGroup(group: ProcessGroup): Promise<void> {
    const { executable } = this;
    const update = executable.plan.dispatches.findIndex((d) => d.phase === "update");
    executable.run(0, update);
    const names = ["gradient", "loss"] as const;
    const parts = await Promise.all(names.map((name) => executable.read(name)));
    const [gradient, loss] = parts;
    const shared = new Float32Array(gradient.length + 2);
    shared.set(gradient);
    shared.set([loss[0], this.stopWanted ? 1 : 0], gradient.length);
    await group.sum(shared);
    if (shared[gradient.length + 1] > 0) this.stopAgreed = true;
    const mean = shared.map((v) => v / group.size);
    executable.write("gradient", mean.slice(0, gradient.length));
    executable.write("loss", mean.slice(gradient.length, gradient.length + 1));
    executable.run(update);
  }

  async #upload(): Promise<void> {
    const { config, executable, microStep, group } = this;
    const batch = config.train_batch_size / (group?.size ?? 1);
    const first = batch * (group?.rank ?? 0); // of this process's slices within the whole batch
    const pixels = config.resolution[0] * config.resolution[1];
    const { ct, lungMask, classMap, position } = await this.batches.next(microStep);
    const key = keyOf(config.seed);
    const uniform = (i: number, word: number) =>
      philox4x32([first + i, microStep, 0, word], key)[0] / 2 ** 32;
    const classes = config.label_dropout > 0 ? classMap.slice() : classMap;
    for (let i = 0; i < batch && config.label_dropout > 0; i++) {
      const drop = uniform(i, LABEL_WORD) < config.label_dropout;
      if (drop) classes.fill(NO_CLASS, i * pixels, (i + 1) * pixels);
    }
    executable.write("ct", ct);
    executable.write("lung_mask", lungMask);
    executable.write("class_map", classes);
    this.#position = position;
    const t = Int32Array.from(
      { length: batch },
      (_, i) => Math.floor(uniform(i, TIMESTEP_WORD) * config.ddpm_num_steps),
    );
    executable.write("t", t);
    executable.write("rng", new Uint32Array([...key, microStep, 0]));
    executable.write("images", Uint32Array.from({ length: batch }, (_, i) => first + i));
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
    const accumulation = this.config.gradient_accumulation_steps;
    const read = (name: string, wanted = true) => wanted ? this.executable.read(name) : undefined;
    this.#pending = Promise.all([
      read("losses"),
      read("norms", this.#measuresNorm),
      read("loss_scale", this.#scalesLoss),
    ]).then(([losses, norms, scale]) =>
      Array.from({ length: to - from }, (_, i) => {
        const microStep = from + i, at = microStep % LOG_SIZE;
        const record = { microStep, loss: losses![at], gradientNorm: norms?.[at] };
        if (!scale) return record;
        const isDue = (microStep + 1) % accumulation === 0;
        if (isDue && !Number.isFinite(record.gradientNorm)) this.#skipped++;
        return { ...record, skippedSteps: this.#skipped, lossScale: scale[0] };
      })
    );
    this.#pending.catch(() => {}); // told to whoever asks for these losses
    return before;
  }

  /** All losses not handed out yet; waits for all work. */
  async flushLosses(): Promise<LossRecord[]> {
    return [...await this.losses(), ...await this.losses()];
  }

  /**
   * A hash of every kernel that a step runs, in order. The same state goes on to the same bytes only
   * with the same kernels: another adapter, tuning or version of the program may have others.
   */
  get kernels(): string {
    const { shaders, dispatches } = this.executable.plan;
    const order = dispatches.map(({ shader, workgroups }) => [shader, workgroups]);
    return sha256(JSON.stringify([shaders, order]));
  }

  /** All that the rest of the run depends on; between optimizer steps, when no sum is under way. */
  async state(): Promise<TrainingState> {
    const read = async (name: string) => this.layout.clearGaps(await this.executable.read(name));
    const { step, microStep } = this;
    const lossScale = this.#scalesLoss
      ? toLossScale(await this.executable.read("loss_scale"))
      : undefined;
    return {
      progress: { step, microStep, kernels: this.kernels, lossScale, sampler: this.#position },
      params: await read("params"),
      ema: await read("ema"),
      m: await read("m"),
      v: await read("v"),
    };
  }

  /** Goes on from a state that {@link state} gave. @throws InputError if f16 made one, not both. */
  restore({ progress, params, ema, m, v }: TrainingState): void {
    if (this.#scalesLoss !== (progress.lossScale !== undefined)) {
      throw new InputError(
        `the checkpoint of step ${progress.step} ${progress.lossScale ? "has" : "lacks"} ` +
          `a lossScale, the run's precision is ${this.config.precision}`,
      );
    }
    this.#setLossScale(progress.lossScale ?? INITIAL_LOSS_SCALE);
    for (const [name, data] of Object.entries({ params, ema, m, v })) {
      this.executable.write(name, data);
    }
    this.sampler.restore(progress.sampler);
    this.batches.restart();
    this.#position = progress.sampler;
    this.step = progress.step;
    this.microStep = this.#read = progress.microStep;
    this.#pending = Promise.resolve([]);
  }
}

/** Batches of these slices in the run's order. */
export function samplerOf(records: readonly SliceRecord[], config: RunConfig): BalancedSampler {
  return new BalancedSampler(
    records.map((r) => r.label),
    config.train_batch_size,
    config.seed,
    records.map((r) => r.weight ?? 1),
  );
}

/** The step of a run. @throws InputError where it is too large for the device. */
export function fittingStep(
  config: RunConfig,
  { profile }: Gpu,
  teamSize?: number,
  choose?: Awaited<ReturnType<typeof tunedChoice>>,
): TrainingStep {
  const size = config.resolution.join("×"), batch = config.train_batch_size;
  return fitting(
    `--resolution ${size} with --train-batch-size ${batch}`,
    () => trainingStep(config, profile, teamSize, choose),
  );
}

/** What is done to slices on their way into a batch. */
export function augmentation(config: RunConfig): AugmentOptions {
  const { augment_flip: flip, augment_rotate: rotate, augment_shift: shift } = config;
  return { flip, rotate, shift };
}
