/** What WebGPU forbids of a dispatch is refused when it is planned, with the names of both sides. */

import assert from "node:assert/strict";
import { Graph } from "../../lib/graph/graph.ts";
import type { KernelCall } from "../../lib/graph/kernel_call.ts";
import { DEFAULT_PROFILE } from "../../lib/gpu/device.ts";
import { checkHazards, checkSizes } from "../../lib/plan/binding.ts";
import type { PlanBinding } from "../../lib/plan/plan.ts";
import { STAGING_ROWS, stagingRowBytes } from "../../lib/plan/staging_layout.ts";

const kernel = {
  file: "kernels/made/up.wgsl",
  text: `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> z: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(4) var t: texture_storage_2d<rgba32float, read>;
struct Params { n: u32 }`,
};
const call = (workgroups: KernelCall["workgroups"] = [1, 1, 1]): KernelCall => ({
  kernel,
  bindings: {},
  workgroups,
});
const { node } = new Graph().input("x", { shape: [4], dtype: "f32" });

/** x, y, z, params and t: by default each in a buffer of its own. */
const bound = (changes: Record<string, Partial<PlanBinding>> = {}): PlanBinding[] =>
  ["x", "y", "z", "params", "t"].map((name, i) => ({
    ...{ binding: i, name, buffer: i, offset: 0, size: 256 },
    ...changes[name],
  }));

Deno.test("a dispatch may not write a buffer that it binds otherwise", () => {
  const check = (changes: Record<string, Partial<PlanBinding>>) =>
    checkHazards(call(), bound(changes), node);
  check({});
  // WebGPU looks at whole buffers where one side reads.
  assert.throws(
    () => check({ x: { buffer: 1, offset: 4096 } }),
    /Cannot plan input .*kernels\/made\/up\.wgsl writes "y" .* also binds as "x"/,
  );
  assert.throws(() => check({ params: { buffer: 2 } }), /writes "z" .* binds as "params"/);
  // Two that write may share a buffer, side by side.
  check({ z: { buffer: 1, offset: 256 } });
  check({ y: { offset: 256 }, z: { buffer: 1, offset: 0 } });
  assert.throws(() => check({ z: { buffer: 1, offset: 255 } }), /writes "y" .* binds as "z"/);
  assert.throws(() => check({ z: { buffer: 1 } }), /writes "y"/);
  // Of a texture the buffer is not bound: it was copied before.
  check({ t: { buffer: 1 } });
  // Readers may share.
  check({ t: { buffer: 0 }, params: { buffer: 0 } });
});

Deno.test("bindings and grids beyond a device's limits are refused, those at them are not", () => {
  const device = DEFAULT_PROFILE, { limits } = device;
  const check = (changes: Record<string, Partial<PlanBinding>>, made = call()) =>
    checkSizes(made, bound(changes), node, device, () => "f32");
  check({});
  for (
    const [name, most] of [
      ["x", limits.maxStorageBufferBindingSize],
      ["y", limits.maxStorageBufferBindingSize],
      ["params", limits.maxUniformBufferBindingSize],
      ["t", STAGING_ROWS * stagingRowBytes("f32")],
    ] as const
  ) {
    check({ [name]: { size: most } });
    assert.throws(
      () => check({ [name]: { size: most + 4 } }),
      new RegExp(`Cannot plan input .*"${name}" .*${(most / 2 ** 20).toFixed(1)} MiB`),
    );
  }
  const most = limits.maxComputeWorkgroupsPerDimension;
  check({}, call([most, most, 1]));
  assert.throws(() => check({}, call([1, most + 1, 1])), /up\.wgsl asks for \[1,65536,1\]/);
  assert.throws(() => check({}, call([1, 1, 0])), /asks for \[1,1,0\] workgroups/);
});
