/**
 * Kernels in which a subgroup of eight reads once for all, where the driver's vectors are of 512 bits and
 * its subgroups of sixteen: in a process of its own, with vectors of 256. Elsewhere ops_test.ts has them.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openGpu } from "../../lib/gpu/device.ts";

const OPS = [
  "attention",
  "attention_backward",
  "conv2d",
  "conv2d_backward_data",
  "conv2d_backward_weight",
  "conv2d_upsampled",
  "conv2d_upsampled_backward_data",
];

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const gpu = await openGpu();
const wide = gpu.profile.software && gpu.profile.lanes === 16;
gpu.destroy();

Deno.test({
  name: wide
    ? "ops whose kernels share by lanes, with vectors of 256 bits"
    : "skipped: ops with vectors of 256 bits (these are not of 512)",
  ignore: !wide,
  async fn() {
    // Mesa's cache of compiled shaders does not know the width.
    const cache = await Deno.makeTempDir({ prefix: "shaders-" });
    const { code, stdout, stderr } = await new Deno.Command("deno", {
      args: [
        "test",
        "--no-check",
        "--allow-read",
        "--allow-env=OP",
        file("ops_test.ts"),
        file("lanes_child.ts"),
      ],
      env: {
        LP_NATIVE_VECTOR_WIDTH: "256",
        MESA_SHADER_CACHE_DIR: cache,
        OP: OPS.join(),
        NO_COLOR: "1",
      },
    }).output();
    await Deno.remove(cache, { recursive: true });
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 0, text.slice(-4000));
    assert.match(text, /subgroups of eight are there \.\.\. ok/);
  },
});
