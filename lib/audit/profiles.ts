/** Devices to plan for without having them: what the lock and the tests of audits look at. */

import { DEFAULT_PROFILE } from "../gpu/device.ts";
import type { DeviceProfile } from "../graph/op.ts";

/** Mesa's lavapipe as Deno 2.9.6 shows it. */
const SOFTWARE: DeviceProfile = {
  limits: {
    ...DEFAULT_PROFILE.limits,
    maxComputeWorkgroupStorageSize: 32768,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxStorageBuffersPerShaderStage: 32,
    maxStorageTexturesPerShaderStage: 36,
    maxStorageBufferBindingSize: 2 ** 27,
    maxUniformBufferBindingSize: 65536,
  },
  features: ["shader-f16", "timestamp-query", "subgroups"],
  software: true,
  lanes: 8,
};

/**
 * Software Vulkan on processors with vectors of 256 and of 512 bits, a desktop GPU, and the least
 * that WebGPU promises.
 */
export const AUDIT_PROFILES: Readonly<Record<string, DeviceProfile>> = {
  software: SOFTWARE,
  "software-512": { ...SOFTWARE, lanes: 16 },
  gpu: {
    limits: {
      ...DEFAULT_PROFILE.limits,
      maxComputeWorkgroupStorageSize: 49152,
      maxComputeInvocationsPerWorkgroup: 1024,
      maxStorageBuffersPerShaderStage: 64,
      maxStorageTexturesPerShaderStage: 8,
      maxStorageBufferBindingSize: 2 ** 31 - 4,
      maxUniformBufferBindingSize: 65536,
    },
    features: ["shader-f16", "timestamp-query"],
    software: false,
    lanes: 8,
  },
  "webgpu-minimum": DEFAULT_PROFILE,
};
