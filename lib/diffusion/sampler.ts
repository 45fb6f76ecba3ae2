/** Sampling: from noise to images, by replaying the sampling Plan once a step. */

import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { plan } from "../gpu/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import type { Graph } from "../graph/graph.ts";
import type { DeviceProfile } from "../graph/op.ts";
import type { UNet2DConfig } from "../nn/config.ts";
import type { ParameterLayout } from "../nn/parameters.ts";
import { OPS } from "../ops/mod.ts";
import { keyOf } from "../random/philox.ts";
import type { ReverseStep } from "./scheduler.ts";
import { initialNoiseGraph, samplingGraph } from "./sampling_graph.ts";

export interface SamplerOptions {
  readonly config: UNet2DConfig;
  readonly layout: ParameterLayout;
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  /** Guidance with a doubled batch; false runs the conditional model alone. */
  readonly guided: boolean;
  readonly exact?: boolean;
  /** Use the weights in a state of another executable instead of own ones. */
  readonly share?: { readonly from: Executable; readonly state: string };
  readonly onPipeline?: (done: number, total: number) => void;
}

export interface SampleRequest {
  /** [N,H,W], 0 or 1. */
  readonly lungMask: Float32Array<ArrayBuffer>;
  /** One value an image: 1 nodule, 0 none. */
  readonly classes: readonly number[];
  readonly steps: readonly ReverseStep[];
  readonly cfgScale: number;
  readonly seed: bigint | number;
  /** Names of the images: the same seed and name give the same image in any batch. */
  readonly images: readonly number[];
  /** Called after each step is submitted. */
  readonly onStep?: (done: number) => void;
}

/** The graph and the Plan of one reverse step: what samples, and what audits look at. */
export function samplingStep(
  options: SamplerOptions,
  device: DeviceProfile,
): { graph: Graph; plan: Plan } {
  const graph = samplingGraph({ ...options, noise: "device" });
  return { graph, plan: plan(graph, OPS, { device, exact: options.exact }) };
}

export class Sampler {
  private constructor(
    readonly options: SamplerOptions,
    readonly executable: Executable,
    readonly noise: Executable,
  ) {}

  static async create(gpu: Gpu, options: SamplerOptions): Promise<Sampler> {
    const { batch, height, width, share, onPipeline } = options;
    const executable = await Executable.load(gpu, samplingStep(options, gpu.profile).plan, {
      share: share && { params: share },
      onPipeline,
    });
    const start = initialNoiseGraph(batch, height, width);
    const noise = await Executable.load(gpu, plan(start, OPS, { device: gpu.profile }), {
      share: { x: { from: executable, state: "x" } },
    });
    return new Sampler(options, executable, noise);
  }

  /** Sets the flat parameters (not where they are shared). */
  setParameters(params: Float32Array<ArrayBuffer>): void {
    this.executable.write("params", params);
  }

  /** Runs all reverse steps. @returns [N,H,W] in [−1, 1]. */
  async sample(request: SampleRequest): Promise<Float32Array<ArrayBuffer>> {
    const { executable: exe, noise } = this;
    const { batch, height, width, guided } = this.options;
    const { classes, steps, images, seed } = request;
    if (classes.length !== batch || images.length !== batch) {
      throw new Error(
        `Cannot sample: ${classes.length} classes and ${images.length} images for a ` +
          `batch of ${batch}`,
      );
    }
    const pixels = height * width;
    const [low, high] = keyOf(seed);
    const classMap = new Float32Array(batch * pixels);
    classes.forEach((c, i) => classMap.fill(c, i * pixels, (i + 1) * pixels));
    exe.write("lung_mask", request.lungMask);
    exe.write("class_map", classMap);
    const names = Uint32Array.from(images);
    exe.write("images", names);
    if (guided) {
      exe.write("null_map", new Float32Array(batch * pixels));
      exe.write("strength", new Float32Array([request.cfgScale]));
    }
    noise.write("images", names);
    // The starting noise is step 0 of the stream; reverse steps count from 1.
    noise.write("rng", new Uint32Array([low, high, 0, 0]));
    noise.run();
    for (const [i, step] of steps.entries()) {
      exe.write("rng", new Uint32Array([low, high, i + 1, 0]));
      exe.write("t", new Int32Array(guided ? 2 * batch : batch).fill(step.t));
      exe.write("coefficients", step.coefficients);
      exe.run();
      // Now and then wait, so that the queue stays short and the progress shown is real.
      if (i % 4 === 3) await exe.gpu.idle();
      request.onStep?.(i + 1);
    }
    const x = await exe.read("x");
    if (x.some((v) => !Number.isFinite(v))) {
      throw new InputError("the model gave NaN or infinite values: its weights have diverged");
    }
    return x.map((v) => Math.min(1, Math.max(-1, v)));
  }

  destroy(): void {
    this.executable.destroy();
    this.noise.destroy();
  }
}
