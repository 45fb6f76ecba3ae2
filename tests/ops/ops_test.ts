/** Every case of every op: each GPU variant against float64, each gradient against differences. */

import assert from "node:assert/strict";
import { openGpu } from "../../lib/gpu/device.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { gradientError, runCase } from "./harness.ts";

const filter = Deno.env.get("OP");
for (const [name, def] of Object.entries(OPS)) {
  if (filter && !filter.split(",").includes(name)) continue;
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
  for (const [name, def] of Object.entries(OPS)) {
    if (filter && !filter.split(",").includes(name)) continue;
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
