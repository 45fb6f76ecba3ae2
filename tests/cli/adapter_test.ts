/** Tests of kernels are worth nothing where none can run, so CI fails there instead of skipping. */

import assert from "node:assert/strict";

Deno.test("a WebGPU adapter is found (required when CI is set)", async () => {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter && !Deno.env.get("CI")) {
    console.log("skipped: no WebGPU adapter; `./run` without arguments says what to install");
    return;
  }
  assert.ok(adapter, "No WebGPU adapter: install a Vulkan driver (./run test does, as root)");
});
