/** Sinusoidal embedding of timesteps. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { show, sizeOf, type Tensor } from "../../graph/tensor.ts";
import { f32, requireRank } from "../common/checks.ts";
import { timestepEmbeddingReference } from "./reference.ts";
import { lowerTimestepEmbedding } from "./lower.ts";
import { timestepEmbeddingCases } from "./cases.ts";
import type { TimestepEmbeddingAttrs, TimestepEmbeddingOptions } from "./shared.ts";

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

export const timestepEmbeddingOp: OpDef<TimestepEmbeddingAttrs> = {
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
  reference: timestepEmbeddingReference,
  lower: lowerTimestepEmbedding,
  cost: (inputs, outputs) => ({
    flops: 20 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  cases: timestepEmbeddingCases,
};
