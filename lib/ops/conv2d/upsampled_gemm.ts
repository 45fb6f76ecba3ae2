/** The convolutions of upsampled.ts as implicit matrix products: for real GPUs. */

import {
  type BufferRef,
  gridFor,
  input,
  type KernelCall,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
import type { Variant } from "../../graph/op.ts";
import type { DType } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel } from "../common/checks.ts";
import type { Epilogue } from "./direct.ts";
import { gemmCall, weightGemm } from "./gemm.ts";
import type { Geometry } from "./geometry.ts";
import { unfold, type Upsampled } from "./upsampled.ts";
import foldText from "../../../kernels/conv2d/fold_upsampled.wgsl" with { type: "text" };

const FOLD = kernel("conv2d/fold_upsampled.wgsl", foldText);

const fold = ({ ci, co }: Upsampled, transposed: boolean, folded: BufferRef): KernelCall => ({
  kernel: FOLD,
  params: { count: co * ci, co, ci, transposed: transposed ? 1 : 0 },
  bindings: { weight: input(1), folded },
  workgroups: gridFor(co * ci, ELEMENTWISE),
  note: "fold weights",
});

/** y from x (input 0) and the weight (input 1): all parities of rows and columns at once. */
export const forwardUpsampledGemm = (
  g: Upsampled,
  x: DType,
  epilogue: Pick<Epilogue, "bias" | "dtype">,
): Variant => ({
  name: "implicit_gemm",
  exact: true,
  build: () => ({
    scratch: [g.co * g.ci * 64],
    calls: [
      fold(g, false, scratch()),
      gemmCall(
        { ...g, kh: 2, kw: 2, ho: g.h, wo: g.w, stride: 1, top: 1, left: 1 },
        false,
        x,
        epilogue,
        { x: input(0), y: output(), weight: scratch() },
        g.co * g.ci * 4,
      ),
    ],
  }),
});

/** The input gradient's convolution of dy: 4×4, stride 2. */
const backward = ({ n, ci, h, w, co }: Upsampled): Geometry => ({
  n,
  ci: co,
  h: 2 * h,
  w: 2 * w,
  co: ci,
  ho: h,
  wo: w,
  kh: 4,
  kw: 4,
  stride: 2,
  top: 1,
  left: 1,
});

/** dx from dy (input 0) and the weight (input 1). */
export const backwardDataUpsampledGemm = (g: Upsampled, dy: DType, dtype: DType): Variant => ({
  name: "implicit_gemm",
  exact: true,
  build: () => ({
    scratch: [g.co * g.ci * 64],
    calls: [
      fold(g, true, scratch()),
      gemmCall(backward(g), false, dy, { dtype }, {
        x: input(0),
        y: output(),
        weight: scratch(),
      }),
    ],
  }),
});

/** The weight's gradient from x (input 0) and dy (input 1). */
export const backwardWeightUpsampledGemm = (g: Upsampled, x: DType, dy: DType): Variant => ({
  name: "implicit_gemm",
  exact: true,
  build: () => {
    const sums = weightGemm(backward(g), {
      x: [input(1), dy],
      dy: [input(0), x],
      dw: scratch(1),
    });
    return {
      scratch: [...sums.scratch, g.co * g.ci * 64],
      calls: [...sums.calls, unfold(g, true, scratch(1))],
    };
  },
});
