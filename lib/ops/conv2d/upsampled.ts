/**
 * 3×3 convolutions of an image with each pixel doubled, from the image as it is: each output pixel
 * meets 2×2 pixels of it, with sums of weights, 4 products instead of 9. On software Vulkan, as the
 * kernels in direct.ts and weight.ts.
 */

import {
  type BufferRef,
  gridFor,
  input,
  type KernelCall,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
import type { DeviceProfile, Variant } from "../../graph/op.ts";
import type { DType } from "../../graph/tensor.ts";
import { ELEMENTWISE, kernel, storedAs, type SubgroupLanes } from "../common/checks.ts";
import {
  byLanes,
  EIGHTS_ALIKE,
  type Sharing,
  sharingOn,
  STORES,
  TEXELS,
} from "../common/subgroup_sharing.ts";
import { EIGHT_TAPS, type Epilogue } from "./direct.ts";
import type { Geometry } from "./geometry.ts";
import { LANE_PANEL, STAGED } from "./panels.ts";
import { chunkRows, sliced } from "./weight.ts";
import packText from "../../../kernels/conv2d/pack_upsampled.wgsl" with { type: "text" };
import forwardText from "../../../kernels/conv2d/upsampled.wgsl" with { type: "text" };
import dataText from "../../../kernels/conv2d/upsampled_backward_data.wgsl" with { type: "text" };
import dataLanesText from "../../../kernels/conv2d/upsampled_backward_data_lanes.wgsl" with {
  type: "text",
};
import tileText from "../../../kernels/lib/doubled_tile.wgsl" with { type: "text" };
import panelAlone from "../../../kernels/lib/panel_alone.wgsl" with { type: "text" };
import weightText from "../../../kernels/conv2d/upsampled_backward_weight.wgsl" with {
  type: "text",
};
import weightLanesText from "../../../kernels/conv2d/upsampled_backward_weight_lanes.wgsl" with {
  type: "text",
};
import sixteenText from "../../../kernels/lib/sixteen.wgsl" with { type: "text" };
import pixelsText from "../../../kernels/lib/sixteen_pixels.wgsl" with { type: "text" };
import sixteenLanesText from "../../../kernels/lib/sixteen_lanes.wgsl" with { type: "text" };
import sumsText from "../../../kernels/lib/doubled_sums.wgsl" with { type: "text" };
import unfoldText from "../../../kernels/conv2d/unfold_upsampled.wgsl" with { type: "text" };

const PACK = kernel("conv2d/pack_upsampled.wgsl", packText, STAGED);
const FORWARD = kernel(
  "conv2d/upsampled.wgsl",
  forwardText,
  ...EIGHT_TAPS,
  panelAlone,
  STORES.alone,
);
/** With weights that a subgroup reads once. */
const FORWARD_BY_LANES = byLanes(
  "conv2d/upsampled.wgsl",
  forwardText,
  (lanes) => [...EIGHT_TAPS, ...LANE_PANEL[lanes], STORES[lanes]],
);
/** How rows of dy are read: by each invocation for itself, or by eight once for all of them. */
const ROWS_ALONE = [STAGED, sixteenText, pixelsText] as const;
const rowsByLanes = (lanes: SubgroupLanes) =>
  [STAGED, ...EIGHTS_ALIKE[lanes], TEXELS, sixteenText, sixteenLanesText] as const;
const BACKWARD_DATA = kernel(
  "conv2d/upsampled_backward_data.wgsl",
  dataText,
  ...ROWS_ALONE,
  panelAlone,
  STORES.alone,
  tileText,
);
const BACKWARD_DATA_BY_LANES = byLanes(
  "conv2d/upsampled_backward_data_lanes.wgsl",
  dataLanesText,
  (lanes) => [...rowsByLanes(lanes), STORES[lanes], tileText],
);
const BACKWARD_WEIGHT = kernel(
  "conv2d/upsampled_backward_weight.wgsl",
  weightText,
  ...ROWS_ALONE,
  sumsText,
);
const BACKWARD_WEIGHT_BY_LANES = byLanes(
  "conv2d/upsampled_backward_weight_lanes.wgsl",
  weightLanesText,
  (lanes) => [...rowsByLanes(lanes), sumsText],
);
const UNFOLD = kernel("conv2d/unfold_upsampled.wgsl", unfoldText);

const WORKGROUP = 32;

/** x [n,ci,h,w] · weight [co,ci,3,3] → y [n,co,2h,2w]. */
export type Upsampled = Pick<Geometry, "n" | "ci" | "h" | "w" | "co">;

export const fitsDirect = ({ w }: Upsampled, { software }: DeviceProfile): boolean =>
  software && w % 4 === 0;

const nameOf = (sharing: Sharing) => sharing === "alone" ? "direct" : "direct_lanes";

/** y from x (input 0) and the weight (input 1). */
export const forwardUpsampled = (
  g: Upsampled,
  { bias, dtype }: Pick<Epilogue, "bias" | "dtype">,
  device: DeviceProfile,
): Variant[] =>
  sharingOn(device).map((sharing) => ({
    name: nameOf(sharing),
    exact: true,
    build: () => {
      const panels = panelsOf(g, false, bias);
      return {
        scratch: [panels.bytes],
        calls: [panels.pack, {
          kernel: sharing === "alone" ? FORWARD : FORWARD_BY_LANES[sharing],
          constants: { WORKGROUP },
          specialize: storedAs(dtype, "staged 4"),
          params: { ...sizes(g), panel_size: panels.size4 },
          bindings: { x: input(0), panels: scratch(), y: output() },
          workgroups: [panels.count, Math.ceil(tiles(g, 2) / WORKGROUP), 1],
        }],
      };
    },
  }));

/** dx from dy (input 0) and the weight (input 1). */
export const backwardDataUpsampled = (
  g: Upsampled,
  dtype: DType,
  device: DeviceProfile,
): Variant[] =>
  sharingOn(device).map((sharing) => ({
    name: nameOf(sharing),
    exact: true,
    build: () => {
      const { pack, count, size4, bytes } = panelsOf(g, true);
      const shared = {
        specialize: storedAs(dtype, "staged 4"),
        bindings: { dy: input(0), panels: scratch(), dx: output() },
      };
      const params = { ...sizes(g), panel_size: size4 };
      const call: KernelCall = sharing === "alone"
        ? {
          ...shared,
          kernel: BACKWARD_DATA,
          constants: { WORKGROUP },
          params,
          workgroups: [count, Math.ceil(tiles(g, 2) / WORKGROUP), 1],
        }
        : {
          ...shared,
          kernel: BACKWARD_DATA_BY_LANES[sharing],
          constants: { WORKGROUP: sharing },
          params: { ...params, panels: count },
          workgroups: [Math.ceil(count / 2), Math.ceil(tiles(g, 4) / (sharing / 8)), 1],
        };
      return { scratch: [bytes], calls: [pack, call] };
    },
  }));

/** The weight's gradient from x (input 0) and dy (input 1). */
export const backwardWeightUpsampled = (g: Upsampled, device: DeviceProfile): Variant[] =>
  sharingOn(device).map((sharing) => ({
    name: nameOf(sharing),
    exact: true,
    build: () => {
      const { n, ci, h, w, co } = g;
      const together = sharing !== "alone";
      const strips = Math.ceil(w / 8);
      const { chunks, ...chunk } = chunkRows(n, h, strips, together ? 1 : device.lanes);
      const sums = sliced({
        kernel: together ? BACKWARD_WEIGHT_BY_LANES[sharing] : BACKWARD_WEIGHT,
        params: { batch: n, h, w4: w / 4, strips, ...chunk },
        slices: strips * chunks,
        blocks: together ? [4, 16] : [2, 8],
        ci,
        co,
        taps: 16,
        lanes: device.lanes,
        together,
        perWorkgroup: together ? sharing / 8 : 1,
        target: scratch(1),
      });
      return {
        scratch: [...sums.scratch, co * ci * 64],
        calls: [...sums.calls, unfold(g, false, scratch(1))],
      };
    },
  }));

/** dw from the gradient of the folded 4×4 kernel, [Co,Ci,4,4] or transposed [Ci,Co,4,4]. */
export const unfold = (
  { ci, co }: Upsampled,
  transposed: boolean,
  dk: BufferRef,
): KernelCall => ({
  kernel: UNFOLD,
  params: { count: co * ci, co, ci, transposed: transposed ? 1 : 0 },
  bindings: { dk, dw: output() },
  workgroups: gridFor(co * ci, ELEMENTWISE),
  note: "unfold weights",
});

const sizes = ({ n, h, w, ci, co }: Upsampled) => ({ batch: n, h, w4: w / 4, ci, co });

/** Tiles of 8 pixels of so many rows of the small images. */
const tiles = ({ n, h, w }: Upsampled, rows: number): number =>
  n * Math.ceil(w / 8) * Math.ceil(h / rows);

/** The folded weight in panels of 8 channels, into scratch 0: 2 vec4 of biases, then weights. */
function panelsOf({ ci, co }: Upsampled, transposed: boolean, bias?: BufferRef) {
  const size4 = 2 + 8 * (transposed ? 4 * co : 2 * ci);
  const count = transposed ? Math.ceil(ci / 8) : 2 * Math.ceil(co / 8);
  const pack: KernelCall = {
    kernel: PACK,
    params: {
      rows: size4,
      shift: transposed ? 2 : 1,
      weight_ci: ci,
      has_bias: bias ? 1 : 0,
      transposed: transposed ? 1 : 0,
    },
    bindings: { weight: input(1), bias: bias ?? input(1), panels: scratch() },
    workgroups: [Math.ceil(size4 / 64), count, 1],
    note: "pack weights",
  };
  return { pack, count, size4, bytes: count * size4 * 16 };
}

/** `calls` with one tensor of the node's in place of another. */
export function rebound(
  calls: readonly KernelCall[],
  from: BufferRef,
  to: BufferRef,
): readonly KernelCall[] {
  const moved = (ref: BufferRef): BufferRef =>
    ref.kind === from.kind && ref.index === from.index
      ? { ...ref, kind: to.kind, index: to.index }
      : ref;
  return calls.map((call) => ({
    ...call,
    bindings: Object.fromEntries(
      Object.entries(call.bindings).map(([name, ref]) => [name, moved(ref)]),
    ),
  }));
}
