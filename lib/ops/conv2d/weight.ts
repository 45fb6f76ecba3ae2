/** Weight gradient of a 3×3 convolution (stride 1, padding 1) on software Vulkan. */

import {
  gridFor,
  input,
  type KernelCall,
  type Lowering,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
import type { Variant } from "../../graph/op.ts";
import { kernel } from "../common.ts";
import type { Geometry } from "./geometry.ts";
import { STAGED } from "./panels.ts";
import weightText from "../../../kernels/conv2d/backward_weight_3x3.wgsl" with { type: "text" };
import sumText from "../../../kernels/conv2d/sum_slices.wgsl" with { type: "text" };

const BACKWARD_WEIGHT = kernel("conv2d/backward_weight_3x3.wgsl", weightText, STAGED);
const SUM_SLICES = kernel("conv2d/sum_slices.wgsl", sumText, STAGED);

const WORKGROUP = 8;

/** Rows that one invocation sums up: more of them cost accuracy, fewer cost memory. */
const ROWS = 128;

/** How N·H rows are cut: `images` images, or one image in `rowChunks` parts of `rows` rows. */
export function chunkRows(n: number, h: number) {
  const rowChunks = Math.ceil(h / ROWS);
  const rows = Math.ceil(h / rowChunks);
  const images = Math.min(n, Math.max(1, Math.floor(ROWS / h)));
  return { images, rows, rowChunks, chunks: Math.ceil(n / images) * rowChunks };
}

export function backwardWeightDirect(g: Geometry): Variant {
  return { name: "direct", exact: true, build: () => build(g) };
}

function build({ n, ci, h, w, co }: Geometry): Lowering {
  const { images, rows, rowChunks, chunks } = chunkRows(n, h);
  const strips = Math.ceil(w / 8);
  const slices = strips * chunks;
  const [coBlocks, ciBlocks] = [Math.ceil(co / 8), Math.ceil(ci / 4)];
  const row4 = ciBlocks * 9;
  const slice4 = coBlocks * 8 * row4;
  return {
    scratch: [slices * slice4 * 16],
    calls: [
      {
        kernel: BACKWARD_WEIGHT,
        params: {
          batch: n,
          h,
          w4: w / 4,
          strips,
          ci,
          co,
          ci_blocks: ciBlocks,
          co_blocks: coBlocks,
          images,
          rows,
          row_chunks: rowChunks,
          slices,
        },
        bindings: { x: input(0), dy: input(1), partial: scratch() },
        workgroups: [Math.ceil(slices / WORKGROUP), coBlocks, ciBlocks],
        note: "partial sums",
      },
      sumSlices({ co, length: ci * 9, row4, slice4, slices }),
    ],
  };
}

/** Adds up scratch 0, a slice being rows of `length` floats padded to `row4` vec4. */
export function sumSlices(params: {
  co: number;
  length: number;
  row4: number;
  slice4: number;
  slices: number;
}): KernelCall {
  return {
    kernel: SUM_SLICES,
    params,
    bindings: { partial: scratch(), dw: output() },
    workgroups: gridFor(params.co * params.row4, 32),
    note: "sum",
  };
}
