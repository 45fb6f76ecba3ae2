/** Every case of every op: each GPU variant against float64, each gradient against differences. */

import assert from "node:assert/strict";
import { openGpu } from "../../lib/gpu/device.ts";
import { gradientError, runCase } from "./harness.ts";
import { opsToTest } from "./op_filter.ts";

const ops = opsToTest();
for (const [name, def] of ops) {
  for (const test of def.cases) {
    if (def.vjp !== "non-differentiable" && test.checkGradient !== false) {
      Deno.test(`${name} ${test.name}: gradient against finite differences`, () => {
        const error = gradientError(def, test);
        assert.ok(error < 1e-6, `relative error ${error}`);
      });
    }
  }
}

Deno.test("every op on the GPU against its float64 reference", async (t) => {
  const gpu = await openGpu();
  for (const [name, def] of ops) {
    assert.equal(name, def.name, "registry key");
    for (const test of def.cases) {
      await t.step(`${name} ${test.name}`, async () => {
        for (const { variant, output, error, tolerance } of await runCase(gpu, def, test)) {
          assert.ok(
            error <= tolerance,
            `${variant}, output ${output}: relative error ${error.toExponential(2)}, ` +
              `tolerance ${tolerance}`,
          );
        }
      });
    }
  }
  gpu.destroy();
});
