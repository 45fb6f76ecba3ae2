/** Run by lanes_test.ts beside ops_test.ts, so that what it tests is sure to have been there. */

import assert from "node:assert/strict";
import { openGpu } from "../../lib/gpu/device.ts";
import { isSubgroup } from "../../lib/ops/common.ts";

const gpu = await openGpu();
const { lanes } = gpu.profile;
gpu.destroy();

Deno.test(`subgroups of ${lanes} are there`, () => {
  assert.ok(isSubgroup(gpu.profile), gpu.name);
});
