/** Which kernels can run a convolution and its gradients, the one that should be fastest first. */

import type { DeviceProfile, LowerContext, Variant } from "../../graph/op.ts";
import { subgroupLanes } from "../common/checks.ts";
import { sharingOn } from "../common/subgroup_sharing.ts";
import { backwardDataDirect, fastShape, fastShapes, forwardDirect } from "./direct.ts";
import { epilogueOf } from "./extras.ts";
import { backwardDataGemm, backwardWeightGemm, forwardGemm } from "./gemm.ts";
import { backwardDataGeneric, backwardWeightGeneric } from "./generic.ts";
import {
  type Conv2dAttrs,
  type Conv2dBackwardDataAttrs,
  type Conv2dBackwardWeightAttrs,
  type Geometry,
  geometry,
} from "./geometry.ts";
import { backwardDataTiled, backwardWeightTiled, fitsTiles, forwardTiled } from "./tiled.ts";
import { backwardWeightByLanes, backwardWeightDirect } from "./weight.ts";
import {
  backwardDataWinograd,
  fitsTiledWinograd,
  fitsWinograd,
  forwardWinograd,
} from "./winograd.ts";
import { backwardWeightWinograd } from "./winograd_weight.ts";

/** Variants made for software Vulkan and for real GPUs, the device's own kind first. */
function byDevice(device: DeviceProfile, software: Variant[], hardware: Variant[]): Variant[] {
  return device.software ? [...software, ...hardware] : [...hardware, ...software];
}

/** The fewest pairs of channels, and pixels of a batch, with which Winograd's kernels are faster. */
interface Threshold {
  readonly pairs: number;
  readonly pixels: number;
  /** Of an image. */
  readonly width: number;
}

/**
 * By measurement: on vectors of 8 lanes, with many channels and enough pixels. On 16 lanes the
 * transforms, bound by memory, never pay.
 */
function winogradThresholds(device: DeviceProfile): { images?: Threshold; weights?: Threshold } {
  if (device.lanes !== 8) return {};
  if (!subgroupLanes(device)) return { images: { pairs: 10_000, pixels: 8192, width: 16 } };
  // Narrower images would gain too; their steps are so short that the compiling costs more.
  return {
    images: { pairs: 9_000, pixels: 2048, width: 32 },
    weights: { pairs: 6_000, pixels: 2048, width: 32 },
  };
}

const winogradWins = (g: Geometry, least?: Threshold): boolean =>
  least !== undefined && Math.min(g.ci, g.co) >= 64 && g.ci * g.co >= least.pairs &&
  g.w >= least.width && g.n * g.h * g.w >= least.pixels;

/** What there is of the two, Winograd's variants first where measurements say that they are faster. */
const fasterFirst = (direct: readonly Variant[], winograd: readonly Variant[], isFirst: boolean) =>
  isFirst ? [...winograd, ...direct] : [...direct, ...winograd];

export function lowerConv2d(
  { inputs: [x, weight], attrs, device }: LowerContext<Conv2dAttrs>,
): Variant[] {
  const g = geometry(x.shape, weight.shape, attrs.stride, attrs.padding);
  const epilogue = epilogueOf(attrs);
  const fast = fastShapes(g, g.co, device);
  return byDevice(device, [
    ...fasterFirst(
      fast.map((shape) => forwardDirect(g, shape, epilogue)),
      fast.includes("3×3") && fitsWinograd(g, device)
        ? sharingOn(device).map((products) => forwardWinograd(g, products, x.dtype, epilogue))
        : [],
      winogradWins(g, winogradThresholds(device).images),
    ),
    forwardDirect(g, "any", epilogue),
  ], [
    ...fitsTiles(g, device) ? forwardTiled(g, x.dtype, epilogue) : [],
    forwardGemm(g, x.dtype, epilogue),
    ...fitsTiledWinograd(g, device) ? [forwardWinograd(g, "tiled", x.dtype, epilogue)] : [],
  ]);
}

export function lowerConv2dBackwardData(
  { inputs: [dy, weight], attrs, device }: LowerContext<Conv2dBackwardDataAttrs>,
): Variant[] {
  const g = geometry(attrs.inputShape, weight.shape, attrs.stride, attrs.padding);
  const epilogue = epilogueOf(attrs);
  const fast = fastShapes(g, g.ci, device);
  return byDevice(device, [
    ...fasterFirst(
      fast.map((shape) => backwardDataDirect(g, shape, epilogue)),
      fast.includes("3×3") && fitsWinograd(g, device)
        ? sharingOn(device).map((products) => backwardDataWinograd(g, products, dy.dtype, epilogue))
        : [],
      winogradWins(g, winogradThresholds(device).images),
    ),
    backwardDataGeneric(g, epilogue),
  ], [
    ...fitsTiles(g, device) ? backwardDataTiled(g, dy.dtype, epilogue) : [],
    backwardDataGemm(g, dy.dtype, epilogue),
    ...fitsTiledWinograd(g, device) ? [backwardDataWinograd(g, "tiled", dy.dtype, epilogue)] : [],
  ]);
}

export function lowerConv2dBackwardWeight(
  { inputs: [x, dy], attrs: { stride, padding, weightShape }, device }: LowerContext<
    Conv2dBackwardWeightAttrs
  >,
): Variant[] {
  const g = geometry(x.shape, weightShape, stride, padding);
  const types = [x.dtype, dy.dtype] as const;
  const shape = fastShape(g, device);
  return byDevice(device, [
    ...fasterFirst(
      [
        ...shape ? backwardWeightByLanes(g, shape, device) : [],
        ...shape ? [backwardWeightDirect(g, shape, device.lanes)] : [],
      ],
      shape === "3×3" && fitsWinograd(g, device)
        ? sharingOn(device).map((products) =>
          backwardWeightWinograd(g, products, device.lanes, types)
        )
        : [],
      winogradWins(g, winogradThresholds(device).weights),
    ),
    backwardWeightGeneric(g),
  ], [
    ...fitsTiles(g, device) ? backwardWeightTiled(g, x.dtype, dy.dtype, device) : [],
    backwardWeightGemm(g, x.dtype, dy.dtype),
    ...fitsTiledWinograd(g, device)
      ? [backwardWeightWinograd(g, "tiled", device.lanes, types)]
      : [],
  ]);
}
