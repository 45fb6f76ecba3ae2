/** What is checked on a small image is what runs on the large one: the same kernels. */

import assert from "node:assert/strict";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { benchConfig, benchStep } from "../../lib/bench/steps.ts";
import { liveNodes } from "../../lib/plan/lower.ts";
import type { TensorType } from "../../lib/graph/tensor.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { formOf, variantsOf } from "../../lib/tune/check.ts";
import { smallConfig } from "../../lib/bench/small.ts";
import { twins } from "../../lib/tune/twins.ts";

for (const [name, device] of Object.entries(AUDIT_PROFILES)) {
  for (const kind of ["train", "sample"] as const) {
    for (const [batch, size] of [[8, 128], [16, 64], [2, 32], [3, 96]]) {
      Deno.test(`twins ${name}: ${kind} of ${batch} × ${size}² is checked kernel by kernel`, () => {
        const config = benchConfig(batch, size);
        const small = smallConfig(config);
        assert.ok(small.resolution[0] * small.resolution[1] <= 1024);
        const [step, checked] = [config, small].map((c) => benchStep(kind, c, { device }));
        const twinOf = twins(step.graph, checked.graph);
        const nodes = liveNodes(step.graph).filter((n) =>
          n.op in OPS && n.op !== "view" && !/^parts?\b/.test(n.scope)
        );
        // On GPUs convolutions normalise as they read in sampling: fewer nodes.
        const least = kind === "sample" && !device.software ? 75 : 100;
        assert.ok(nodes.length > least, `${nodes.length} nodes`);
        for (const node of nodes) {
          const twin = twinOf.get(node);
          assert.ok(twin, `${node.op} ${node.scope}`);
          // All but batch and rows of images is the same.
          const size = (t: TensorType) => t.shape.filter((_, i) => i !== 0 && i !== 2);
          assert.deepEqual(twin.inputs.map(size), node.inputs.map(size), node.scope);
          const [kernels, theirs] = [node, twin].map((n) =>
            variantsOf(formOf(n), { device }).map((v) => [
              v.name,
              [...new Set(v.build().calls.map((c) => c.kernel.file))],
            ])
          );
          // Which one comes first may depend on the size; what there is may not.
          assert.deepEqual(theirs.toSorted(), kernels.toSorted(), `${node.op} ${node.scope}`);
        }
      });
    }
  }
}
