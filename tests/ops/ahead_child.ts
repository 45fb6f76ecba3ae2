/** Run by ahead_test.ts in a process of its own: compiles a plan ahead, runs nothing, says how it ended. */

import { benchConfig, benchStep } from "../../lib/bench/steps.ts";
import { compileAhead } from "../../lib/gpu/compile_ahead.ts";
import { openGpu } from "../../lib/gpu/device.ts";

const gpu = await openGpu();
const { plan } = benchStep("forward", benchConfig(1, 16, "demo"), { device: gpu.profile });
console.log(`${plan.shaders.length} shaders: ${await compileAhead(gpu, plan).outcome}`);
gpu.destroy();
