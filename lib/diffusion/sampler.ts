/** Sampling: from noise to images, by replaying the sampling Plans once a step. */

import { InputError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import type { Precision } from "../graph/tensor.ts";
import { type Gpu, requirePrecision } from "../gpu/device.ts";
import { plan } from "../plan/planner.ts";
import type { PlanOptions } from "../plan/lower.ts";
import { fitting } from "../gpu/fits.ts";
import { Executable, type TypedData } from "../gpu/runtime.ts";
import type { UNet2DConfig } from "../nn/config.ts";
import type { ParameterLayout } from "../nn/parameters.ts";
import { OPS } from "../ops/mod.ts";
import { keyOf } from "../random/philox.ts";
import type { NoiseLevel, ReverseStep } from "./scheduler.ts";
import {
  blendGraph,
  initialNoiseGraph,
  keepGraph,
  modelGraph,
  renoiseGraph,
  samplingGraph,
  stepGraph,
} from "./sampling_graph.ts";

/** What a sampler is made for. */
export interface SamplerOptions {
  /** The model. */
  readonly config: UNet2DConfig;
  /** `unet2DParameters(config)`. */
  readonly layout: ParameterLayout;
  /** Images made at once. */
  readonly batch: number;
  /** Of the images, in pixels. */
  readonly height: number;
  /** Of the images, in pixels. */
  readonly width: number;
  /** Guidance; false runs the conditional model alone. */
  readonly guided: boolean;
  /** Guidance by two passes of the batch instead of one of a doubled batch: half the memory. */
  readonly twoPasses?: boolean;
  /** Guidance at some timesteps only: {@link SampleRequest.guidedAt} says at which. */
  readonly interval?: boolean;
  /** Guidance is rescaled by {@link SampleRequest.rescale}. */
  readonly rescaled?: boolean;
  /** Parts of known images are kept: {@link SampleRequest.keep}. */
  readonly inpaint?: boolean;
  /** Leave out variants that round differently from the plain sum. */
  readonly exact?: boolean;
  /** How activations are stored; f32 by default. */
  readonly precision?: Precision;
  /** Picks among variants, as `tunedChoice` has it for an adapter; the first by default. */
  readonly choose?: PlanOptions["choose"];
  /** Use the weights in a state of another executable instead of own ones. */
  readonly share?: { readonly from: Executable; readonly state: string };
  /** Called as pipelines get ready. */
  readonly onPipeline?: (done: number, total: number) => void;
  /** See `LoadOptions`; of the plan with the model. */
  readonly ahead?: boolean;
}

/** What a sampler shall make. */
export interface SampleRequest {
  /** [N,H,W], 0 or 1. */
  readonly lungMask: Float32Array<ArrayBuffer>;
  /** One value an image: 1 nodule, 0 none, or between. */
  readonly classes: readonly number[];
  /** The second plane itself, [N,H,W], in place of one made of `classes`: see `Condition`. */
  readonly classMap?: Float32Array<ArrayBuffer>;
  /** Other classes at a step; where undefined, `classes` at every step. */
  readonly classesAt?: (step: number) => readonly number[];
  /** What stands for "no class" in the model's training; 0 by default, as the original has it. */
  readonly nullClass?: number;
  /** From {@link reverseSteps}. */
  readonly steps: readonly ReverseStep[];
  /** Strength of the guidance; 1 is the conditional model alone. */
  readonly cfgScale: number;
  /** Whether to guide at a timestep; everywhere by default. */
  readonly guidedAt?: (t: number) => boolean;
  /** diffusers' guidance_rescale, 0 to 1. */
  readonly rescale?: number;
  /** What to keep: images in [−1, 1] and where not to, both [N,H,W]; region 1 is made anew. */
  readonly keep?: {
    readonly known: Float32Array<ArrayBuffer>;
    readonly region: Float32Array<ArrayBuffer>;
    /** How often each step is taken, noise added between (RePaint); for one-step samplers. */
    readonly resample?: number;
  };
  /** The same seed and names give the same images. */
  readonly seed: bigint | number;
  /** Names of the images: the same seed and name give the same image in any batch. */
  readonly images: readonly number[];
  /** Called after each step is submitted. */
  readonly onStep?: (done: number) => void;
  /** Called before the first step (done 0) and after each one that `at` names. */
  readonly watch?: {
    readonly at: ReadonlySet<number>;
    /** @param x [N,H,W] as it is; @param x0 the clean images predicted last. */
    show(done: number, x: Float32Array, x0: Float32Array): void;
  };
}

type State = { readonly from: Executable; readonly state: string };

/**
 * The plans of a sampler. All share x, x0 and the weights.
 * @internal
 */
interface Plans {
  /** What ends in the scheduler's step: with the model, but for two passes. */
  readonly main: Executable;
  /** Two passes: the model, and what puts its conditional output aside. */
  readonly passes?: { readonly model: Executable; readonly keep: Executable };
  /** For timesteps outside the guidance interval of a doubled batch. */
  readonly plain?: Executable;
  readonly noise: Executable;
  readonly blend?: { readonly restore: Executable; readonly renoise: Executable };
}

/** Draws of a step that is taken again are this far apart: above any number of steps. */
const AGAIN = 2 ** 20;

/**
 * From noise to images by a model, conditioned on lung masks and a class or nodule masks.
 *
 * @example
 * ```ts
 * import {
 *   openGpu,
 *   reverseSteps,
 *   Sampler,
 *   schedulerConfig,
 *   unet2DConfig,
 *   unet2DParameters,
 * } from "@lung-ddpm/webgpu";
 * const config = unet2DConfig({
 *   out_channels: 1,
 *   block_out_channels: [32],
 *   down_block_types: ["DownBlock2D"],
 *   up_block_types: ["UpBlock2D"],
 * }, "config.json");
 * const layout = unet2DParameters(config);
 * const size = { height: 8, width: 8 };
 * const gpu = await openGpu();
 * const sampler = await Sampler.create(gpu, { config, layout, batch: 1, guided: false, ...size });
 * sampler.setParameters(new Float32Array(layout.size)); // or flattenParameters(…)
 * const ddim = schedulerConfig({ _class_name: "DDIMScheduler" }, "scheduler_config.json");
 * await sampler.sample({
 *   lungMask: new Float32Array(64).fill(1),
 *   classes: [1],
 *   steps: reverseSteps(ddim, 2),
 *   cfgScale: 1,
 *   seed: 7,
 *   images: [0],
 * }); // [1, 8, 8] in [−1, 1]
 * sampler.destroy();
 * gpu.destroy();
 * ```
 */
export class Sampler {
  /** What it was made for. */
  readonly options: SamplerOptions;
  /** @internal */
  readonly plans: Plans;

  private constructor(options: SamplerOptions, plans: Plans) {
    this.options = options;
    this.plans = plans;
  }

  /** Plans, compiles and allocates. */
  static async create(gpu: Gpu, options: SamplerOptions): Promise<Sampler> {
    requirePrecision(options.precision, gpu);
    const { batch, height, width, exact, choose, share, onPipeline, guided } = options;
    const load = (graph: () => Graph, share: Record<string, State>, ahead?: boolean) => {
      const what = `${height}×${width} in a batch of ${batch}`;
      const layOut = () => plan(graph(), OPS, { device: gpu.profile, exact, choose });
      return Executable.load(gpu, fitting(what, layOut), { share, onPipeline, ahead });
    };
    const of = { ...options, device: gpu.profile };
    const weights: Record<string, State> = share ? { params: share } : {};
    const from = (owner: Executable, ...names: string[]) =>
      Object.fromEntries(names.map((state) => [state, { from: owner, state }]));
    let main: Executable, passes: Plans["passes"], plain: Executable | undefined;
    if (guided && options.twoPasses) {
      const model = await load(() => modelGraph(of), weights, options.ahead);
      main = await load(() => stepGraph(options), from(model, "x", "e"));
      const keep = await load(() => keepGraph(options), {
        ...from(model, "e"),
        ...from(main, "conditional"),
      });
      passes = { model, keep };
    } else {
      main = await load(() => samplingGraph({ ...of, noise: "device" }), weights, options.ahead);
      if (guided && options.interval) {
        const graph = () => samplingGraph({ ...of, guided: false, noise: "device" });
        plain = await load(graph, { ...from(main, "params", "x", "x0"), ...weights });
      }
    }
    return new Sampler(options, {
      main,
      passes,
      plain,
      noise: await load(() => initialNoiseGraph(batch, height, width), from(main, "x")),
      blend: options.inpaint
        ? {
          restore: await load(() => blendGraph(batch, height, width), from(main, "x")),
          renoise: await load(() => renoiseGraph(batch, height, width), from(main, "x")),
        }
        : undefined,
    });
  }

  /** The plan that ends in the scheduler's step: with the model, but for two passes. */
  get executable(): Executable {
    return this.plans.main;
  }

  #all(): Executable[] {
    const { main, passes, plain, noise, blend } = this.plans;
    return [passes?.model, main, passes?.keep, plain, noise, blend?.restore, blend?.renoise]
      .filter((p) => p !== undefined);
  }

  /** Bytes that the plans hold on the device; states, which they share, count once. */
  get bytes(): number {
    const buffers = this.#all().flatMap(({ plan }) => plan.buffers);
    const states = new Map(buffers.filter((b) => b.role === "state").map((b) => [b.name, b.bytes]));
    const rest = buffers.filter((b) => b.role !== "state").map((b) => b.bytes);
    return [...states.values(), ...rest].reduce((a, b) => a + b, 0);
  }

  /** Sets the flat parameters (not where they are shared). */
  setParameters(params: Float32Array<ArrayBuffer>): void {
    (this.plans.passes?.model ?? this.plans.main).write("params", params);
  }

  /** Sets an input in every plan that has it. */
  #write(name: string, data: TypedData): void {
    for (const exe of this.#all()) if (exe.plan.inputs[name]) exe.write(name, data);
  }

  /** Runs all reverse steps. @returns [N,H,W] in [−1, 1]. */
  async sample(request: SampleRequest): Promise<Float32Array<ArrayBuffer>> {
    const { main, noise, blend } = this.plans;
    const { batch, guided } = this.options;
    const { steps, images, seed, keep, watch } = request;
    if (request.classes.length !== batch || images.length !== batch) {
      throw new Error(
        `Cannot sample: ${request.classes.length} classes and ${images.length} images for a ` +
          `batch of ${batch}`,
      );
    }
    if (Boolean(keep) !== Boolean(blend)) {
      throw new Error(
        "Cannot sample: known images need a sampler made for them, and it needs them",
      );
    }
    const [low, high] = keyOf(seed);
    // The starting noise is step 0 of the stream; reverse steps count from 1.
    const setRng = (step: number) => new Uint32Array([low, high, step, 0]);
    this.#write("lung_mask", request.lungMask);
    let classMap = request.classMap ?? this.#classMap(request.classes);
    const nullMap = this.#classMap(request.classes.map(() => request.nullClass ?? 0));
    this.#write("class_map", classMap);
    this.#write("null_map", nullMap);
    this.#write("images", Uint32Array.from(images));
    this.#write("strength", new Float32Array([request.cfgScale]));
    this.#write("rescale", new Float32Array([request.rescale ?? 0]));
    noise.write("rng", setRng(0));
    noise.run();
    // A noise that stays the same fits deterministic steps (as in diffusers' inpainting), a new one
    // at every step fits those that add noise (RePaint).
    const restore = (level: NoiseLevel, rngStep: number) => {
      blend?.restore.write("level", new Float32Array(level));
      blend?.restore.write("rng", setRng(rngStep));
      blend?.restore.run();
    };
    const renoise = ({ before, after }: ReverseStep["levels"], rngStep: number) => {
      const ratio = before[0] / after[0];
      const rest = Math.sqrt(Math.max(0, 1 - ratio * ratio));
      blend?.renoise.write("ratio", new Float32Array([ratio, rest]));
      blend?.renoise.write("rng", setRng(rngStep));
      blend?.renoise.run();
    };
    if (blend && keep) {
      blend.restore.write("known", keep.known);
      blend.restore.write("region", keep.region);
      blend.renoise.write("zero", new Int32Array(batch));
      restore(steps[0].levels.before, 0);
    }
    const show = async (done: number) => {
      if (watch?.at.has(done)) watch.show(done, await main.read("x"), await main.read("x0"));
    };
    await show(0);
    let earlier = Promise.resolve();
    for (const [i, step] of steps.entries()) {
      if (request.classesAt) {
        classMap = this.#classMap(request.classesAt(i));
        this.#write("class_map", classMap);
      }
      const last = i === steps.length - 1;
      const times = last ? 1 : keep?.resample ?? 1;
      for (let time = 0; time < times; time++) {
        const draw = time * AGAIN + i + 1;
        this.#reverse(step, setRng(draw), guided && (request.guidedAt?.(step.t) ?? true), {
          classMap,
          nullMap,
        });
        const isFixed = !step.stochastic && times === 1;
        restore(last ? [1, 0] : step.levels.after, isFixed ? 0 : draw);
        if (time < times - 1) renoise(step.levels, draw);
      }
      // Now and then wait for what was sent before, so that the queue stays short and the progress
      // shown is near the truth; not for all of it, for then the device would have nothing to do.
      if (i % 4 === 3) {
        await earlier;
        earlier = main.gpu.idle();
        earlier.catch(() => {}); // Told where it is waited for.
      }
      await show(i + 1);
      request.onStep?.(i + 1);
    }
    const x = await main.read("x");
    if (x.some((v) => !Number.isFinite(v))) {
      throw new InputError(
        "the model gave NaN or infinite values: its weights have diverged" +
          (request.cfgScale > 1
            ? `, or guidance of ${request.cfgScale} is too strong for it (--cfg 1 shows which)`
            : ""),
      );
    }
    return x.map((v) => Math.min(1, Math.max(-1, v)));
  }

  /** One step: the model, guidance where it applies, the scheduler. */
  #reverse(
    step: ReverseStep,
    rng: Uint32Array<ArrayBuffer>,
    isGuided: boolean,
    maps: Record<"classMap" | "nullMap", Float32Array<ArrayBuffer>>,
  ): void {
    const { main, passes, plain } = this.plans;
    for (const exe of this.#all()) {
      const { t, coefficients } = exe.plan.inputs;
      if (t) exe.write("t", new Int32Array(t.bytes / 4).fill(step.t));
      if (!coefficients) continue;
      exe.write("coefficients", step.coefficients);
      exe.write("rng", rng);
    }
    if (!passes) return (isGuided ? main : plain ?? main).run();
    passes.model.write("class_map", maps.classMap);
    passes.model.run();
    passes.keep.run();
    // Without guidance both outputs are the conditional one, and guidance gives it as it is.
    if (isGuided) {
      passes.model.write("class_map", maps.nullMap);
      passes.model.run();
    }
    main.run();
  }

  /** One value an image, in all its pixels. */
  #classMap(classes: readonly number[]): Float32Array<ArrayBuffer> {
    const pixels = this.options.height * this.options.width;
    const map = new Float32Array(classes.length * pixels);
    classes.forEach((c, i) => map.fill(c, i * pixels, (i + 1) * pixels));
    return map;
  }

  /** Frees the memory, except what it shares with others. */
  destroy(): void {
    for (const exe of this.#all()) exe.destroy();
  }
}
