/** The weight gradient in the domain of Winograd's F(4×4, 3×3), on software Vulkan. */

import { input, type KernelCall, type Lowering, output, scratch } from "../../graph/kernel_call.ts";
import type { Variant } from "../../graph/op.ts";
import { kernel } from "../common.ts";
import { byLanes, EIGHTS, type Sharing, storing } from "../lanes.ts";
import type { Geometry } from "./geometry.ts";
import { LANE_DOTS, STAGED } from "./panels.ts";
import { sumSlices } from "./weight.ts";
import {
  type Chunk,
  chunksOf,
  planeSize,
  transformedBytes,
  transformInput,
  WINOGRAD,
  winogradVariant,
  WORKGROUP,
} from "./winograd.ts";
import gradientText from "../../../kernels/conv2d/winograd_gradient.wgsl" with { type: "text" };
import gemmText from "../../../kernels/conv2d/winograd_weight_gemm.wgsl" with { type: "text" };
import lanesText from "../../../kernels/conv2d/winograd_weight_gemm_lanes.wgsl" with {
  type: "text",
};
import outputText from "../../../kernels/conv2d/winograd_weight_output.wgsl" with { type: "text" };

const GRADIENT = storing("conv2d/winograd_gradient.wgsl", gradientText, STAGED, WINOGRAD);
const GEMM = kernel("conv2d/winograd_weight_gemm.wgsl", gemmText, STAGED);
const GEMM_BY_LANES = byLanes(
  "conv2d/winograd_weight_gemm_lanes.wgsl",
  lanesText,
  (lanes) => [STAGED, ...EIGHTS[lanes], ...LANE_DOTS],
);
const OUTPUT = kernel("conv2d/winograd_weight_output.wgsl", outputText, STAGED, WINOGRAD);

/** Bytes of a transformed chunk: each chunk takes slices of its own, so fewer save memory. */
const CHUNK = 2 ** 24;

/** dw from x (input 0) and dy (input 1), for a 3×3 kernel, stride 1, padding 1. */
export const backwardWeightWinograd = (g: Geometry, products: Sharing, lanes: number): Variant =>
  winogradVariant(products, () => build(g, products, lanes));

/**
 * Of a chunk's tiles as many slices are summed side by side as a vector has lanes; or one, where the
 * lanes have channels of their own.
 */
function build(g: Geometry, products: Sharing, lanes: number): Lowering {
  const { ci, co } = g;
  const together = products !== "alone";
  const chunks = chunksOf(g, Math.max(ci, co), CHUNK);
  const [ciBlocks, coBlocks] = [Math.ceil(ci / 16), Math.ceil(co / (together ? 32 : 16))];
  const [v, d, partial, u] = [0, 1, 2, 3].map((i) => scratch(i));
  const parts = together ? 1 : lanes;
  const slices = chunks.length * parts;
  const productsOf = (chunk: Chunk, i: number): KernelCall => {
    const shared = {
      groups: chunk.groups,
      v_plane: planeSize(chunk, ci),
      d_plane: planeSize(chunk, co),
      ci,
      co,
      ci_blocks: ciBlocks,
      co_blocks: coBlocks,
    };
    const bindings = { v, d, partial };
    const blocks = coBlocks * ciBlocks;
    return together
      ? {
        kernel: GEMM_BY_LANES[products],
        constants: { WORKGROUP: products },
        params: { ...shared, slice: i },
        bindings,
        workgroups: [Math.ceil(blocks / (products / 8)), 36, 1],
        note: "products",
      }
      : {
        kernel: GEMM,
        constants: { WORKGROUP: lanes },
        params: { ...shared, slices: lanes, first_slice: i * lanes },
        bindings,
        workgroups: [1, blocks, 36],
        note: "products",
      };
  };
  const calls: KernelCall[] = chunks.flatMap((chunk, i): KernelCall[] => [
    transformInput(chunk, ci, input(0), v, products),
    {
      kernel: GRADIENT[products],
      params: { ...chunk.params, channels: co, plane: planeSize(chunk, co) },
      bindings: { dy: input(1), v: d },
      workgroups: [Math.ceil(chunk.groups * 4 / WORKGROUP), co, 1],
      note: "transform gradient",
    },
    productsOf(chunk, i),
  ]);
  const co16 = coBlocks * (together ? 2 : 1);
  const size = 36 * co16 * ciBlocks * 256;
  const summed = { co: 1, length: size, row4: size / 4, slice4: size / 4, slices };
  // A single slice too: a step on a small image is checked in place of a large one, kernel by kernel.
  calls.push(sumSlices(summed, partial, u), {
    kernel: OUTPUT,
    params: { ci, co, ci_blocks: ciBlocks, co_blocks: co16 },
    bindings: { u, dw: output() },
    workgroups: [Math.ceil(co * Math.ceil(ci / 4) / WORKGROUP), 1, 1],
    note: "transform weight gradient",
  });
  return {
    scratch: [
      transformedBytes(chunks[0], ci),
      transformedBytes(chunks[0], co),
      slices * size * 4,
      size * 4,
    ],
    calls,
  };
}
