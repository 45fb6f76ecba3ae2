/** Finds an adapter, asks for what it really offers, and makes every GPU error fatal. */

import { DeviceLostError, NoGpuError } from "../errors.ts";
import type { DeviceProfile } from "../graph/op.ts";
import type { Precision } from "../graph/tensor.ts";
import type { PlanShader } from "../plan/plan.ts";

/** An open device and what is known about it. */
export interface Gpu {
  /** WebGPU's own. */
  readonly device: GPUDevice;
  /** What plans are made for. */
  readonly profile: DeviceProfile;
  /** For people: "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly name: string;
  /** What else the adapter says of itself; empty strings and nulls where it says nothing. */
  readonly adapter: AdapterFacts;
  /** Sees each shader before it is compiled; throws to refuse it. */
  readonly accept?: (shader: PlanShader) => void | Promise<void>;
  /** A shader's text as this implementation wants it. */
  source(text: string): string;
  /** Whether the device was lost (not by {@link destroy}); true only some time after it happened. */
  readonly isLost: boolean;
  /**
   * Throws the first error that the device reported, if any. Call before trusting a result.
   * @throws DeviceLostError where it is lost.
   */
  check(): void;
  /** Resolves when all submitted work is done; throws on errors. */
  idle(): Promise<void>;
  /** Gives the device back. */
  destroy(): void;
}

/**
 * What an adapter says of itself, beside its name.
 * @internal
 */
export interface AdapterFacts {
  readonly vendor: string;
  readonly architecture: string;
  /** Invocations of a subgroup. */
  readonly subgroupMinSize: number | null;
  readonly subgroupMaxSize: number | null;
}

const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxUniformBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxStorageTexturesPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
  "minStorageBufferOffsetAlignment",
  "minUniformBufferOffsetAlignment",
] as const;

const FEATURES: GPUFeatureName[] = ["shader-f16", "timestamp-query"];
const SUBGROUPS = "subgroups" as GPUFeatureName;
const ENABLE = "enable subgroups;\n";
const USES_SUBGROUPS = /\bsubgroup[A-Z]/;

interface SubgroupSizes {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
}

/** Views of the flat parameter buffer start at multiples of this, on every device. */
export const STORAGE_ALIGNMENT = 256;

/**
 * Opens the machine's GPU with its real limits.
 *
 * @param accept sees each shader before it is compiled, and throws to refuse it.
 * @throws NoGpuError with what to install where there is no adapter.
 *
 * @example
 * ```ts
 * import { openGpu } from "@lung-ddpm/webgpu";
 * const gpu = await openGpu();
 * gpu.name; // "llvmpipe (LLVM 15.0.6, 256 bits)"
 * gpu.destroy();
 * ```
 */
export async function openGpu(accept?: Gpu["accept"]): Promise<Gpu> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new NoGpuError(
      "no WebGPU adapter: install a GPU driver with Vulkan, or on Debian and Ubuntu the software " +
        "driver: sudo apt-get install -y mesa-vulkan-drivers",
    );
  }
  const requiredLimits: Record<string, number> = {};
  for (const name of LIMITS) requiredLimits[name] = adapter.limits[name];
  // Deno reports device-wide sizes that its own validation refuses above 2 GiB − 1.
  requiredLimits.maxBufferSize = Math.min(adapter.limits.maxBufferSize, 2 ** 31 - 1);
  const { description, vendor, architecture } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "unknown adapter";
  const software = /llvmpipe|lavapipe|swiftshader/i.test(name) || adapter.info.isFallbackAdapter;
  const lanes = Number(name.match(/(\d+) bits/)?.[1] ?? 256) / 32;
  const device = await requestDevice(adapter, requiredLimits);
  const subgroups = await subgroupsOf(device);
  const features: string[] = FEATURES.filter((f) => device.features.has(f));
  const { subgroupMinSize, subgroupMaxSize } = adapter.info as GPUAdapterInfo & SubgroupSizes;
  // Kernels that use them are written for a vector of the processor: for software devices alone.
  if (software && subgroups && subgroupMinSize === lanes && subgroupMaxSize === lanes) {
    features.push(SUBGROUPS);
  }

  let failure: Error | undefined;
  device.addEventListener("uncapturederror", (event) => {
    const { error } = event as GPUUncapturedErrorEvent;
    failure ??= new Error(`GPU error: ${error.message}`);
  });
  let closing = false;
  let lost: DeviceLostError | undefined;
  device.lost.then((info) => {
    if (!closing) lost = new DeviceLostError(`GPU device lost: ${info.message || info.reason}`);
  });
  const limits: Record<string, number> = {};
  for (const name of LIMITS) limits[name] = device.limits[name];
  // One alignment on every device, so that checkpoints and plans do not depend on it.
  limits.minStorageBufferOffsetAlignment = STORAGE_ALIGNMENT;
  limits.minUniformBufferOffsetAlignment = STORAGE_ALIGNMENT;
  const check = () => {
    if (lost) throw lost; // whatever else went wrong followed from it
    if (failure) throw failure;
  };
  return {
    device,
    name,
    adapter: {
      vendor,
      architecture,
      subgroupMinSize: subgroupMinSize ?? null,
      subgroupMaxSize: subgroupMaxSize ?? null,
    },
    accept,
    get isLost() {
      return lost !== undefined;
    },
    profile: {
      limits: limits as unknown as DeviceProfile["limits"],
      features,
      software: Boolean(software),
      lanes,
    },
    source: (text) => subgroups === "enabled" && USES_SUBGROUPS.test(text) ? ENABLE + text : text,
    check,
    async idle() {
      await device.queue.onSubmittedWorkDone();
      check();
    },
    destroy() {
      closing = true;
      device.destroy();
    },
  };
}

/**
 * A device with all features that kernels know. Deno grants subgroup operations on adapters that do not
 * list them, so they are asked for whatever the list says.
 */
async function requestDevice(
  adapter: GPUAdapter,
  requiredLimits: Record<string, number>,
): Promise<GPUDevice> {
  const features = FEATURES.filter((f) => adapter.features.has(f));
  const request = (requiredFeatures: GPUFeatureName[]) =>
    adapter.requestDevice({ requiredFeatures, requiredLimits });
  return await request([...features, SUBGROUPS]).catch(() => request(features));
}

/** How a device takes subgroup operations, if it does: Deno's naga knows no `enable subgroups;`. */
async function subgroupsOf(device: GPUDevice): Promise<"plain" | "enabled" | undefined> {
  if (!device.features.has(SUBGROUPS)) return undefined;
  const compiles = async (code: string) => {
    device.pushErrorScope("validation");
    device.createShaderModule({ code });
    return await device.popErrorScope() === null;
  };
  const code = "@compute @workgroup_size(1) fn main() { _ = subgroupBroadcast(1u, 0u); }";
  if (await compiles(code)) return "plain";
  return await compiles(ENABLE + code) ? "enabled" : undefined;
}

/** @throws NoGpuError where the adapter cannot store activations as asked. */
export function requirePrecision(
  precision: Precision | undefined,
  { name, profile }: Pick<Gpu, "name" | "profile">,
): void {
  if (precision === "f16" && !profile.features.includes("shader-f16")) {
    throw new NoGpuError(
      `--precision f16 needs the feature shader-f16, which the adapter ${name} lacks: ` +
        "use --precision f32",
    );
  }
}

/**
 * A profile with WebGPU's default limits, for planning without a device.
 *
 * @example
 * ```ts
 * import { DEFAULT_PROFILE, f32, Graph, OPS, plan, silu } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * g.output("y", silu(g.input("x", f32(2))));
 * plan(g, OPS, { device: DEFAULT_PROFILE }).dispatches.length; // 1
 * ```
 */
export const DEFAULT_PROFILE: DeviceProfile = {
  limits: {
    maxComputeWorkgroupStorageSize: 16384,
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupsPerDimension: 65535,
    maxStorageBuffersPerShaderStage: 8,
    maxStorageTexturesPerShaderStage: 4,
    maxStorageBufferBindingSize: 134217728,
    maxUniformBufferBindingSize: 65536,
    minStorageBufferOffsetAlignment: STORAGE_ALIGNMENT,
    minUniformBufferOffsetAlignment: STORAGE_ALIGNMENT,
  },
  features: [],
  software: false,
  lanes: 8,
};
