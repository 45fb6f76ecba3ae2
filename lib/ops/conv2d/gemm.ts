/** Convolutions as implicit matrix products with tiles in workgroup memory: for real GPUs. */

import {
  type BufferRef,
  input,
  type KernelCall,
  type Lowering,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
import type { Variant } from "../../graph/op.ts";
import type { DType } from "../../graph/tensor.ts";
import { storedAs } from "../common/checks.ts";
import { storageKernel } from "../common/vectorized_access.ts";
import type { Epilogue } from "./direct.ts";
import { type Geometry, geometryParams } from "./geometry.ts";
import { sumSlices } from "./weight.ts";
import gemmText from "../../../kernels/conv2d/implicit_gemm.wgsl" with { type: "text" };
import weightText from "../../../kernels/conv2d/backward_weight_gemm.wgsl" with { type: "text" };

const GEMM = storageKernel(1, "conv2d/implicit_gemm.wgsl", gemmText);
const BACKWARD_WEIGHT = storageKernel(1, "conv2d/backward_weight_gemm.wgsl", weightText);

const TILE = 64;

/** Of the sizes those that the kernels learn when they run. */
function runParams(g: Geometry): Record<string, number> {
  const { kh: _kh, kw: _kw, stride: _stride, ...params } = geometryParams(g);
  return params;
}

/** y from x (input 0) and the weight (input 1). */
export const forwardGemm = (g: Geometry, x: DType, epilogue: Epilogue): Variant => ({
  name: "implicit_gemm",
  exact: true,
  build: () => buildGemm(g, false, x, epilogue),
});

/** dx from dy (input 0) and the weight (input 1). */
export const backwardDataGemm = (g: Geometry, dy: DType, epilogue: Epilogue): Variant => ({
  name: "implicit_gemm",
  exact: true,
  build: () =>
    buildGemm({ ...g, ci: g.co, h: g.ho, w: g.wo, co: g.ci, ho: g.h, wo: g.w }, true, dy, epilogue),
});

const buildGemm = (...form: Parameters<typeof gemmCall>): Lowering => ({
  calls: [gemmCall(...form)],
});

/**
 * `g` as the kernel sees it: from x [n,ci,h,w], of a type of its own, to [n,co,ho,wo]. With a
 * `partSize`, floats from one weight to the next, four at once: one for each parity of the rows and
 * columns of y [n,co,2·ho,2·wo], `top` and `left` being those of the even ones.
 */
export function gemmCall(
  g: Geometry,
  transposed: boolean,
  x: DType,
  { bias, channel, residual, dtype }: Epilogue,
  refs: { readonly x: BufferRef; readonly y: BufferRef; readonly weight?: BufferRef } = {
    x: input(0),
    y: output(),
  },
  partSize = 0,
): KernelCall {
  const parts = partSize ? 4 : 1;
  const tiles = Math.ceil(g.n * g.ho * g.wo / TILE);
  const wide = Math.min(tiles, 32768);
  return {
    kernel: GEMM,
    constants: { KH: g.kh, KW: g.kw, STRIDE: g.stride },
    specialize: { StoredX: x, ...storedAs(dtype, 1) },
    params: {
      ...runParams(g),
      wide,
      transposed: transposed ? 1 : 0,
      has_bias: bias ? 1 : 0,
      has_channel: channel ? 1 : 0,
      has_residual: residual ? 1 : 0,
      step: partSize ? 2 : 1,
      part_size: partSize,
    },
    bindings: {
      weight: input(1),
      ...refs,
      bias: bias ?? input(1),
      channel: channel ?? input(1),
      residual: residual ?? input(1),
    },
    workgroups: [wide, parts * Math.ceil(g.co / TILE), Math.ceil(tiles / wide)],
  };
}

export const backwardWeightGemm = (g: Geometry, x: DType, dy: DType): Variant => ({
  name: "implicit_gemm",
  exact: true,
  build: () => buildBackwardWeight(g, x, dy),
});

function buildBackwardWeight(g: Geometry, x: DType, dy: DType): Lowering {
  return weightGemm(g, { x: [input(0), x], dy: [input(1), dy], dw: output() });
}

/** The gradient by the weight of `g`, of x and dy with their types; scratch 0 are partial sums. */
export function weightGemm(
  g: Geometry,
  { x, dy, dw }: {
    readonly x: readonly [BufferRef, DType];
    readonly dy: readonly [BufferRef, DType];
    readonly dw: BufferRef;
  },
): { readonly scratch: readonly number[]; readonly calls: readonly KernelCall[] } {
  const length = g.ci * g.kh * g.kw;
  const total = g.n * g.ho * g.wo;
  const tiles = Math.ceil(length / TILE) * Math.ceil(g.co / TILE);
  const row4 = Math.ceil(length / 4);
  const slice4 = g.co * row4;
  // Some 1,024 workgroups for a large GPU, of 512 to 4,096 pixels (more would cost accuracy), and
  // at most 64 MiB of partial sums.
  const most = Math.max(1, Math.floor(2 ** 22 / slice4));
  const wanted = Math.min(most, Math.ceil(1024 / tiles), Math.ceil(total / 512));
  const slices = Math.max(wanted, Math.ceil(total / 4096));
  const pixels = Math.ceil(total / slices);
  const used = Math.ceil(total / pixels);
  return {
    scratch: [used * slice4 * 16],
    calls: [
      {
        kernel: BACKWARD_WEIGHT,
        specialize: { StoredX: x[1], StoredDy: dy[1] },
        constants: { KH: g.kh, KW: g.kw, STRIDE: g.stride },
        params: { ...runParams(g), row: row4 * 4, pixels },
        bindings: { x: x[0], dy: dy[0], partial: scratch() },
        workgroups: [Math.ceil(length / TILE), Math.ceil(g.co / TILE), used],
        note: "partial sums",
      },
      sumSlices({ co: g.co, length, row4, slice4, slices: used }, scratch(), dw, "storage"),
    ],
  };
}
