/**
 * Convolutions on software Vulkan: tiles of pixels and output channels in registers; the image and
 * the weights, packed in panels, are read from textures, the fastest reads there.
 */

import {
  type BufferRef,
  gridFor,
  input,
  type KernelSource,
  type Lowering,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
import type { DeviceKind, Variant } from "../../graph/op.ts";
import type { DType } from "../../graph/tensor.ts";
import {
  ELEMENTWISE,
  kernel,
  storedAs,
  type SubgroupLanes,
  subgroupLanes,
} from "../common/checks.ts";
import { byLanes, EIGHTS_ALIKE, STORES, storing } from "../common/subgroup_sharing.ts";
import { type Geometry, geometryParams } from "./geometry.ts";
import { LANE_PANEL, panelsOf, STAGED } from "./panels.ts";
import tapsText from "../../../kernels/lib/taps_3x3.wgsl" with { type: "text" };
import pixelsText from "../../../kernels/lib/eight_pixels.wgsl" with { type: "text" };
import texelsLibrary from "../../../kernels/lib/row_texels.wgsl" with { type: "text" };
import storedLibrary from "../../../kernels/lib/texels_as_stored.wgsl" with { type: "text" };
import normalisedLibrary from "../../../kernels/lib/texels_normalised.wgsl" with {
  type: "text",
};
import lanesLibrary from "../../../kernels/lib/lane_rows.wgsl" with { type: "text" };
import eightText from "../../../kernels/lib/eight_taps.wgsl" with { type: "text" };
import tileLibrary from "../../../kernels/lib/tile_8x4.wgsl" with { type: "text" };
import directText from "../../../kernels/conv2d/direct_3x3.wgsl" with { type: "text" };
import lanesText from "../../../kernels/conv2d/direct_3x3_lanes.wgsl" with { type: "text" };
import wideText from "../../../kernels/conv2d/direct_3x3_wide.wgsl" with { type: "text" };
import strideText from "../../../kernels/conv2d/direct_3x3_stride2.wgsl" with { type: "text" };
import dataText from "../../../kernels/conv2d/backward_data_3x3_stride2.wgsl" with { type: "text" };
import anyText from "../../../kernels/conv2d/direct_any.wgsl" with { type: "text" };
import tileText from "../../../kernels/lib/gemm_tile.wgsl" with { type: "text" };
import pointStore from "../../../kernels/lib/pointwise_store.wgsl" with { type: "text" };
import pointLanesText from "../../../kernels/conv2d/pointwise_lanes.wgsl" with { type: "text" };
import coefficientsText from "../../../kernels/group_norm/coefficients.wgsl" with { type: "text" };
import pointText from "../../../kernels/conv2d/pointwise.wgsl" with { type: "text" };

/** What kernels join that read rows of eight pixels. */
export const EIGHT_TAPS = [STAGED, tapsText, pixelsText, eightText] as const;

const DIRECT = kernel(
  "conv2d/direct_3x3.wgsl",
  directText,
  ...EIGHT_TAPS,
  STORES.alone,
  tileLibrary,
);
const byLanesReading = (texels: string) =>
  byLanes("conv2d/direct_3x3_lanes.wgsl", lanesText, (lanes) => [
    STAGED,
    ...EIGHTS_ALIKE[lanes],
    tapsText,
    pixelsText,
    texelsLibrary,
    texels,
    lanesLibrary,
    eightText,
    STORES[lanes],
    tileLibrary,
  ]);
const BY_LANES = byLanesReading(storedLibrary);
const NORMALISED_BY_LANES = byLanesReading(normalisedLibrary);
const COEFFICIENTS = kernel("group_norm/coefficients.wgsl", coefficientsText);
const WIDE = kernel("conv2d/direct_3x3_wide.wgsl", wideText, STAGED);
const STRIDE_2 = kernel("conv2d/direct_3x3_stride2.wgsl", strideText, STAGED, tapsText);
const BACKWARD_DATA_STRIDE_2 = storing(
  "conv2d/backward_data_3x3_stride2.wgsl",
  dataText,
  STAGED,
  tapsText,
);
const ANY = kernel("conv2d/direct_any.wgsl", anyText, STAGED);
const POINTWISE = kernel(
  "conv2d/pointwise.wgsl",
  pointText,
  STAGED,
  tileText,
  STORES.alone,
  pointStore,
);
const POINTWISE_BY_LANES = byLanes(
  "conv2d/pointwise_lanes.wgsl",
  pointLanesText,
  (lanes) => [STAGED, ...LANE_PANEL[lanes], tileText, STORES[lanes], pointStore],
);

const WORKGROUP = 32;

/** What may be added in the store of a convolution. */
export interface Epilogue {
  /** How the sum, and a residual, are stored. */
  readonly dtype: DType;
  readonly bias?: BufferRef;
  /** [N,Co] */
  readonly channel?: BufferRef;
  /** [N,Co,Ho,Wo] */
  readonly residual?: BufferRef;
}

/**
 * "3×3 in tiles": of 8×4 pixels, also where rows of 32 are possible; "3×3 by 8 lanes": such a tile for a
 * subgroup, whose invocations share the pixels, or two for one of 16; "1×1 by 8 lanes": they share the
 * weights; "3×3 stride 2 by 16 lanes": they store together.
 */
export type Shape =
  | "3×3"
  | "3×3 in tiles"
  | `3×3 by ${SubgroupLanes} lanes`
  | "3×3 stride 2"
  | "3×3 stride 2 by 16 lanes"
  | "1×1"
  | `1×1 by ${SubgroupLanes} lanes`
  | "any";

const NAMES: Readonly<Record<Shape, string>> = {
  "3×3": "direct",
  "3×3 in tiles": "direct_tiles",
  "3×3 by 8 lanes": "direct_lanes",
  "3×3 by 16 lanes": "direct_lanes",
  "3×3 stride 2": "direct",
  "3×3 stride 2 by 16 lanes": "direct",
  "1×1": "direct",
  "1×1 by 8 lanes": "direct_lanes",
  "1×1 by 16 lanes": "direct_lanes",
  any: "generic",
};

const hasRows = (g: Geometry) => g.w % 32 === 0;

/** Output channels of a panel that a subgroup takes. */
export const LANES_WIDTH = 32;

/**
 * The fast kernels that a convolution to so many channels fits, the fastest by measurement first: by
 * lanes, if they need not take many channels that are not there. Of the others, on vectors of 16
 * lanes rows of 32 pixels, whose code fits the instruction cache, on 8 tiles.
 */
export function fastShapes(g: Geometry, channels: number, device: DeviceKind): Shape[] {
  const shape = fastShape(g, device);
  if (!shape) return [];
  const lanes = subgroupLanes(device);
  if (shape === "1×1") return lanes ? [`1×1 by ${lanes} lanes`, shape] : [shape];
  if (shape === "3×3 stride 2") return [lanes === 16 ? "3×3 stride 2 by 16 lanes" : shape];
  if (shape !== "3×3") return [shape];
  const tiles: Shape[] = hasRows(g) ? ["3×3 in tiles"] : [];
  const others: Shape[] = device.lanes === 16 ? [shape, ...tiles] : [...tiles, shape];
  if (!lanes) return others;
  const byLanes: Shape = `3×3 by ${lanes} lanes`;
  const taken = Math.ceil(channels / LANES_WIDTH) * LANES_WIDTH;
  return taken <= 1.1 * channels ? [byLanes, ...others] : [...others, byLanes];
}

/** Which of the fast kernels a convolution fits, if any. */
export function fastShape(g: Geometry, device: DeviceKind): Shape | undefined {
  if (!device.software) return undefined;
  const same = g.stride === 1 && g.ho === g.h && g.wo === g.w;
  if (g.kh === 1 && g.kw === 1) {
    return same && g.top === 0 && g.left === 0 && g.h * g.w % 4 === 0 ? "1×1" : undefined;
  }
  if (g.kh !== 3 || g.kw !== 3 || g.top !== 1 || g.left !== 1) return undefined;
  if (same) return g.w % 4 === 0 ? "3×3" : undefined;
  return g.stride === 2 && g.w % 8 === 0 && g.wo === g.w / 2 ? "3×3 stride 2" : undefined;
}

interface Tiling {
  readonly kernel: KernelSource;
  readonly taps: number;
  readonly width: 8 | 16 | typeof LANES_WIDTH;
  /** Input channels that the kernel takes at a time. */
  readonly together?: number;
  readonly params: Readonly<Record<string, number>>;
  /** Invocations for a panel, or workgroups of so many invocations. */
  readonly work: number | readonly [number, number];
  readonly workgroup?: number;
  /** Floats stored at once. */
  readonly store: 1 | "staged 4";
}

function lanesOf(shape: Shape): SubgroupLanes | undefined {
  if (shape.endsWith("by 8 lanes")) return 8;
  return shape.endsWith("by 16 lanes") ? 16 : undefined;
}

function tiling(g: Geometry, shape: Shape, transposed: boolean): Tiling {
  const { n, h, w, ho, wo } = g;
  if (shape === "any") {
    const { ci: _ci, co: _co, ...params } = geometryParams(g);
    return {
      kernel: ANY,
      taps: g.kh * g.kw,
      width: 8,
      params,
      work: n * ho * Math.ceil(wo / 4),
      store: 1,
    };
  }
  const lanes = lanesOf(shape);
  if (shape === "1×1" || shape === "1×1 by 8 lanes" || shape === "1×1 by 16 lanes") {
    return {
      kernel: lanes ? POINTWISE_BY_LANES[lanes] : POINTWISE,
      taps: 1,
      width: 16,
      together: lanes ? 4 : 2,
      params: { batch: n, area4: h * w / 4 },
      work: n * Math.ceil(h * w / 16),
      store: "staged 4",
    };
  }
  const isStride2 = shape === "3×3 stride 2" || shape === "3×3 stride 2 by 16 lanes";
  if (lanes && !isStride2) {
    return {
      kernel: BY_LANES[lanes],
      taps: 9,
      width: LANES_WIDTH,
      params: { h, w4: w / 4 },
      work: [Math.ceil(Math.ceil(w / 8) * Math.ceil(h / 4) * 8 / lanes), n],
      workgroup: lanes,
      store: "staged 4",
    };
  }
  if (shape === "3×3" || shape === "3×3 in tiles") {
    const isWide = shape === "3×3" && hasRows(g);
    const [kernel, columns, rows] = isWide ? [WIDE, 32, 1] as const : [DIRECT, 8, 4] as const;
    return {
      kernel,
      taps: 9,
      width: 8,
      params: { batch: n, h, w4: w / 4 },
      work: n * Math.ceil(w / columns) * Math.ceil(h / rows),
      store: "staged 4",
    };
  }
  return {
    kernel: transposed ? BACKWARD_DATA_STRIDE_2[lanes ?? "alone"] : STRIDE_2,
    taps: 9,
    width: 8,
    params: { batch: n, h, w4: w / 4, ho, wo4: wo / 4 },
    work: n * (wo / 4) * Math.ceil((transposed ? h : ho) / 4),
    store: "staged 4",
  };
}

/** y from x (input 0) and the weight (input 1). */
export function forwardDirect(g: Geometry, shape: Shape, epilogue: Epilogue): Variant {
  return {
    name: NAMES[shape],
    exact: true,
    build: () => build(tiling(g, shape, false), g.ci, g.co, false, epilogue),
  };
}

/** What a group norm is of: statistics [N,G,2] of x, weight and bias [Ci]. */
export interface Norm {
  readonly groups: number;
  readonly stats: BufferRef;
  readonly weight: BufferRef;
  readonly bias: BufferRef;
}

/**
 * y from x (input 0), normalised and through SiLU as it is read, and the weight (input 1). Only by
 * lanes, which have x read by few.
 */
export function forwardNormalised(
  g: Geometry,
  norm: Norm,
  lanes: SubgroupLanes,
  epilogue: Epilogue,
) {
  const shape: Shape = `3×3 by ${lanes} lanes`;
  const { scratch: bytes, calls: [pack, convolve] } = build(
    tiling(g, shape, false),
    g.ci,
    g.co,
    false,
    epilogue,
  );
  const { stats, weight, bias } = norm;
  const coefficients = scratch(bytes.length);
  return {
    scratch: [...bytes, 16 * g.n * g.ci],
    calls: [
      {
        kernel: COEFFICIENTS,
        params: { rows: g.n * g.ci, channels: g.ci, group_channels: g.ci / norm.groups },
        bindings: { stats, weight, bias, y: coefficients },
        workgroups: gridFor(g.n * g.ci, ELEMENTWISE),
        note: "coefficients",
      },
      pack,
      {
        ...convolve,
        kernel: NORMALISED_BY_LANES[lanes],
        bindings: { ...convolve.bindings, coefficients },
      },
    ],
  } satisfies Lowering;
}

/** dx from dy (input 0) and the weight (input 1): a convolution with the kernel flipped. */
export function backwardDataDirect(g: Geometry, shape: Shape, epilogue: Epilogue): Variant {
  return {
    name: NAMES[shape],
    exact: true,
    build: () => build(tiling(g, shape, true), g.co, g.ci, true, epilogue),
  };
}

function build(
  { kernel, taps, width, together, params, work, workgroup = WORKGROUP, store }: Tiling,
  ci: number,
  co: number,
  transposed: boolean,
  { bias, channel, residual, dtype }: Epilogue,
) {
  const [x, weight] = [input(0), input(1)];
  const panels = panelsOf(
    { ci, co, taps, width, together, transposed, weight, bias },
    scratch(),
  );
  const groups = typeof work === "number" ? [Math.ceil(work / workgroup), 1] as const : work;
  return {
    scratch: [panels.bytes],
    calls: [panels.pack, {
      kernel,
      constants: { WORKGROUP: workgroup },
      specialize: storedAs(dtype, store),
      params: {
        ...params,
        ci,
        co,
        panel_size: panels.size4,
        has_extra: residual ? 1 : 0,
        has_channel: channel ? 1 : 0,
      },
      bindings: {
        x,
        panels: scratch(),
        extra: residual ?? x,
        channel: channel ?? weight,
        y: output(),
      },
      workgroups: [panels.count, ...groups],
    }],
  } satisfies Lowering;
}
