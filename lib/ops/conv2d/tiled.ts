/** 3×3 convolutions in tiles of pixels in workgroup memory: for real GPUs. */

import { input, type Lowering, output, scratch } from "../../graph/kernel_call.ts";
import type { DeviceProfile, Variant } from "../../graph/op.ts";
import type { DType } from "../../graph/tensor.ts";
import { storedAs } from "../common/checks.ts";
import { storageKernel } from "../common/vectorized_access.ts";
import type { Epilogue, Norm } from "./direct.ts";
import type { Geometry } from "./geometry.ts";
import { sumSlices } from "./weight.ts";
import tapsText from "../../../kernels/lib/taps_3x3.wgsl" with { type: "text" };
import storedText from "../../../kernels/lib/pixels_as_stored.wgsl" with { type: "text" };
import normalisedText from "../../../kernels/lib/pixels_normalised.wgsl" with {
  type: "text",
};
import highText from "../../../kernels/lib/tile_4x2.wgsl" with { type: "text" };
import flatText from "../../../kernels/lib/tile_4x1.wgsl" with { type: "text" };
import tiledText from "../../../kernels/conv2d/tiled_3x3.wgsl" with { type: "text" };
import weightText from "../../../kernels/conv2d/backward_weight_tiled_3x3.wgsl" with {
  type: "text",
};

const byRows = (pixels: string) => ({
  1: storageKernel(4, "conv2d/tiled_3x3.wgsl", tiledText, tapsText, pixels, flatText),
  2: storageKernel(4, "conv2d/tiled_3x3.wgsl", tiledText, tapsText, pixels, highText),
});
const TILED = byRows(storedText);
const NORMALISED = byRows(normalisedText);
const WEIGHT = storageKernel(4, "conv2d/backward_weight_tiled_3x3.wgsl", weightText, tapsText);

/** What a workgroup takes. */
interface Tile {
  /** Pixels' rows that an invocation sums up. */
  readonly rows: 1 | 2;
  /** Segments of 4 pixels by so many rows. */
  readonly segments: 16 | 32 | 64;
  /** Blocks of 4 output channels. */
  readonly groups: 1 | 4 | 8;
}

const LARGE: Tile = { rows: 2, segments: 32, groups: 8 };
const SMALL: Tile = { rows: 1, segments: 16, groups: 4 };
/** For 4 output channels or fewer. */
const NARROW: Tile = { rows: 2, segments: 64, groups: 1 };

/** Workgroups of the large tile that keep a large GPU, of some 130 multiprocessors, busy. */
const ENOUGH = 256;

/** Vec4s across a tile: no wider than rows of so many need. */
const columnsOf = (w4: number) => w4 > 4 ? 8 : w4 > 2 ? 4 : 2;

function gridOf({ n, h, w, co }: Geometry, { rows, segments, groups }: Tile) {
  const w4 = w / 4;
  // A tile of 64 segments two vec4s wide would be too high for 16 KiB of workgroup memory.
  const columns = Math.max(columnsOf(w4), segments > 32 ? 4 : 2);
  const height = segments / columns * rows;
  return {
    constants: { COLUMNS: columns, HEIGHT: height, GROUPS: groups },
    workgroups: [
      Math.ceil(co / (4 * groups)),
      Math.ceil(w4 / columns) * Math.ceil(h / height),
      n,
    ] as [number, number, number],
  };
}

/** Whether the kernels are for it: 3×3, stride 1, padding 1, whole vec4s in a row. */
export function isTileable(g: Geometry): boolean {
  const is3x3 = g.kh === 3 && g.kw === 3 && g.top === 1 && g.left === 1 && g.stride === 1;
  return is3x3 && g.ho === g.h && g.wo === g.w && g.w % 4 === 0;
}

/** … and the device has so many workgroups. */
export const fitsTiles = (g: Geometry, { limits }: DeviceProfile): boolean =>
  isTileable(g) &&
  gridOf(g, SMALL).workgroups.every((d) => d <= limits.maxComputeWorkgroupsPerDimension);

/** y from x (input 0) and the weight (input 1). */
export const forwardTiled = (g: Geometry, x: DType, epilogue: Epilogue): Variant[] =>
  tiles(g).map(([name, tile]) => ({
    name,
    exact: true,
    build: () => build(g, tile, false, x, epilogue),
  }));

/**
 * y from x (input 0), normalised and through SiLU as it is read, and the weight (input 1), where the
 * device allows as many buffers.
 */
export function normalisedTiled(
  g: Geometry,
  x: DType,
  epilogue: Epilogue,
  { groups, stats, weight, bias }: Norm,
  device: DeviceProfile,
): Variant[] {
  const { maxStorageBuffersPerShaderStage: buffers } = device.limits;
  if (!fitsTiles(g, device) || buffers < 9) return [];
  return tiles(g).map(([name, tile]) => ({
    name,
    exact: true,
    build() {
      const { calls: [call] } = build(g, tile, false, x, epilogue);
      return {
        calls: [{
          ...call,
          kernel: NORMALISED[tile.rows],
          constants: { ...call.constants, GROUP_CHANNELS: g.ci / groups },
          bindings: { ...call.bindings, stats, norm_weight: weight, norm_bias: bias },
        }],
      };
    },
  }));
}

/** dx from dy (input 0) and the weight (input 1): a convolution with the kernel flipped. */
export const backwardDataTiled = (g: Geometry, dy: DType, epilogue: Epilogue): Variant[] => {
  const flipped = { ...g, ci: g.co, co: g.ci };
  return tiles(flipped).map(([name, tile]) => ({
    name,
    exact: true,
    build: () => build(flipped, tile, true, dy, epilogue),
  }));
};

/** Large tiles read less and small ones keep more multiprocessors busy. */
function tiles(g: Geometry): [name: string, tile: Tile][] {
  const large = ["tiled", g.co <= 4 ? NARROW : LARGE] as [string, Tile];
  const small = ["small_tiles", SMALL] as [string, Tile];
  const [across, down, images] = gridOf(g, large[1]).workgroups;
  return across * down * images < ENOUGH ? [small, large] : [large, small];
}

function build(
  g: Geometry,
  tile: Tile,
  transposed: boolean,
  x: DType,
  { bias, channel, residual, dtype }: Epilogue,
) {
  const { ci, co, h, w } = g;
  return {
    calls: [{
      kernel: TILED[tile.rows],
      ...gridOf(g, tile),
      specialize: { StoredX: `vec4<${x}>`, ...storedAs(dtype, 4) },
      params: {
        ci,
        h,
        w4: w / 4,
        co,
        co_step: transposed ? 9 : 9 * ci,
        ci_step: transposed ? 9 * co : 9,
        transposed: transposed ? 1 : 0,
        has_bias: bias ? 1 : 0,
        has_channel: channel ? 1 : 0,
        has_residual: residual ? 1 : 0,
      },
      bindings: {
        x: input(0),
        weight: input(1),
        bias: bias ?? input(1),
        channel: channel ?? input(1),
        residual: residual ?? input(1),
        y: output(),
      },
    }],
  } satisfies Lowering;
}

/** Rows of up to 32 pixels that a workgroup sums up at least, and at most if it can be. */
const ROWS = [8, 128] as const;
/** Bytes of partial sums. */
const MOST_PARTIAL = 2 ** 26;

/** dweight from x (input 0) and dy (input 1), where the device has so many workgroups. */
export function backwardWeightTiled(
  g: Geometry,
  x: DType,
  dy: DType,
  { limits }: DeviceProfile,
): Variant[] {
  const { n, ci, co, h, w } = g;
  const w4 = w / 4;
  const columns = columnsOf(w4);
  // Of few channels a workgroup takes fewer, of the other kind more.
  const inputs = ci <= 4 ? 4 : 16;
  const groups = co <= 4 ? 1 : ci <= 4 ? 16 : 8;
  const blocks = [Math.ceil(ci / inputs), Math.ceil(co / (4 * groups))] as const;
  const strips = Math.ceil(w4 / columns);
  const row4 = Math.ceil(ci * 9 / 4);
  const slice4 = co * row4;
  const most = Math.floor(MOST_PARTIAL / (16 * slice4 * strips));
  const wanted = Math.ceil(4 * ENOUGH / (blocks[0] * blocks[1] * strips));
  const cut = cutRows(n, h, Math.max(1, Math.min(most, wanted)));
  const slices = strips * Math.ceil(n / cut.images) * cut.row_chunks;
  if (slices > limits.maxComputeWorkgroupsPerDimension) return [];
  const build = (): Lowering => ({
    scratch: [16 * slices * slice4],
    calls: [
      {
        kernel: WEIGHT,
        constants: { COLUMNS: columns, GROUPS: groups, INPUTS: inputs },
        specialize: { StoredX: `vec4<${x}>`, StoredDy: `vec4<${dy}>` },
        params: { batch: n, ci, h, w4, co, row: 4 * row4, strips, ...cut },
        bindings: { x: input(0), dy: input(1), partial: scratch() },
        workgroups: [...blocks, slices],
        note: "partial sums",
      },
      sumSlices({ co, length: 9 * ci, row4, slice4, slices }, scratch(), output(), "storage"),
    ],
  });
  return [{ name: "tiled", exact: true, build }];
}

/** n images of h rows in about so many chunks: of some images, or of some rows of one. */
function cutRows(n: number, h: number, chunks: number) {
  const images = Math.min(Math.ceil(n / chunks), Math.max(1, Math.floor(ROWS[1] / h)));
  const parts = Math.floor(chunks / Math.ceil(n / images));
  const wanted = Math.max(1, Math.min(parts, Math.ceil(h / ROWS[0])));
  const rows = Math.min(Math.ceil(h / wanted), ROWS[1]);
  return { images, rows, row_chunks: Math.ceil(h / rows) };
}
