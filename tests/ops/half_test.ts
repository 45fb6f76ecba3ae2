/** Tensors stored as f16: every case of every op that allows it, and the edges of the format. */

import assert from "node:assert/strict";
import { caseGraph, halfCases } from "../../lib/audit/cases.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import type { OpDef } from "../../lib/graph/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { decode, encode } from "../../lib/gpu/data.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { runCase } from "./harness.ts";
import { opsToTest } from "./op_filter.ts";

const ops = opsToTest();

Deno.test("every op that may store f16, against its float64 reference", async (t) => {
  const gpu = await openGpu();
  const storing = [...ops].filter(([, def]) => def.cases.some((c) => halfCases(def, c).length));
  if (storing.length === 0) console.log(`skipped: none of ${[...ops.keys()]} stores f16`);
  for (const [name, def] of storing) {
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

Deno.test("stored f16 is the nearest: ties, subnormals, the largest, infinity", async () => {
  const ulp = 2 ** -10;
  const values = [0, -0, 1 / 3, 1 + ulp / 2, 1 + 1.5 * ulp, 1 + 0.501 * ulp, -2 + 0.25 * ulp];
  values.push(65504, 65519, 65520, -65520, 1e10, -3e38, 3e38, 6.1e-5, 2 ** -14 - 2 ** -26);
  values.push(2 ** -24, 2 ** -25, 1.0001 * 2 ** -25, -1.5 * 2 ** -24, 2.5 * 2 ** -24, 1e-8, 3e-39);
  const gpu = await openGpu();
  // Rows of whole vec4, and odd ones, for kernels that store number by number.
  for (const columns of [24, 23]) {
    const pixels = Array.from({ length: columns }, (_, i) => Math.fround(values[i] ?? 0));
    const def: OpDef = OPS.conv2d;
    const { graph, outputs } = caseGraph(def, {
      name: "copy",
      inputs: [
        { shape: [1, 1, 1, columns], dtype: "f32" },
        { shape: [1, 1, 1, 1], dtype: "f32" },
      ],
      attrs: { stride: 1, padding: [0, 0, 0, 0], dtype: "f16" },
      tolerance: 0,
    });
    const { inputs, outputs: types, attrs } = outputs[0].node;
    for (const { name } of def.lower({ inputs, outputs: types, attrs, device: gpu.profile })) {
      const choose: Parameters<typeof plan>[2]["choose"] = (_, all) =>
        all.find((v) => v.name === name)!;
      const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile, choose }));
      exe.write("in0", encode(pixels, "f32"));
      exe.write("in1", encode([1], "f32"));
      exe.run();
      const got = decode(await exe.readBytes("out0"), "f16");
      pixels.forEach((v, i) => {
        const nearest = Math.f16round(v);
        // A tie may go to either side.
        const isNearest = got[i] === nearest || Math.abs(got[i] - v) <= Math.abs(nearest - v);
        assert.ok(isNearest, `${name}, ${columns} columns: ${got[i]} for ${v}`);
      });
      exe.write("in0", encode(pixels.map(() => NaN), "f32"));
      exe.run();
      const bad = decode(await exe.readBytes("out0"), "f16");
      assert.ok(bad.every((v) => !Number.isFinite(v)), `${name}: NaN has become a number`);
      exe.destroy();
    }
  }
  gpu.destroy();
});
