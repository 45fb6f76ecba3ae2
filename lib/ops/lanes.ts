/** Libraries of kernels in which invocations of a subgroup hold values for each other. */

import type { KernelSource } from "../graph/kernel_call.ts";
import type { DeviceProfile } from "../graph/op.ts";
import { kernel, type SubgroupLanes, subgroupLanes } from "./common.ts";
import eightText from "../../kernels/lib/eight_lanes.wgsl" with { type: "text" };
import eight16Text from "../../kernels/lib/eight_lanes_16.wgsl" with { type: "text" };
import texelsText from "../../kernels/lib/lane_texels.wgsl" with { type: "text" };
import upperText from "../../kernels/lib/upper_texels.wgsl" with { type: "text" };

/** What the first eight invocations of a subgroup hold, for all of it. */
export const FIRST_EIGHT = eightText;

/** What one of eight invocations holds, for the eight: a subgroup, or a half of one. */
export const EIGHTS: Readonly<Record<SubgroupLanes, readonly string[]>> = {
  8: [eightText],
  16: [eight16Text],
};

/** Texels that eight invocations hold; joined after EIGHTS or FIRST_EIGHT. */
export const TEXELS = texelsText;

/** Texels that a subgroup holds, for all of it. */
export const SHARED_TEXELS: Readonly<Record<SubgroupLanes, readonly string[]>> = {
  8: [eightText, texelsText],
  16: [eightText, texelsText, upperText],
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

/** Whether each invocation reads for itself, or one of a subgroup of so many for all of them. */
export type Sharing = "alone" | SubgroupLanes;

/** What there is on a device, the fastest by measurement first. */
export function sharingOn(device: DeviceProfile): Sharing[] {
  const lanes = subgroupLanes(device);
  return lanes ? [lanes, "alone"] : ["alone"];
}
