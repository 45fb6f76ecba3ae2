/** How convolutions of a doubled image are lowered where no kernel of their own fits. */

import assert from "node:assert/strict";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import type { OpDef } from "../../lib/graph/op.ts";
import { f32 } from "../../lib/ops/common/checks.ts";
import { conv2dOp } from "../../lib/ops/conv2d/op.ts";
import {
  conv2dUpsampledBackwardDataOp,
  conv2dUpsampledBackwardWeightOp,
  conv2dUpsampledOp,
} from "../../lib/ops/conv2d/upsampled_op.ts";

const device = AUDIT_PROFILES.software;
// Wide enough that Winograd's kernels are first for the doubled image.
const [x, weight, dy] = [f32(8, 160, 18, 18), f32(96, 160, 3, 3), f32(8, 96, 36, 36)];

function variants(op: OpDef, inputs: typeof x[]) {
  return op.lower({ inputs, outputs: op.infer(inputs, {}), attrs: {}, device });
}

Deno.test("a variant through the doubled image that says it is exact has no Winograd in it", () => {
  const attrs = { stride: 1, padding: [1, 1, 1, 1] as const };
  const plain = conv2dOp.lower({
    inputs: [f32(8, 160, 36, 36), weight],
    outputs: [dy],
    attrs,
    device,
  });
  assert.match(plain[0].name, /^winograd_f4/);
  for (
    const [op, inputs] of [
      [conv2dUpsampledOp, [x, weight]],
      [conv2dUpsampledBackwardDataOp, [dy, weight]],
      [conv2dUpsampledBackwardWeightOp, [x, dy]],
    ] as const
  ) {
    const [doubled, ...others] = variants(op, [...inputs]);
    assert.equal(doubled.name, "doubled");
    assert.ok(doubled.exact);
    const files = doubled.build().calls.map((c) => c.kernel.file);
    assert.ok(files.some((file) => file.includes("upsample_nearest_2x")), files.join());
    assert.ok(!files.some((file) => file.includes("winograd")), `${op.name}: ${files}`);
    assert.deepEqual(others.map((v) => v.name), ["implicit_gemm"]);
  }
});
