/** Libraries of kernels in which invocations of a subgroup hold values for each other. */

import type { KernelSource } from "../../graph/kernel_call.ts";
import type { DeviceProfile } from "../../graph/op.ts";
import { kernel, type SubgroupLanes, subgroupLanes } from "./checks.ts";
import eightText from "../../../kernels/lib/eight_lanes.wgsl" with { type: "text" };
import eight16Text from "../../../kernels/lib/eight_lanes_16.wgsl" with { type: "text" };
import bothText from "../../../kernels/lib/both_reads.wgsl" with { type: "text" };
import both16Text from "../../../kernels/lib/both_reads_16.wgsl" with { type: "text" };
import texelsText from "../../../kernels/lib/lane_texels.wgsl" with { type: "text" };
import storesText from "../../../kernels/lib/stores.wgsl" with { type: "text" };
import stores16Text from "../../../kernels/lib/stores_16.wgsl" with { type: "text" };
import fourText from "../../../kernels/lib/stores_four.wgsl" with { type: "text" };
import four16Text from "../../../kernels/lib/stores_four_16.wgsl" with { type: "text" };
import reduceText from "../../../kernels/lib/reduce.wgsl" with { type: "text" };
import reduceLanesText from "../../../kernels/lib/reduce_lanes.wgsl" with { type: "text" };
import reduceLanes16Text from "../../../kernels/lib/reduce_lanes_16.wgsl" with { type: "text" };
import summedText from "../../../kernels/lib/summed.wgsl" with { type: "text" };
import upperText from "../../../kernels/lib/upper_texels.wgsl" with { type: "text" };

/** Whether each invocation works for itself, or a subgroup of so many together. */
export type Sharing = "alone" | SubgroupLanes;

/** What the first eight invocations of a subgroup hold, for all of it. */
export const FIRST_EIGHT = eightText;

/** What one of eight invocations holds, for the eight: a subgroup, or a half of one. */
export const EIGHTS: Readonly<Record<SubgroupLanes, readonly string[]>> = {
  8: [eightText],
  16: [eight16Text],
};

/** … and what all eights of a subgroup read alike. */
export const EIGHTS_ALIKE: Readonly<Record<SubgroupLanes, readonly string[]>> = {
  8: [...EIGHTS[8], bothText],
  16: [...EIGHTS[16], both16Text],
};

/** Texels that eight invocations hold; joined after EIGHTS or FIRST_EIGHT. */
export const TEXELS = texelsText;

/** Texels that a subgroup holds, for all of it. */
export const SHARED_TEXELS: Readonly<Record<SubgroupLanes, readonly string[]>> = {
  8: [eightText, texelsText],
  16: [eightText, texelsText, upperText],
};

/**
 * How kernels store that join it: each invocation what is its own, or on subgroups of 16 the lower half
 * for both.
 */
export const STORES: Readonly<Record<Sharing, string>> = {
  alone: storesText,
  8: storesText,
  16: stores16Text,
};

/** A kernel for subgroups of each size, with the libraries that it joins for it. */
export const byLanes = (
  file: string,
  text: string,
  libraries: (lanes: SubgroupLanes) => readonly string[],
): Record<SubgroupLanes, KernelSource> => ({
  8: kernel(file, text, ...libraries(8)),
  16: kernel(file, text, ...libraries(16)),
});

/** What there is on a device, the fastest by measurement first. */
export function sharingOn(device: DeviceProfile): Sharing[] {
  const lanes = subgroupLanes(device);
  return lanes ? [lanes, "alone"] : ["alone"];
}

/** What there is on a device for kernels that only store together. */
export const storingOn = (device: DeviceProfile): Sharing => sharingOn(device)[0];

/** The same of four tensors at once. */
const STORES_FOUR: Readonly<Record<Sharing, string>> = {
  alone: fourText,
  8: fourText,
  16: four16Text,
};

const withStores = (stores: Readonly<Record<Sharing, string>>) =>
(
  file: string,
  text: string,
  ...libraries: string[]
): Record<Sharing, KernelSource> => ({
  alone: kernel(file, text, stores.alone, ...libraries),
  8: kernel(file, text, stores[8], ...libraries),
  16: kernel(file, text, stores[16], ...libraries),
});

/** A kernel with each way to store; `libraries` stand behind that. */
export const storing = withStores(STORES);

/** A kernel that stores in four tensors at once, with each way to. */
export const storingFour = withStores(STORES_FOUR);

/** What REDUCE joins are numbers. */
export const SUMMED = summedText;

/**
 * How kernels join what the invocations of a workgroup of `reductionWorkgroup` have: through its
 * memory, or by shuffles where it is a subgroup. Joined behind kernels: before `override WORKGROUP`
 * naga takes the first for an error where several types have other names.
 */
export const REDUCE: Readonly<Record<Sharing, string>> = {
  alone: reduceText,
  8: reduceLanesText,
  16: reduceLanes16Text,
};
