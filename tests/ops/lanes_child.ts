/** Run by lanes_test.ts beside the tests of ops, so that what it tests is sure to have been there. */

import assert from "node:assert/strict";
import { openGpu } from "../../lib/gpu/device.ts";
import { subgroupLanes } from "../../lib/ops/common/checks.ts";

const gpu = await openGpu();
const { lanes } = gpu.profile;
gpu.destroy();

Deno.test(`subgroups of ${lanes} are there`, () => {
  assert.equal(subgroupLanes(gpu.profile), lanes, gpu.name);
});
