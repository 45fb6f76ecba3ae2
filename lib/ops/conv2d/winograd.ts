/**
 * Winograd's F(4×4, 3×3): a quarter of the multiplications, in three passes (transform of the input,
 * 36 matrix products, transform of the output).
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
import type { DType } from "../../graph/tensor.ts";
import { kernel, storedAs } from "../common/checks.ts";
import { byLanes, EIGHTS, type Sharing, STORES, storing } from "../common/subgroup_sharing.ts";
import type { Epilogue } from "./direct.ts";
import type { Geometry } from "./geometry.ts";
import { storageKernel } from "../common/vectorized_access.ts";
import { STAGED } from "./panels.ts";
import { isTileable } from "./tiled.ts";
import winogradText from "../../../kernels/lib/winograd.wgsl" with { type: "text" };
import weightsText from "../../../kernels/conv2d/winograd_weights.wgsl" with { type: "text" };
import inputText from "../../../kernels/conv2d/winograd_input.wgsl" with { type: "text" };
import gemmText from "../../../kernels/conv2d/winograd_gemm.wgsl" with { type: "text" };
import lanesText from "../../../kernels/conv2d/winograd_gemm_lanes.wgsl" with { type: "text" };
import tileText from "../../../kernels/lib/gemm_tile.wgsl" with { type: "text" };
import tiledText from "../../../kernels/conv2d/winograd_tiled_gemm.wgsl" with { type: "text" };
import outputText from "../../../kernels/conv2d/winograd_output.wgsl" with { type: "text" };
import productsStaged from "../../../kernels/lib/products_staged.wgsl" with { type: "text" };
import productsStored from "../../../kernels/lib/products_stored.wgsl" with { type: "text" };
import scalarStaged from "../../../kernels/lib/read_x_staged_scalar.wgsl" with { type: "text" };
import scalarStored from "../../../kernels/lib/read_x_scalar.wgsl" with { type: "text" };
import vec4Staged from "../../../kernels/lib/read_x_staged.wgsl" with { type: "text" };

/** What transforms join. */
export const WINOGRAD = winogradText;
/** Kernels of transforms that store; the libraries are those by which they read. */
export const transforms = (file: string, text: string, staged: string, stored: string) => ({
  ...storing(file, text, STAGED, staged, WINOGRAD),
  tiled: kernel(file, text, STORES.alone, stored, WINOGRAD),
});

const WEIGHTS = {
  staged: kernel("conv2d/winograd_weights.wgsl", weightsText, STAGED, scalarStaged, WINOGRAD),
  tiled: kernel("conv2d/winograd_weights.wgsl", weightsText, scalarStored, WINOGRAD),
};
const INPUT = {
  ...storing("conv2d/winograd_input.wgsl", inputText, STAGED, vec4Staged, WINOGRAD),
  tiled: storageKernel(4, "conv2d/winograd_input.wgsl", inputText, STORES.alone, WINOGRAD),
};
const GEMM = kernel("conv2d/winograd_gemm.wgsl", gemmText, STAGED, tileText);
const GEMM_BY_LANES = byLanes(
  "conv2d/winograd_gemm_lanes.wgsl",
  lanesText,
  (lanes) => [STAGED, ...EIGHTS[lanes], STORES[lanes]],
);
const GEMM_TILED = kernel("conv2d/winograd_tiled_gemm.wgsl", tiledText);
const OUTPUT = transforms(
  "conv2d/winograd_output.wgsl",
  outputText,
  productsStaged,
  productsStored,
);

/** How the products are computed: as software Vulkan likes it, or in workgroup memory. */
export type Products = Sharing | "tiled";

export const WORKGROUP = 32;

/** Bytes of transformed images that are made at a time: small enough for a processor's cache. */
const CHUNK = 2 ** 22;
/** … for a GPU's; for weight gradients, where each chunk takes sums of its own, and what is kept for them. */
export const LARGE_CHUNK = 2 ** 24;

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
export function chunksOf({ n, h, w }: Geometry, channels: number, most: number): Chunk[] {
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

/** Where V of each chunk lies in scratch memory: all in one place or, to be kept, behind each other. */
export function inputPlaces(
  chunks: readonly Chunk[],
  channels: number,
  index: number,
  keeps: boolean,
) {
  const sizes = chunks.map((chunk) => transformedBytes(chunk, channels));
  if (!keeps) return { places: chunks.map(() => scratch(index)), bytes: sizes[0] };
  // A multiple of every device's alignment.
  const step = Math.ceil(sizes[0] / 256) * 256;
  return {
    places: sizes.map((size, i) => scratch(index, { offset: i * step, size })),
    bytes: (chunks.length - 1) * step + sizes.at(-1)!,
  };
}

/** V of one chunk from x. */
export function transformInput(
  chunk: Chunk,
  channels: number,
  x: BufferRef,
  v: BufferRef,
  products: Products,
  dtype: DType,
): KernelCall {
  return {
    kernel: INPUT[products],
    specialize: products === "tiled" ? { StoredX: storedAs(dtype, 4).Stored } : {},
    params: { ...chunk.params, channels, plane: planeSize(chunk, channels) },
    bindings: { x, v },
    workgroups: [Math.ceil(chunk.groups * 4 / WORKGROUP), channels, 1],
    note: "transform input",
  };
}

/** Whether what the transforms of an image take can be bound. */
export function fitsWinograd(g: Geometry, { limits }: DeviceProfile): boolean {
  const channels = Math.max(g.ci, g.co);
  const bytes = transformedBytes(chunksOf(g, channels, 0)[0], channels);
  return channels <= 1024 && bytes <= limits.maxStorageBufferBindingSize;
}

/** Whether the kernels of real GPUs are for it, and fit. */
export const fitsTiledWinograd = (g: Geometry, device: DeviceProfile): boolean =>
  isTileable(g) && fitsWinograd(g, device);

const NAMES: Readonly<Record<Products, string>> = {
  alone: "winograd_f4",
  8: "winograd_f4_lanes",
  16: "winograd_f4_lanes",
  tiled: "winograd_f4_tiled",
};

/** By how the products are computed: by each invocation its own, by a subgroup or a workgroup together. */
export const winogradVariant = (products: Products, build: () => Lowering): Variant => ({
  name: NAMES[products],
  exact: false,
  build,
});

/** The same of what transforms x (input 0): V of the whole batch can be kept for others that do. */
export function keepingVariant(
  g: Geometry,
  products: Products,
  build: (keeps: boolean) => Lowering,
): Variant {
  const variant = winogradVariant(products, () => build(false));
  const chunks = chunksOf(g, Math.max(g.ci, g.co), LARGE_CHUNK);
  const { bytes } = inputPlaces(chunks, g.ci, 0, true);
  return { ...variant, kept: { input: 0, bytes, build: () => build(true) } };
}

/** y from x (input 0) and the weight (input 1), for a 3×3 kernel, stride 1, padding 1. */
export const forwardWinograd = (
  g: Geometry,
  products: Products,
  x: DType,
  epilogue: Epilogue,
): Variant =>
  keepingVariant(
    g,
    products,
    (keeps) => build(g, g.ci, g.co, false, products, x, epilogue, keeps),
  );

/** dx from dy (input 0) and the weight (input 1). */
export const backwardDataWinograd = (
  g: Geometry,
  products: Products,
  dy: DType,
  epilogue: Epilogue,
): Variant => winogradVariant(products, () => build(g, g.co, g.ci, true, products, dy, epilogue));

function build(
  g: Geometry,
  ci: number,
  co: number,
  transposed: boolean,
  products: Products,
  x: DType,
  { bias, channel, residual, dtype }: Epilogue,
  keeps = false,
): Lowering {
  // Input channels that the products take at a time: there are weights of zero up to a multiple.
  const together = { alone: 4, 8: 8, 16: 8, tiled: 16 }[products];
  const padded = Math.ceil(ci / together) * together;
  // A workgroup takes two panels.
  const coPanels = products === "tiled" ? Math.ceil(co / 32) * 2 : Math.ceil(co / 16);
  const units = 36 * coPanels;
  const uBytes = units * padded * 64;
  const most = keeps || products === "tiled" ? LARGE_CHUNK : CHUNK;
  const chunks = chunksOf(g, Math.max(ci, co), most);
  const { places, bytes: vBytes } = inputPlaces(chunks, ci, 1, keeps);
  const [u, m] = [scratch(0), scratch(2)];
  const calls: KernelCall[] = [{
    kernel: WEIGHTS[products === "tiled" ? "tiled" : "staged"],
    params: {
      weight_ci: transposed ? co : ci,
      weight_co: transposed ? ci : co,
      ci4: padded,
      co_panels: coPanels,
      transposed: transposed ? 1 : 0,
    },
    bindings: { x: input(1), u },
    workgroups: [Math.ceil(padded * coPanels * 4 / WORKGROUP), 1, 1],
    note: "transform weights",
  }];
  for (const [i, chunk] of chunks.entries()) {
    const v = places[i];
    calls.push(transformInput(chunk, ci, input(0), v, products, x));
    const shared = {
      groups: chunk.groups,
      v_plane: planeSize(chunk, ci),
      m_plane: planeSize(chunk, co),
      ci,
      co,
      co_panels: coPanels,
    };
    calls.push({
      ...productsCall(products, shared, padded, units),
      bindings: { u, v, m },
      note: "products",
    });
    calls.push({
      kernel: OUTPUT[products],
      specialize: storedAs(dtype, products === "tiled" ? 4 : "staged 4"),
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
        // Any will do: on software one that has been copied to a texture already.
        extra: residual ?? input(products === "tiled" ? 1 : 0),
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
      vBytes,
      transformedBytes(chunks[0], co),
    ],
    calls,
  };
}

function productsCall(
  products: Products,
  shared:
    & { readonly groups: number; readonly co_panels: number }
    & Readonly<Record<string, number>>,
  padded: number,
  units: number,
): Pick<KernelCall, "kernel" | "constants" | "params" | "workgroups"> {
  const { groups, co_panels: panels } = shared;
  if (products === "tiled") {
    return {
      kernel: GEMM_TILED,
      params: { ...shared, ci16: padded },
      workgroups: [Math.ceil(groups / 4), panels / 2, 36],
    };
  }
  if (products === "alone") {
    return {
      kernel: GEMM,
      params: { ...shared, ci4: padded },
      workgroups: [Math.ceil(groups / WORKGROUP), units, 1],
    };
  }
  return {
    kernel: GEMM_BY_LANES[products],
    constants: { WORKGROUP: products },
    params: { ...shared, ci8: padded },
    workgroups: [Math.ceil(panels / 2), Math.ceil(groups / (2 * products / 8)), 36],
  };
}
