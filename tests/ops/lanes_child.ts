/** Run by lanes_test.ts beside ops_test.ts, so that what it tests is sure to have been there. */

import assert from "node:assert/strict";
import { openGpu } from "../../lib/gpu/device.ts";
import { sharesByLanes } from "../../lib/ops/common.ts";

Deno.test("subgroups of eight are there", async () => {
  const gpu = await openGpu();
  assert.ok(sharesByLanes(gpu.profile), gpu.name);
  gpu.destroy();
});
