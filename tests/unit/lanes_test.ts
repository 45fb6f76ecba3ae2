/** Where subgroups read once for all: which devices may, which kernels do, how implementations are asked. */

import assert from "node:assert/strict";
import { lockedPlans } from "../../lib/audit/locked_plans.ts";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { DeviceProfile } from "../../lib/graph/op.ts";
import { subgroupLanes } from "../../lib/ops/common/checks.ts";
import { conv2dBackwardWeightOp } from "../../lib/ops/conv2d/op.ts";
import { fastShapes } from "../../lib/ops/conv2d/direct.ts";
import { reductionWorkgroup } from "../../lib/ops/common/vectorized_access.ts";
import { geometry } from "../../lib/ops/conv2d/geometry.ts";

const { software, gpu } = AUDIT_PROFILES;
const PLAIN = "@compute @workgroup_size(8) fn main() {}";
const SHARED = "@compute @workgroup_size(8) fn main() { _ = subgroupBroadcast(1u, 0u); }";

Deno.test("only software devices with subgroups of 8 or 16 share by lanes", () => {
  assert.equal(subgroupLanes({ ...software, features: ["shader-f16"] }), undefined);
  assert.equal(subgroupLanes(software), 8);
  assert.equal(subgroupLanes({ ...software, lanes: 16 }), 16);
  assert.equal(subgroupLanes({ ...software, lanes: 4 }), undefined);
  assert.equal(subgroupLanes({ ...gpu, features: ["subgroups"] }), undefined);
});

Deno.test("subgroup operations stand in plans for software alone, in workgroups of whole vectors", () => {
  const found = new Set<keyof typeof AUDIT_PROFILES>();
  for (const [name, plan] of lockedPlans()) {
    for (const { text, constants } of plan.shaders) {
      if (!/\bsubgroup[A-Z]/.test(text)) continue;
      const device = name.split(" ")[2] as keyof typeof AUDIT_PROFILES;
      found.add(device);
      const workgroup = constants.WORKGROUP ?? /override WORKGROUP: u32 = (\d+);/.exec(text)![1];
      assert.equal(Number(workgroup) % AUDIT_PROFILES[device].lanes, 0, name);
    }
  }
  assert.deepEqual([...found].sort(), ["software", "software-512"]);
});

/** Kernels that join what a workgroup has. */
const REDUCING = [
  "gradient_clip/partial",
  "group_norm/backward_sums",
  "group_norm/stats",
  "mse/partial",
  "sum/rows",
].map((name) => `kernels/${name}.wgsl`);

Deno.test("where a subgroup has sixteen, kernels share by it, and its lower half stores for both", () => {
  const shuffling = new Map<string, Set<string>>();
  for (const [name, plan] of lockedPlans()) {
    const device = name.split(" ")[2];
    const files = shuffling.get(device) ?? new Set();
    shuffling.set(device, files);
    for (const { file, text } of plan.shaders) if (/subgroupShuffleXor/.test(text)) files.add(file);
  }
  const sixteen = shuffling.get("software-512")!;
  for (
    const file of [
      "add/forward_staged",
      "adamw/update_staged",
      "conv2d/backward_data_3x3_stride2",
      "group_norm/apply",
      "group_norm/backward_data",
      "conv2d/direct_3x3_lanes",
      "conv2d/pointwise_lanes",
      "conv2d/backward_weight_pointwise_lanes",
      "conv2d/upsampled",
      "conv2d/upsampled_backward_data_lanes",
      "conv2d/upsampled_backward_weight_lanes",
    ]
  ) assert.ok(sixteen.has(`kernels/${file}.wgsl`), file);
  for (const file of REDUCING) assert.ok(sixteen.has(file), file);
  assert.deepEqual([...shuffling.get("software")!].sort(), REDUCING);
  assert.equal(shuffling.get("gpu")!.size, 0);
});

Deno.test("kernels that join what a workgroup has wait for no memory where it is a subgroup", () => {
  for (const [name, plan] of lockedPlans()) {
    const isSoftware = name.split(" ")[2].startsWith("software");
    for (const { file, text } of plan.shaders) {
      if (!REDUCING.includes(file)) continue;
      assert.equal(/workgroupBarrier/.test(text), !isSoftware, `${name}: ${file}`);
    }
  }
  assert.equal(reductionWorkgroup({ ...software, lanes: 16 }), 16);
  assert.equal(
    reductionWorkgroup({ ...software, lanes: 4 }),
    8,
    "reduce.wgsl joins eight at the end",
  );
});

Deno.test("3×3 convolutions by lanes come first where few of the channels taken are not there", () => {
  const first = (ci: number, co: number, device = software) =>
    fastShapes(geometry([1, ci, 32, 32], [co, ci, 3, 3], 1, [1, 1, 1, 1]), co, device)[0];
  assert.equal(first(32, 96), "3×3 by 8 lanes");
  assert.equal(first(32, 60), "3×3 by 8 lanes");
  assert.equal(first(32, 40), "3×3 in tiles");
  assert.equal(first(32, 1), "3×3 in tiles");
  assert.equal(first(32, 96, { ...software, features: [] }), "3×3 in tiles");
  const wide = { ...software, lanes: 16 };
  assert.equal(first(32, 96, wide), "3×3 by 16 lanes");
  assert.equal(first(32, 40, wide), "3×3");
  assert.equal(first(32, 96, { ...wide, features: [] }), "3×3");
  assert.equal(first(32, 96, { ...software, lanes: 4 }), "3×3 in tiles");
});

/** An implementation that grants subgroups or not, and takes the texts that it is said to. */
function fakeGpu({ description, size, grants, takes }: {
  description: string;
  size: number;
  grants: boolean;
  takes: (code: string) => boolean;
}) {
  const requested: string[][] = [];
  const adapter = {
    info: { description, subgroupMinSize: size, subgroupMaxSize: size },
    features: new Set(["timestamp-query"]),
    limits: {},
    requestDevice({ requiredFeatures }: { requiredFeatures: string[] }) {
      requested.push(requiredFeatures);
      if (requiredFeatures.includes("subgroups") && !grants) {
        return Promise.reject(new TypeError("no such feature"));
      }
      let error: unknown = null;
      return Promise.resolve({
        features: new Set(requiredFeatures),
        limits: {},
        lost: new Promise(() => {}),
        addEventListener() {},
        pushErrorScope() {
          error = null;
        },
        createShaderModule({ code }: { code: string }) {
          if (!takes(code)) error = { message: "cannot parse" };
        },
        popErrorScope: () => Promise.resolve(error),
      });
    },
  };
  return { requested, gpu: { requestAdapter: () => Promise.resolve(adapter) } };
}

async function opened(spec: Parameters<typeof fakeGpu>[0]) {
  const fake = fakeGpu(spec);
  Object.defineProperty(navigator, "gpu", { value: fake.gpu, configurable: true });
  try {
    const { profile, source } = await openGpu();
    return { requested: fake.requested, features: profile.features, source };
  } finally {
    delete (navigator as { gpu?: unknown }).gpu;
  }
}

const LLVMPIPE = { description: "llvmpipe (LLVM 15.0.6, 256 bits)", size: 8, grants: true };
const naga = (code: string) => !code.includes("enable");
const standard = (code: string) => code.startsWith("enable subgroups;\n");

Deno.test("Deno grants subgroups without listing them, and takes the operations as they are", async () => {
  const { features, source } = await opened({ ...LLVMPIPE, takes: naga });
  assert.deepEqual(features, ["timestamp-query", "subgroups"]);
  assert.equal(source(SHARED), SHARED);
});

Deno.test("where the standard's line is needed, texts with such operations get it, others do not", async () => {
  const { features, source } = await opened({ ...LLVMPIPE, takes: standard });
  assert.deepEqual(features, ["timestamp-query", "subgroups"]);
  assert.equal(source(SHARED), "enable subgroups;\n" + SHARED);
  assert.equal(source(PLAIN), PLAIN);
});

Deno.test("no subgroups: of another size, refused, not understood, or on hardware, whose kernels use none", async () => {
  for (
    const spec of [
      { ...LLVMPIPE, description: "SwiftShader", size: 4, takes: standard },
      { ...LLVMPIPE, description: "llvmpipe (LLVM 15.0.6, 512 bits)", takes: naga },
      { ...LLVMPIPE, grants: false, takes: naga },
      { ...LLVMPIPE, takes: () => false },
    ]
  ) {
    const { requested, features } = await opened(spec);
    assert.deepEqual(features, ["timestamp-query"]);
    assert.ok(requested[0].includes("subgroups"));
    assert.equal(requested.length, spec.grants ? 1 : 2);
  }
  const hardware = await opened({ ...LLVMPIPE, description: "Some GPU", takes: naga });
  assert.ok(hardware.requested[0].includes("subgroups"), "asked for, to be told of"); // kernels do not use them
  assert.deepEqual(hardware.features, ["timestamp-query"]);
});

/** Ways to the weight gradient of 3×3 convolutions of square images. */
function weightVariants(channels: number, size: number, device: DeviceProfile): string[] {
  const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });
  const image = f32(1, channels, size, size);
  const weightShape = [channels, channels, 3, 3];
  return conv2dBackwardWeightOp.lower({
    inputs: [image, image],
    outputs: [f32(...weightShape)],
    attrs: { stride: 1, padding: [1, 1, 1, 1], weightShape },
    device,
  }).map((v) => v.name);
}

Deno.test("3×3 weight gradients by lanes come first, Winograd's with many channels and pixels", () => {
  assert.equal(weightVariants(64, 64, software)[0], "direct_lanes");
  assert.equal(weightVariants(96, 32, software)[0], "direct_lanes");
  assert.equal(weightVariants(96, 64, software)[0], "winograd_f4_lanes");
  assert.equal(weightVariants(96, 64, { ...software, lanes: 16 })[0], "direct_lanes");
  assert.equal(weightVariants(96, 64, { ...software, lanes: 4 })[0], "direct");
  assert.equal(weightVariants(96, 64, { ...software, features: [] })[0], "direct");
});

Deno.test("Winograd is not offered where an image's transform would be above a limit", () => {
  assert.equal(weightVariants(96, 256, software)[0], "winograd_f4_lanes");
  const names = weightVariants(96, 512, software);
  assert.ok(names.every((name) => !name.startsWith("winograd")), names.join());
});
