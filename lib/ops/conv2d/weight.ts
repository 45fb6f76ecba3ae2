/** Weight gradients on software Vulkan: sums over slices of the image, then over the slices. */

import {
  type BufferRef,
  gridFor,
  input,
  type KernelCall,
  type KernelSource,
  type Lowering,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
import type { DeviceProfile, Variant } from "../../graph/op.ts";
import { kernel, type SubgroupLanes, subgroupLanes } from "../common/checks.ts";
import { byLanes, EIGHTS_ALIKE, SHARED_TEXELS } from "../common/subgroup_sharing.ts";
import type { Shape } from "./direct.ts";
import type { Geometry } from "./geometry.ts";
import { LANE_DOTS, STAGED } from "./panels.ts";
import pixelsText from "../../../kernels/lib/eight_pixels.wgsl" with { type: "text" };
import rowsText from "../../../kernels/lib/channel_rows.wgsl" with { type: "text" };
import rows16Text from "../../../kernels/lib/channel_rows_16.wgsl" with { type: "text" };
import sumsText from "../../../kernels/lib/sums_3x3.wgsl" with { type: "text" };
import sameText from "../../../kernels/conv2d/backward_weight_3x3.wgsl" with { type: "text" };
import lanesText from "../../../kernels/conv2d/backward_weight_3x3_lanes.wgsl" with {
  type: "text",
};
import strideText from "../../../kernels/conv2d/backward_weight_3x3_stride2.wgsl" with {
  type: "text",
};
import pointText from "../../../kernels/conv2d/backward_weight_pointwise.wgsl" with {
  type: "text",
};
import pointLanesText from "../../../kernels/conv2d/backward_weight_pointwise_lanes.wgsl" with {
  type: "text",
};
import readStaged from "../../../kernels/lib/read_x_staged.wgsl" with { type: "text" };
import readVec4 from "../../../kernels/lib/read_x_vec4.wgsl" with { type: "text" };
import sumText from "../../../kernels/conv2d/sum_slices.wgsl" with { type: "text" };

const ROWS_TEXT = { 8: rowsText, 16: rows16Text };
const SAME = kernel("conv2d/backward_weight_3x3.wgsl", sameText, STAGED, pixelsText, sumsText);
const SAME_BY_LANES = byLanes(
  "conv2d/backward_weight_3x3_lanes.wgsl",
  lanesText,
  (lanes) => [STAGED, ...SHARED_TEXELS[lanes], ROWS_TEXT[lanes], sumsText],
);
const STRIDE_2 = kernel("conv2d/backward_weight_3x3_stride2.wgsl", strideText, STAGED, sumsText);
const POINTWISE = kernel("conv2d/backward_weight_pointwise.wgsl", pointText, STAGED);
const POINTWISE_BY_LANES = byLanes(
  "conv2d/backward_weight_pointwise_lanes.wgsl",
  pointLanesText,
  (lanes) => [STAGED, ...EIGHTS_ALIKE[lanes], ...LANE_DOTS],
);
const SUM_SLICES = {
  texture: kernel("conv2d/sum_slices.wgsl", sumText, STAGED, readStaged),
  storage: kernel("conv2d/sum_slices.wgsl", sumText, readVec4),
};

/** Rows that one invocation sums up: more of them cost accuracy, fewer cost memory. */
const ROWS = 128;

export function backwardWeightDirect(g: Geometry, shape: Shape, lanes: number): Variant {
  return {
    name: "direct",
    exact: true,
    build: () => shape === "1×1" ? buildPointwise(g, lanes) : buildRows(g, shape, lanes),
  };
}

/** By subgroups whose invocations share the pixels of x. */
export function backwardWeightByLanes(g: Geometry, shape: Shape, device: DeviceProfile): Variant[] {
  const lanes = subgroupLanes(device);
  if (!lanes || shape !== "1×1" && shape !== "3×3") return [];
  const build = shape === "1×1" ? buildPointwiseByLanes : buildRowsByLanes;
  return [{ name: "direct_lanes", exact: true, build: () => build(g, lanes) }];
}

/**
 * How N·H rows are cut: `images` images, or one image in `row_chunks` parts of `rows` rows. Small
 * images are cut finer, so that with their `strips` all lanes of a workgroup have work.
 */
export function chunkRows(n: number, h: number, strips: number, lanes: number) {
  let row_chunks = Math.ceil(h / ROWS);
  let images = Math.min(n, Math.max(1, Math.floor(ROWS / h)));
  const slices = () => strips * Math.ceil(n / images) * row_chunks;
  while (slices() < lanes && images > 1) images = Math.ceil(images / 2);
  while (slices() < lanes && row_chunks < h) row_chunks = Math.min(h, 2 * row_chunks);
  const rows = Math.ceil(h / row_chunks);
  row_chunks = Math.ceil(h / rows);
  return { images, rows, row_chunks, chunks: Math.ceil(n / images) * row_chunks };
}

function buildRows(
  { n, ci, h, w, co, ho, wo }: Geometry,
  shape: Shape,
  lanes: number,
): Lowering {
  const same = shape === "3×3";
  const strips = Math.ceil(wo / (same ? 8 : 4));
  const { chunks, ...chunk } = chunkRows(n, ho, strips, lanes);
  const params: Record<string, number> = same
    ? { h, w4: w / 4, strips }
    : { h, w4: w / 4, ho, wo4: wo / 4 };
  return sliced({
    kernel: same ? SAME : STRIDE_2,
    params: { batch: n, ...params, ...chunk },
    slices: strips * chunks,
    blocks: [8, 4],
    ci,
    co,
    taps: 9,
    lanes,
  });
}

function buildRowsByLanes({ n, ci, h, w, co }: Geometry, lanes: SubgroupLanes): Lowering {
  const strips = Math.ceil(w / 16);
  const { chunks, ...chunk } = chunkRows(n, h, strips, 1);
  return sliced({
    kernel: SAME_BY_LANES[lanes],
    params: { batch: n, h, w4: w / 4, strips, ...chunk },
    slices: strips * chunks,
    blocks: [lanes, 8],
    ci,
    co,
    taps: 9,
    lanes,
    together: true,
  });
}

function buildPointwise({ n, ci, h, w, co }: Geometry, lanes: number): Lowering {
  const area4 = h * w / 4;
  const groups = n * area4;
  const rounds = Math.min(ROWS, Math.ceil(groups / lanes));
  return sliced({
    kernel: POINTWISE,
    params: { area4, groups, rounds },
    slices: Math.ceil(groups / (rounds * lanes)) * lanes,
    blocks: [16, 16],
    ci,
    co,
    taps: 1,
    lanes,
  });
}

function buildPointwiseByLanes(
  { n, ci, h, w, co }: Geometry,
  lanes: SubgroupLanes,
): Lowering {
  const area4 = h * w / 4;
  const all = Math.ceil(area4 / 4);
  const parts = Math.ceil(all / (ROWS / 4));
  const rounds = Math.ceil(all / parts);
  return sliced({
    kernel: POINTWISE_BY_LANES[lanes],
    params: { area4, parts, rounds },
    slices: n * parts,
    blocks: [32, 16],
    ci,
    co,
    taps: 1,
    lanes,
    together: true,
    perWorkgroup: lanes / 8,
  });
}

/** Sums over slices by `kernel` into scratch 0, then over the slices into `target`. */
export function sliced(spec: {
  kernel: KernelSource;
  params: Record<string, number>;
  slices: number;
  /** Output and input channels of an invocation. */
  blocks: readonly [number, number];
  ci: number;
  co: number;
  taps: number;
  lanes: number;
  /** Whether a workgroup, not an invocation, takes a slice. */
  together?: boolean;
  /** Blocks of input channels that a workgroup has, one if not given. */
  perWorkgroup?: number;
  target?: BufferRef;
}) {
  const { slices, blocks, ci, co, taps, lanes, together, perWorkgroup = 1, target } = spec;
  const [coBlocks, ciBlocks] = [Math.ceil(co / blocks[0]), Math.ceil(ci / blocks[1])];
  const row4 = ciBlocks * blocks[1] * taps / 4;
  const slice4 = coBlocks * blocks[0] * row4;
  return {
    scratch: [slices * slice4 * 16],
    calls: [
      {
        kernel: spec.kernel,
        constants: { WORKGROUP: lanes },
        params: {
          ...spec.params,
          ci,
          co,
          ci_blocks: ciBlocks,
          co_blocks: coBlocks,
          ...together ? {} : { slices },
        },
        bindings: { x: input(0), dy: input(1), partial: scratch() },
        workgroups: [
          Math.ceil(ciBlocks / perWorkgroup),
          coBlocks,
          together ? slices : Math.ceil(slices / lanes),
        ],
        note: "partial sums",
      },
      sumSlices({ co, length: ci * taps, row4, slice4, slices }, scratch(), target),
    ],
  } satisfies Lowering;
}

/**
 * Adds up the slices of `partial`, a slice being rows of `length` floats padded to `row4` vec4. Read as
 * software Vulkan likes it, or as GPUs do.
 */
export function sumSlices(
  params: {
    co: number;
    length: number;
    row4: number;
    slice4: number;
    slices: number;
  },
  partial = scratch(),
  target = output(),
  from: keyof typeof SUM_SLICES = "texture",
): KernelCall {
  return {
    kernel: SUM_SLICES[from],
    params,
    bindings: { x: partial, dw: target },
    workgroups: gridFor(params.co * params.row4, 32),
    note: "sum",
  };
}
