/** The weight gradient in the domain of Winograd's F(4×4, 3×3). */

import { input, type KernelCall, type Lowering, output, scratch } from "../../graph/kernel_call.ts";
import type { Variant } from "../../graph/op.ts";
import type { DType } from "../../graph/tensor.ts";
import { kernel, storedAs } from "../common/checks.ts";
import { byLanes, EIGHTS } from "../common/subgroup_sharing.ts";
import type { Geometry } from "./geometry.ts";
import { LANE_DOTS, STAGED } from "./panels.ts";
import { sumSlices } from "./weight.ts";
import {
  chunksOf,
  inputPlaces,
  keepingVariant,
  LARGE_CHUNK,
  planeSize,
  type Products,
  transformedBytes,
  transformInput,
  transforms,
  WINOGRAD,
  WORKGROUP,
} from "./winograd.ts";
import gradientText from "../../../kernels/conv2d/winograd_gradient.wgsl" with { type: "text" };
import gemmText from "../../../kernels/conv2d/winograd_weight_gemm.wgsl" with { type: "text" };
import lanesText from "../../../kernels/conv2d/winograd_weight_gemm_lanes.wgsl" with {
  type: "text",
};
import tiledText from "../../../kernels/conv2d/winograd_tiled_weight_gemm.wgsl" with {
  type: "text",
};
import outputText from "../../../kernels/conv2d/winograd_weight_output.wgsl" with { type: "text" };
import dyStaged from "../../../kernels/lib/read_dy_staged.wgsl" with { type: "text" };
import dyStored from "../../../kernels/lib/read_dy_vec4.wgsl" with { type: "text" };
import vec4Staged from "../../../kernels/lib/read_x_staged.wgsl" with { type: "text" };
import vec4Stored from "../../../kernels/lib/read_x_vec4.wgsl" with { type: "text" };

const GRADIENT = transforms("conv2d/winograd_gradient.wgsl", gradientText, dyStaged, dyStored);
const GEMM = kernel("conv2d/winograd_weight_gemm.wgsl", gemmText, STAGED);
const GEMM_BY_LANES = byLanes(
  "conv2d/winograd_weight_gemm_lanes.wgsl",
  lanesText,
  (lanes) => [STAGED, ...EIGHTS[lanes], ...LANE_DOTS],
);
const GEMM_TILED = kernel("conv2d/winograd_tiled_weight_gemm.wgsl", tiledText);
const OUTPUT = {
  staged: kernel("conv2d/winograd_weight_output.wgsl", outputText, STAGED, vec4Staged, WINOGRAD),
  tiled: kernel("conv2d/winograd_weight_output.wgsl", outputText, vec4Stored, WINOGRAD),
};

/** Workgroups that keep a large GPU busy, and bytes of their sums at most. */
const ENOUGH = 1024;
const MOST_PARTIAL = 2 ** 26;

/** dw from x (input 0) and dy (input 1), for a 3×3 kernel, stride 1, padding 1. */
export const backwardWeightWinograd = (
  g: Geometry,
  products: Products,
  lanes: number,
  [x, dy]: readonly [DType, DType],
): Variant => keepingVariant(g, products, (keeps) => build(g, products, lanes, [x, dy], keeps));

/** Channels of a block. */
const BLOCKS: Readonly<Record<Products, { readonly ci: number; readonly co: number }>> = {
  alone: { ci: 16, co: 16 },
  8: { ci: 16, co: 32 },
  16: { ci: 16, co: 32 },
  tiled: { ci: 32, co: 32 },
};

function build(
  g: Geometry,
  products: Products,
  lanes: number,
  [x, dy]: readonly [DType, DType],
  keeps: boolean,
): Lowering {
  const { ci, co } = g;
  const chunks = chunksOf(g, Math.max(ci, co), LARGE_CHUNK);
  const { places, bytes: vBytes } = inputPlaces(chunks, ci, 0, keeps);
  const block = BLOCKS[products];
  const [ciBlocks, coBlocks] = [Math.ceil(ci / block.ci), Math.ceil(co / block.co)];
  const [ci16, co16] = [ciBlocks * block.ci / 16, coBlocks * block.co / 16];
  const size = 36 * co16 * ci16 * 256;
  const [d, partial, u] = [1, 2, 3].map((i) => scratch(i));
  const calls: KernelCall[] = [];
  let slices = 0;
  for (const [i, chunk] of chunks.entries()) {
    const v = places[i];
    const shared = {
      groups: chunk.groups,
      v_plane: planeSize(chunk, ci),
      d_plane: planeSize(chunk, co),
      ci,
      co,
      ci_blocks: ciBlocks,
      co_blocks: coBlocks,
    };
    const most = Math.floor(MOST_PARTIAL / (size * 4 * chunks.length));
    const { parts, ...call } = productsCall(products, shared, slices, lanes, most);
    calls.push(
      transformInput(chunk, ci, input(0), v, products, x),
      {
        kernel: GRADIENT[products],
        specialize: products === "tiled" ? { StoredDy: storedAs(dy, 4).Stored } : {},
        params: { ...chunk.params, channels: co, plane: planeSize(chunk, co) },
        bindings: { dy: input(1), v: d },
        workgroups: [Math.ceil(chunk.groups * 4 / WORKGROUP), co, 1],
        note: "transform gradient",
      },
      { ...call, bindings: { v, d, partial }, note: "products" },
    );
    slices += parts;
  }
  const summed = { co: 1, length: size, row4: size / 4, slice4: size / 4, slices };
  const isTiled = products === "tiled";
  // A single slice too: a step on a small image is checked in place of a large one, kernel by kernel.
  calls.push(sumSlices(summed, partial, u, isTiled ? "storage" : "texture"), {
    kernel: OUTPUT[isTiled ? "tiled" : "staged"],
    params: { ci, co, ci_blocks: ci16, co_blocks: co16 },
    bindings: { x: u, dw: output() },
    workgroups: [Math.ceil(co * Math.ceil(ci / 4) / WORKGROUP), 1, 1],
    note: "transform weight gradient",
  });
  return {
    scratch: [
      vBytes,
      transformedBytes(chunks[0], co),
      slices * size * 4,
      size * 4,
    ],
    calls,
  };
}

/**
 * The products of a chunk, and in how many slices of its tiles they are summed side by side: in as many
 * as a vector has lanes; in one, where the lanes have channels of their own; or in what a GPU likes.
 */
function productsCall(
  products: Products,
  shared:
    & { readonly groups: number; readonly ci_blocks: number; readonly co_blocks: number }
    & Readonly<Record<string, number>>,
  first: number,
  lanes: number,
  most: number,
): Pick<KernelCall, "kernel" | "constants" | "params" | "workgroups"> & { parts: number } {
  const { groups } = shared;
  const blocks = shared.ci_blocks * shared.co_blocks;
  if (products === "tiled") {
    const wanted = Math.min(most, Math.ceil(ENOUGH / (36 * blocks)), Math.ceil(groups / 4));
    // Two groups at a time.
    const step = 2 * Math.ceil(groups / (2 * Math.max(1, wanted)));
    const parts = Math.ceil(groups / step);
    return {
      parts,
      kernel: GEMM_TILED,
      params: { ...shared, step, first_slice: first },
      workgroups: [blocks, 36, parts],
    };
  }
  if (products === "alone") {
    return {
      parts: lanes,
      kernel: GEMM,
      constants: { WORKGROUP: lanes },
      params: { ...shared, slices: lanes, first_slice: first },
      workgroups: [1, blocks, 36],
    };
  }
  return {
    parts: 1,
    kernel: GEMM_BY_LANES[products],
    constants: { WORKGROUP: products },
    params: { ...shared, slice: first },
    workgroups: [Math.ceil(blocks / (products / 8)), 36, 1],
  };
}
