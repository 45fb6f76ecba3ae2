/** What a result says of the machine: enough to tell kinds of machines apart, nothing of the user's. */

import type { Gpu } from "../gpu/device.ts";
import { probeSubgroups } from "../gpu/subgroups.ts";
import type { Machine } from "./result.ts";

/** @param runtime with versions. @param processor its name, empty where that cannot be asked. */
export async function machineOf(
  gpu: Gpu,
  { runtime, processor }: Pick<Machine, "runtime" | "processor">,
): Promise<Machine> {
  const { vendor, architecture, subgroupMinSize, subgroupMaxSize } = gpu.adapter;
  const { software, features, limits } = gpu.profile;
  return {
    adapter: gpu.name,
    ...{ vendor, architecture, software, processor },
    cores: navigator.hardwareConcurrency,
    features: [...features],
    limits: { ...limits },
    runtime,
    subgroups: {
      ...await probeSubgroups(gpu),
      least: subgroupMinSize,
      most: subgroupMaxSize,
    },
  };
}
