/** Sinusoidal embedding of timesteps. */

import { gridFor, input, output } from "../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../graph/op.ts";
import { show, sizeOf, type Tensor } from "../graph/tensor.ts";
import { ELEMENTWISE, f32, i32, kernel, only, requireRank } from "./common.ts";
import text from "../../kernels/timestep_embedding/forward.wgsl" with { type: "text" };

const FORWARD = kernel("timestep_embedding/forward.wgsl", text);

/** The frequencies of {@link timestepEmbedding}. */
export interface TimestepEmbeddingOptions {
  /** Columns: half sines, half cosines, and a zero if odd. */
  readonly dim: number;
  /** Cosines first. */
  readonly flipSinToCos: boolean;
  /** The frequencies fall from 1 to 1/maxPeriod over dim/2 − this many steps. */
  readonly downscaleFreqShift: number;
  /** Default 10,000. */
  readonly maxPeriod?: number;
}

/**
 * t, i32 [N] → [N,dim]: diffusers' get_timestep_embedding.
 *
 * @example
 * ```ts
 * import { f32, Graph, i32, interpret, OPS, timestepEmbedding } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const t = g.input("t", i32(1));
 * const options = { dim: 2, flipSinToCos: true, downscaleFreqShift: 0 };
 * g.output("y", timestepEmbedding(t, options));
 * interpret(g, OPS, { t: [0] }).outputs.get("y"); // [1, 0]
 * ```
 */
export function timestepEmbedding(t: Tensor, options: TimestepEmbeddingOptions): Tensor {
  return t.graph.append(timestepEmbeddingOp, [t], { maxPeriod: 10000, ...options })[0];
}

/**
 * Rounded where PyTorch rounds to float32: at t = 999 a frequency that is off by half an ULP moves
 * the sine by 3e-5. (Its exp is within one ULP, nearly always the nearest number, as here.)
 */
function frequencies(dim: number, shift: number, maxPeriod: number): number[] {
  const half = Math.floor(dim / 2);
  const log = Math.fround(-Math.log(maxPeriod));
  return Array.from({ length: half }, (_, i) => {
    const exponent = Math.fround(Math.fround(log * i) / Math.fround(half - shift));
    return Math.fround(Math.exp(exponent));
  });
}

export const timestepEmbeddingOp: OpDef = {
  name: "timestep_embedding",
  infer([t], { dim, downscaleFreqShift }) {
    requireRank("t", t, 1);
    if (t.dtype !== "i32") throw new Error(`${show("t", t)} must be i32`);
    if (!(Number.isInteger(dim) && dim >= 2 && Math.floor(dim / 2) !== downscaleFreqShift)) {
      throw new Error(
        `dim ${dim} must be an integer from 2 on, and half of it not ` +
          `downscaleFreqShift ${downscaleFreqShift}`,
      );
    }
    return [f32(t.shape[0], dim)];
  },
  vjp: "non-differentiable",
  reference([t], { dim, flipSinToCos, downscaleFreqShift, maxPeriod }) {
    const f = frequencies(dim, downscaleFreqShift, maxPeriod);
    const y = new Float64Array(t.length * dim);
    t.forEach((time, n) =>
      f.forEach((frequency, i) => {
        const x = Math.fround(time * frequency);
        y[n * dim + i + (flipSinToCos ? f.length : 0)] = Math.sin(x);
        y[n * dim + i + (flipSinToCos ? 0 : f.length)] = Math.cos(x);
      })
    );
    return [y];
  },
  lower({ outputs: [y], attrs: { dim, flipSinToCos, downscaleFreqShift, maxPeriod } }) {
    const f = frequencies(dim, downscaleFreqShift, maxPeriod);
    const count = sizeOf(y.shape);
    return only("table", () => ({
      calls: [{
        kernel: FORWARD,
        specialize: {
          HALF: `${f.length}u`,
          FREQUENCIES: `array<f32, HALF>(${f.map((v) => `${v}f`).join(", ")})`,
        },
        params: { count, dim, flip: flipSinToCos ? 1 : 0 },
        bindings: { timesteps: input(0), y: output() },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: 20 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Range reduction and polynomials end within 2e-7 of numbers whose mean size is 0.7.
  cases: [
    {
      name: "seed model",
      inputs: [{
        ...i32(8),
        fill: { kind: "values", values: [999, 0, 1, 998, 500, 777, 3, 100] },
      }],
      attrs: { dim: 32, flipSinToCos: true, downscaleFreqShift: 0, maxPeriod: 10000 },
      tolerance: 2e-7,
    },
    {
      name: "odd dim, shift 1",
      inputs: [i32(3)],
      attrs: { dim: 33, flipSinToCos: false, downscaleFreqShift: 1, maxPeriod: 10000 },
      tolerance: 2e-7,
    },
    {
      name: "all timesteps",
      inputs: [{
        ...i32(1000),
        fill: { kind: "values", values: Array.from({ length: 1000 }, (_, t) => t) },
      }],
      attrs: { dim: 64, flipSinToCos: false, downscaleFreqShift: 0, maxPeriod: 10000 },
      tolerance: 2e-7,
    },
  ],
};
