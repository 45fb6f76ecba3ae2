/** Tensors stored as f16: every case of every op that allows it, and the edges of the format. */

import assert from "node:assert/strict";
import { halfCases } from "../../lib/audit/cases.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { OpDef } from "../../lib/graph/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { runCase } from "./harness.ts";

const filter = Deno.env.get("OP");

Deno.test("every op that may store f16, against its float64 reference", async (t) => {
  const gpu = await openGpu();
  for (const [name, def] of Object.entries<OpDef>(OPS)) {
    if (filter && !filter.split(",").includes(name)) continue;
    for (const test of def.cases.flatMap((test) => halfCases(def, test))) {
      await t.step(`${name} ${test.name}`, async () => {
        for (const { variant, output, error, tolerance } of await runCase(gpu, def, test)) {
          assert.ok(
            error <= tolerance,
            `${variant}, output ${output}: relative error ${error.toExponential(2)}, ` +
              `tolerance ${tolerance.toExponential(2)}`,
          );
        }
      });
    }
  }
  gpu.destroy();
});
