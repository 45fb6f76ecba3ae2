/** Checking and timing variants on a real adapter; which one is faster is never asserted. */

import assert from "node:assert/strict";
import { benchConfig, benchStep, LoadedStep } from "../../lib/bench/steps.ts";
import { checkStep, variantByNode } from "../../lib/bench/kernels.ts";
import { measurePeaks } from "../../lib/bench/peaks.ts";
import { Budget } from "../../lib/bench/statistics.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { checkVariant, formKey, formOracle, variantsOf } from "../../lib/tune/check.ts";
import type { NodeForm } from "../../lib/tune/check.ts";
import type { Choices, chooseBy } from "../../lib/tune/choices.ts";
import { tune } from "../../lib/tune/tune.ts";

const CONVOLUTION: NodeForm = {
  op: "conv2d",
  inputs: [{ shape: [1, 8, 8, 8], dtype: "f32" }, { shape: [8, 8, 3, 3], dtype: "f32" }],
  attrs: { stride: 1, padding: [1, 1, 1, 1] },
};

Deno.test("tune: variants are checked, timed, remembered, and not timed again", async () => {
  const gpu = await openGpu();
  try {
    const offered = variantsOf(CONVOLUTION, { device: gpu.profile });
    const oracle = formOracle(CONVOLUTION);
    for (const variant of offered) {
      const { error, tolerance } = await checkVariant(gpu, oracle, variant);
      assert.ok(error <= tolerance, `${variant.name}: ${error}`);
    }
    const tampered = { ...oracle, expected: oracle.expected.map((v) => v.map((x) => 1.001 * x)) };
    const { error, tolerance } = await checkVariant(gpu, tampered, offered[0]);
    assert.ok(error > tolerance, "a wrong result is told from a right one");

    const job = { form: CONVOLUTION, small: CONVOLUTION, scope: "", count: 1, flops: 1 };
    const saved: Choices[] = [];
    const save = (choices: Choices) => Promise.resolve(void saved.push({ ...choices }));
    const { choices, rejected, left } = await tune(gpu, [job], { seconds: 600, save });
    assert.deepEqual([rejected.length, left, saved.length], [0, 0, 1]);
    const stored = choices[formKey(CONVOLUTION)].variants.map((v) => v.name);
    assert.deepEqual(stored.toSorted(), offered.map((v) => v.name).toSorted());
    const again = await tune(gpu, [job], { seconds: 0, known: choices, save });
    assert.deepEqual([saved.length, again.left], [1, 0], "known already: nothing is left to do");
    assert.equal((await tune(gpu, [job], { seconds: 0 })).left, 1, "no time");
  } finally {
    gpu.destroy();
  }
});

Deno.test("bench: a tuned step runs what was chosen; its kernels are right", async () => {
  const gpu = await openGpu();
  try {
    const config = benchConfig(1, 16);
    const plain = benchStep("forward", config, { device: gpu.profile });
    // Whatever the shipped order, take the last variant offered everywhere.
    const choose: ReturnType<typeof chooseBy> = (_, variants) => variants.at(-1)!;
    const options = { device: gpu.profile, choose };
    const step = benchStep("forward", config, options);
    assert.equal(step.graph.nodes.length, plain.graph.nodes.length);
    // What is joined need not be made for all kernels: the others read textures, or both buffers.
    const [ran, usual] = [step, plain].map((s) => new Set(variantByNode(s).keys()));
    for (const id of ran.symmetricDifference(usual)) {
      assert.match(step.graph.nodes[id].op, /^(concat|slice)$/);
      const without = ran.has(id) ? plain : step;
      assert.ok(without.plan.tensors[`${id}:0`].pieces, "it has no memory where it is not made");
    }
    const checked = await checkStep(gpu, step, options, new Budget(600));
    assert.ok(checked.size > 10);
    for (const { error, tolerance } of checked.values()) {
      assert.ok(error !== null && error <= tolerance);
    }
    const loaded = await LoadedStep.load(gpu, step, { poison: true });
    await loaded.time();
    await loaded.requireFinite();
    loaded.destroy();
    const { gflops, gigabytes } = await measurePeaks(gpu, 1);
    assert.ok(gflops > 0 && gigabytes > 0);
  } finally {
    gpu.destroy();
  }
});
