/** Devices to plan for without having them: what the lock and the tests of audits look at. */

import { DEFAULT_PROFILE } from "../gpu/device.ts";
import type { DeviceProfile } from "../graph/op.ts";

/** Mesa's lavapipe as Deno 2.9.6 shows it, and a desktop GPU with and without 16-bit floats. */
export const AUDIT_PROFILES: Readonly<Record<string, DeviceProfile>> = {
  software: {
    limits: {
      ...DEFAULT_PROFILE.limits,
      maxComputeWorkgroupStorageSize: 32768,
      maxComputeInvocationsPerWorkgroup: 1024,
      maxStorageBuffersPerShaderStage: 32,
      maxStorageBufferBindingSize: 2 ** 27,
      maxUniformBufferBindingSize: 65536,
    },
    features: ["shader-f16", "timestamp-query"],
    software: true,
  },
  gpu: {
    limits: {
      ...DEFAULT_PROFILE.limits,
      maxComputeWorkgroupStorageSize: 49152,
      maxComputeInvocationsPerWorkgroup: 1024,
      maxStorageBuffersPerShaderStage: 64,
      maxStorageBufferBindingSize: 2 ** 31 - 4,
      maxUniformBufferBindingSize: 65536,
    },
    features: ["shader-f16", "timestamp-query"],
    software: false,
  },
  "webgpu-minimum": DEFAULT_PROFILE,
};
