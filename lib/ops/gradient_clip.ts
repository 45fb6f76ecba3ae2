/** Clipping of all gradients by their global norm, without reading the norm back. */

import { input, type KernelCall, type Lowering, output, scratch } from "../graph/kernel_call.ts";
import { type DeviceProfile, type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, type Tensor, type TensorType } from "../graph/tensor.ts";
import { f32, i32, kernel, requireFloat } from "./common.ts";
import { ADAMW_HYPER } from "./optimizer.ts";
import { REDUCE, SUMMED } from "./lanes.ts";
import { type Reading, readings, reducingKernels, reductionWorkgroup, variantsOf } from "./rows.ts";
import partialText from "../../kernels/gradient_clip/partial.wgsl" with { type: "text" };
import factorText from "../../kernels/gradient_clip/factor.wgsl" with { type: "text" };

const PARTIAL = reducingKernels("gradient_clip/partial.wgsl", partialText, ["x"], SUMMED);
const FACTOR = kernel("gradient_clip/factor.wgsl", `${factorText}\n${REDUCE.alone}`, SUMMED);

/** Elements of a flat gradient that share one entry of `filled`. */
export const CLIP_BLOCK = 64;
/** Blocks that a lane of the first pass adds up. */
const CHAIN = 32;

/**
 * AdamW's hyper-parameters with the factor of the gradient lowered so that the global norm is at
 * most `maxNorm` (torch.nn.utils.clip_grad_norm_).
 *
 * @param g flat gradient [n], n a multiple of {@link CLIP_BLOCK}.
 * @param filled i32 [n / CLIP_BLOCK]: how many elements of each block count; see `filledBlocks`.
 * @param hyper [12] of `adamw`.
 * @returns [hyper' [12], the norm before clipping [1]].
 */
export function gradientClip(
  g: Tensor,
  filled: Tensor,
  hyper: Tensor,
  maxNorm: number,
): [clipped: Tensor, norm: Tensor] {
  const [clipped, norm] = g.graph.append(gradientClipOp, [g, filled, hyper], { maxNorm });
  return [clipped, norm];
}

/** @throws where the flat gradient, its `filled` and AdamW's hyper-parameters do not fit. */
export function requireGradient(g: TensorType, filled: TensorType, hyper: TensorType): void {
  requireFloat("g", g);
  const size = sizeOf(g.shape);
  if (filled.dtype !== "i32" || sizeOf(filled.shape) * CLIP_BLOCK !== size) {
    throw new Error(
      `filled [${filled.shape}] ${filled.dtype} must be i32 [${size / CLIP_BLOCK}] ` +
        `for a gradient of ${size} elements`,
    );
  }
  if (sizeOf(hyper.shape) !== ADAMW_HYPER) {
    throw new Error(`hyper [${hyper.shape}] must be [${ADAMW_HYPER}]`);
  }
}

/** Of the elements that count. */
export function sumOfSquares(g: Float64Array, filled: Float64Array): number {
  return g.reduce(
    (total, v, i) => total + (i % CLIP_BLOCK < filled[Math.floor(i / CLIP_BLOCK)] ? v * v : 0),
    0,
  );
}

/** Sums of squares of the gradient (inputs 0 and 1) into scratch 0, then a call on so many of them. */
export function withSquares(
  filled: TensorType,
  device: DeviceProfile,
  { name, x }: Reading,
  then: (count: number) => KernelCall,
): Lowering {
  const blocks = sizeOf(filled.shape);
  const workgroup = reductionWorkgroup(device);
  const count = Math.ceil(blocks / (CHAIN * workgroup));
  return {
    scratch: [4 * count],
    calls: [{
      kernel: PARTIAL(name, device),
      constants: { WORKGROUP: workgroup },
      specialize: x,
      params: { blocks },
      bindings: { x: input(0), filled: input(1), partials: scratch() },
      workgroups: [count, 1, 1],
      note: "partial sums",
    }, then(count)],
  };
}

export const gradientClipOp: OpDef = {
  name: "gradient_clip",
  infer([g, filled, hyper]) {
    requireGradient(g, filled, hyper);
    return [f32(ADAMW_HYPER), f32(1)];
  },
  vjp: "non-differentiable",
  reference([g, filled, hyper], { maxNorm }) {
    const norm = Math.abs(hyper[11]) * Math.sqrt(sumOfSquares(g, filled));
    const clipped = hyper.slice();
    clipped[11] *= Math.min(1, maxNorm / (norm + 1e-6));
    return [clipped, Float64Array.of(norm)];
  },
  lower({ inputs: [g, filled], attrs: { maxNorm }, device }) {
    return variantsOf(
      readings(device, g, CLIP_BLOCK),
      (reading) =>
        withSquares(filled, device, reading, (count) => ({
          kernel: FACTOR,
          params: { count, most: maxNorm },
          bindings: {
            partials: scratch(),
            hyper: input(2),
            clipped: output(0),
            norm: output(1),
          },
          workgroups: [1, 1, 1],
          note: "factor",
        })),
    );
  },
  cost: (inputs, outputs) => ({
    flops: 2 * sizeOf(inputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Sums of squares, in chains of at most 32 · 16 terms; the root halves the error.
  cases: [
    { name: "clips, with gaps", blocks: 5, maxNorm: 2, filled: [64, 1, 0, 33, 62] },
    { name: "leaves alone", blocks: 5, maxNorm: 1e6, filled: [63, 2, 0, 35, 64] },
    { name: "tiny", blocks: 1, maxNorm: 1e-7, filled: [64], std: 1e-7 },
    { name: "whole workgroups", blocks: 2048, maxNorm: 1, filled: [64, 64, 60] },
    { name: "many workgroups", blocks: 2222, maxNorm: 1, filled: [64, 64, 7] },
  ].map(({ name, blocks, maxNorm, filled, std = 1 }) => ({
    name,
    inputs: [
      { ...f32(CLIP_BLOCK * blocks), fill: { kind: "normal", std } },
      { ...i32(blocks), fill: { kind: "values", values: filled } },
      { ...f32(ADAMW_HYPER), fill: { kind: "uniform", low: 0.5, high: 1 } },
    ],
    attrs: { maxNorm },
    tolerance: 1e-6,
  })),
};
