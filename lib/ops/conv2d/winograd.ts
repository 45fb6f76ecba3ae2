/**
 * Winograd's F(4×4, 3×3) on software Vulkan: a quarter of the multiplications, in three passes
 * (transform of the input, 36 matrix products, transform of the output).
 */

import {
  type BufferRef,
  input,
  type KernelCall,
  type Lowering,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
import type { DeviceProfile, Variant } from "../../graph/op.ts";
import { kernel, storedAs } from "../common.ts";
import { byLanes, EIGHTS, type Sharing, STORES, storing } from "../lanes.ts";
import type { Epilogue } from "./direct.ts";
import type { Geometry } from "./geometry.ts";
import { STAGED } from "./panels.ts";
import winogradText from "../../../kernels/lib/winograd.wgsl" with { type: "text" };
import weightsText from "../../../kernels/conv2d/winograd_weights.wgsl" with { type: "text" };
import inputText from "../../../kernels/conv2d/winograd_input.wgsl" with { type: "text" };
import gemmText from "../../../kernels/conv2d/winograd_gemm.wgsl" with { type: "text" };
import lanesText from "../../../kernels/conv2d/winograd_gemm_lanes.wgsl" with { type: "text" };
import tileText from "../../../kernels/lib/gemm_tile.wgsl" with { type: "text" };
import outputText from "../../../kernels/conv2d/winograd_output.wgsl" with { type: "text" };

export const WINOGRAD = winogradText;

const WEIGHTS = kernel("conv2d/winograd_weights.wgsl", weightsText, STAGED, WINOGRAD);
const INPUT = storing("conv2d/winograd_input.wgsl", inputText, STAGED, WINOGRAD);
const GEMM = kernel("conv2d/winograd_gemm.wgsl", gemmText, STAGED, tileText);
const GEMM_BY_LANES = byLanes(
  "conv2d/winograd_gemm_lanes.wgsl",
  lanesText,
  (lanes) => [STAGED, ...EIGHTS[lanes], STORES[lanes]],
);
const OUTPUT = storing("conv2d/winograd_output.wgsl", outputText, STAGED, WINOGRAD);

export const WORKGROUP = 32;

/** Bytes of a transformed image that is kept at a time: small enough for a processor's cache. */
const CHUNK = 2 ** 22;

/** Some images of the batch and their tiles. */
export interface Chunk {
  readonly firstImage: number;
  readonly quads: number;
  readonly groups: number;
  /** Fields of `Params` that the transforms share, but for `channels`. */
  readonly params: Readonly<Record<string, number>>;
}

/**
 * Vec4 of one of the 36 planes of a transformed tensor. The padding sees to it that the planes do
 * not lie a power of two apart, where they would contend for the same lines of the caches.
 */
export const planeSize = (chunk: Chunk, channels: number): number =>
  chunk.groups * 4 * channels + 20;

/** Bytes of a transformed tensor. */
export const transformedBytes = (chunk: Chunk, channels: number): number =>
  36 * planeSize(chunk, channels) * 16;

/** The batch in chunks; transforms of `channels` channels stay below `most` bytes, if they can. */
export function chunksOf({ n, h, w }: Geometry, channels: number, most = CHUNK): Chunk[] {
  const [quadsX, quadsY] = [Math.ceil(w / 16), Math.ceil(h / 4)];
  const perImage = 36 * quadsX * quadsY * 4 * channels * 4;
  const images = Math.min(n, Math.max(1, Math.floor(most / perImage)));
  const chunks: Chunk[] = [];
  for (let firstImage = 0; firstImage < n; firstImage += images) {
    const quads = Math.min(images, n - firstImage) * quadsX * quadsY;
    const groups = Math.ceil(quads / 4);
    chunks.push({
      firstImage,
      quads,
      groups,
      params: {
        h,
        w4: w / 4,
        quads_x: quadsX,
        quads_y: quadsY,
        quads,
        groups,
        first_image: firstImage,
      },
    });
  }
  return chunks;
}

/** V of one chunk from x. */
export function transformInput(
  chunk: Chunk,
  channels: number,
  x: BufferRef,
  v: BufferRef,
  sharing: Sharing,
): KernelCall {
  return {
    kernel: INPUT[sharing],
    params: { ...chunk.params, channels, plane: planeSize(chunk, channels) },
    bindings: { x, v },
    workgroups: [Math.ceil(chunk.groups * 4 / WORKGROUP), channels, 1],
    note: "transform input",
  };
}

/** Whether what the transforms of an image take can be bound. */
export function fitsWinograd(g: Geometry, { limits }: DeviceProfile): boolean {
  const channels = Math.max(g.ci, g.co);
  const bytes = transformedBytes(chunksOf(g, channels)[0], channels);
  return channels <= 1024 && bytes <= limits.maxStorageBufferBindingSize;
}

/** How the products are computed: by each invocation its own, or by a subgroup together. */
export const winogradVariant = (products: Sharing, build: () => Lowering): Variant => ({
  name: products === "alone" ? "winograd_f4" : "winograd_f4_lanes",
  exact: false,
  build,
});

/** y from x (input 0) and the weight (input 1), for a 3×3 kernel, stride 1, padding 1. */
export const forwardWinograd = (g: Geometry, products: Sharing, epilogue: Epilogue): Variant =>
  winogradVariant(products, () => build(g, g.ci, g.co, false, products, epilogue));

/** dx from dy (input 0) and the weight (input 1). */
export const backwardDataWinograd = (
  g: Geometry,
  products: Sharing,
  epilogue: Epilogue,
): Variant => winogradVariant(products, () => build(g, g.co, g.ci, true, products, epilogue));

function build(
  g: Geometry,
  ci: number,
  co: number,
  transposed: boolean,
  products: Sharing,
  { bias, channel, residual, dtype }: Epilogue,
): Lowering {
  // Input channels that the products take at a time: there are weights of zero up to a multiple.
  const together = products === "alone" ? 4 : 8;
  const padded = Math.ceil(ci / together) * together;
  const coPanels = Math.ceil(co / 16);
  const units = 36 * coPanels;
  const uBytes = units * padded * 64;
  const chunks = chunksOf(g, Math.max(ci, co));
  const [u, v, m] = [0, 1, 2].map((i) => scratch(i));
  const calls: KernelCall[] = [{
    kernel: WEIGHTS,
    params: {
      weight_ci: transposed ? co : ci,
      weight_co: transposed ? ci : co,
      ci4: padded,
      co_panels: coPanels,
      transposed: transposed ? 1 : 0,
    },
    bindings: { weight: input(1), u },
    workgroups: [Math.ceil(padded * coPanels * 4 / WORKGROUP), 1, 1],
    note: "transform weights",
  }];
  for (const chunk of chunks) {
    calls.push(transformInput(chunk, ci, input(0), v, products));
    const shared = {
      groups: chunk.groups,
      v_plane: planeSize(chunk, ci),
      m_plane: planeSize(chunk, co),
      ci,
      co,
      co_panels: coPanels,
    };
    const bindings = { u, v, m };
    calls.push(
      products === "alone"
        ? {
          kernel: GEMM,
          params: { ...shared, ci4: padded },
          bindings,
          workgroups: [Math.ceil(chunk.groups / WORKGROUP), units, 1],
          note: "products",
        }
        : {
          kernel: GEMM_BY_LANES[products],
          constants: { WORKGROUP: products },
          params: { ...shared, ci8: padded },
          bindings,
          workgroups: [
            Math.ceil(coPanels / 2),
            Math.ceil(chunk.groups / (2 * products / 8)),
            36,
          ],
          note: "products",
        },
    );
    calls.push({
      kernel: OUTPUT[products],
      specialize: storedAs(dtype, "staged 4"),
      params: {
        ...chunk.params,
        channels: co,
        plane: planeSize(chunk, co),
        has_bias: bias ? 1 : 0,
        has_channel: channel ? 1 : 0,
        has_extra: residual ? 1 : 0,
      },
      bindings: {
        m,
        extra: residual ?? input(0),
        bias: bias ?? input(1),
        channel: channel ?? input(1),
        y: output(),
      },
      workgroups: [Math.ceil(chunk.quads / WORKGROUP), co, 1],
      note: "transform output",
    });
  }
  return {
    scratch: [
      uBytes,
      transformedBytes(chunks[0], ci),
      transformedBytes(chunks[0], co),
    ],
    calls,
  };
}
