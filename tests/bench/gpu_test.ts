/** What the benchmark does on the device: times nothing that is wrong, and knows where it is. */

import assert from "node:assert/strict";
import { chooseClock } from "../../lib/bench/clock.ts";
import { jobsOfModel, jobsOfShapes, offersOfModel } from "../../lib/bench/jobs.ts";
import { machineOf } from "../../lib/bench/machine.ts";
import { configModel, namedModel } from "../../lib/bench/models.ts";
import { Calibration } from "../../lib/bench/peaks.ts";
import { schemaError } from "../../lib/bench/result_file.ts";
import { Checker, measureRows, resultRow, rowsAbovePeak } from "../../lib/bench/rows.ts";
import { Budget } from "../../lib/bench/statistics.ts";
import { LoadedStep } from "../../lib/bench/steps.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { judge, probeSubgroups } from "../../lib/gpu/subgroups.ts";
import type { Variant } from "../../lib/graph/op.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { sizeOf } from "../../lib/graph/tensor.ts";
import { unet2DConfig } from "../../lib/nn/config.ts";
import { OPS } from "../../lib/ops/mod.ts";

const gpu = await openGpu();
const plan = { device: gpu.profile };
const NO_TIME = () => new Budget(0);
const PEAKS = {
  ...{ gflops: 1e6, gigabytes: 1e6, copies: { storage: 1e6, staged: 1e6 } },
  lowest: { gflops: 1, copies: { storage: 1, staged: 1 } },
};

Deno.test("each variant of a typed shape is checked and timed, and the rows are what the schema says", async () => {
  const jobs = jobsOfShapes("conv2d", ["x=2x8x8x32,w=8x8x3x3"], [], plan, {
    ...{ precision: "f32", variant: "all" },
  });
  const first: string[] = [];
  const measured = await measureRows(gpu, jobs, {
    ...{ plan, budget: NO_TIME() },
    onFirst: ({ variant }) => first.push(variant.name),
  });
  assert.deepEqual(first, jobs.map((j) => j.variant.name), "told as each is first timed");
  const rows = measured.map((m) => resultRow(m, PEAKS, { gpu }));
  for (const row of rows) {
    assert.ok(row.error! <= row.tolerance!, row.variant);
    assert.deepEqual([row.blocks, row.flags.includes("unsettled")], [2, true]);
    assert.ok(row.median > 0 && row.p20 <= row.p80 && row.least <= row.p20);
    assert.ok(Math.abs(row.ofRoof * Math.min(1e6, row.intensity * 1e6) / row.gflops - 1) < 1e-9);
  }
  assert.equal(new Set(rows.map((r) => r.key)).size, rows.length);
  const machine = await machineOf(gpu, { runtime: { Deno: "0" }, processor: "" });
  const result = {
    ...{ format: "lung-ddpm-webgpu/bench", version: 1, date: new Date().toISOString() },
    ...{ program: "test", machine, options: {}, seconds: 1, peaks: PEAKS, rows },
  };
  assert.equal(schemaError(result), undefined);
  const impossible = rowsAbovePeak(rows, { gflops: 1e-9 });
  assert.equal(impossible.length, rows.length);
  assert.match(impossible[0], /^conv2d\/\w+ x 2×8×8×32, .* above the measured peak/);
});

Deno.test("a kernel with a planted wrong index is never timed: the error names the place", async () => {
  const [job] = jobsOfShapes("silu", ["x=1x2x4x8"], [], plan, { precision: "f32" });
  const wrong: Variant = {
    ...job.variant,
    build() {
      const { calls, ...rest } = job.variant.build();
      return {
        ...rest,
        calls: calls.map((c) => ({
          ...c,
          kernel: { ...c.kernel, text: c.kernel.text.replace(/^ {2}y\[i\] = /m, "  y[i ^ 1u] = ") },
        })),
      };
    },
  };
  const text = (v: Variant) => v.build().calls[0].kernel.text;
  assert.notEqual(text(wrong), text(job.variant), "the bug is planted");
  await assert.rejects(
    new Checker(gpu, plan).check({ ...job, change: () => wrong }),
    /^Error: is wrong by \S+, allowed \S+; furthest off at output 0 \[0,\d,\d,\d\]: \S+, float64 has /,
  );
});

Deno.test("only the kernels of the op that was chosen, each once, with their places", () => {
  const model = namedModel("demo");
  const at = { batch: 2, size: 32, precision: "f32" as const };
  const jobs = jobsOfModel(model, "train", at, plan, { ops: ["attention"] });
  assert.deepEqual(jobs.map((j) => [j.form.op, j.count, j.scope]), [
    ["attention", 1, "mid_block.attentions.0"],
  ]);
  assert.deepEqual(jobs[0].small!.inputs[0].shape, [1, 96, 8, 8]);
  const [offer] = offersOfModel(model, "train", at, plan, ["attention"]);
  const whys = offer.variants.map((v) => v.why);
  assert.equal(whys[0], "taken: the first");
  assert.ok(offer.variants.length > 2);
  const all = jobsOfModel(model, "train", at, plan, { ops: Object.keys(OPS) });
  assert.ok(all.length > 60);
  const stats = all.find((j) =>
    j.form.op === "group_norm_stats" && j.scope.includes("0.resnets.0")
  )!;
  assert.ok(stats.count > 1, "places of the same work are one row");
  assert.ok(all[0].count * all[0].flops >= all[20].count * all[20].flops);
});

Deno.test("the public benchmark's U-Net: 5.3 million parameters, and its published loss of 0.57", async () => {
  const model = namedModel("inferena");
  const step = model.step("train", { batch: 2, size: 32, precision: "f32" }, plan);
  // Parameters in the order in which PyTorch's modules are registered.
  const PARTS = "conv_in encoder_blocks downsamples middle decoder_blocks norm_out conv_out".split(
    " ",
  );
  const rank = (name: string) => PARTS.indexOf(name.split(".")[0]);
  const ordered = step.layout.specs.toSorted((a, b) => rank(a.name) - rank(b.name));
  const params = new Float32Array(step.layout.size);
  ordered.forEach(({ offset, shape }, i) => {
    for (let j = 0; j < sizeOf(shape); j++) params[offset + j] = Math.sin(j * 0.01 + i) * 0.1;
  });
  const sines = (of: (i: number) => number) => Float32Array.from({ length: 8192 }, (_, i) => of(i));
  const loaded = await LoadedStep.load(gpu, step);
  const { executable } = loaded;
  executable.write("params", params);
  executable.write("sample", sines((i) => Math.sin(i * 0.01)));
  executable.write("target", sines((i) => Math.cos(i * 0.007)));
  executable.run();
  const [loss] = await executable.read("loss");
  const gradient = await executable.read("gradient");
  loaded.destroy();
  assert.ok(gradient.every(Number.isFinite) && gradient.some((v) => v !== 0));
  console.log(`inferena: ${model.parameters} parameters, loss ${loss}`);
  assert.ok(Math.abs(loss - 0.57) < 0.005, String(loss));
});

Deno.test("anyone's diffusers model: the gradient by its parameters is float64's", async () => {
  const config = unet2DConfig({
    ...{ sample_size: 8, in_channels: 2, out_channels: 2, layers_per_block: 1 },
    ...{ block_out_channels: [8, 16], norm_num_groups: 4 },
    down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
    up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
  }, "config.json");
  const model = configModel("tiny", config);
  const step = model.step("train", { batch: 1, size: model.size, precision: "f32" }, plan);
  const loaded = await LoadedStep.load(gpu, step);
  loaded.executable.run();
  const gradient = await loaded.executable.read("gradient");
  const feeds: Record<string, Float64Array> = {};
  for (const [name, { dtype }] of [...step.graph.inputs, ...step.graph.states]) {
    const bytes = await loaded.executable.readBytes(name);
    feeds[name] = Float64Array.from(
      dtype === "i32" ? new Int32Array(bytes) : new Float32Array(bytes),
    );
  }
  loaded.destroy();
  const expected = interpret(step.graph, OPS, feeds).outputs.get("gradient")!;
  const clear = step.layout.clearGaps(gradient);
  const norm = Math.hypot(...expected);
  const error = Math.hypot(...expected.map((v, i) => v - clear[i])) / norm;
  assert.ok(norm > 0 && error < 1e-5, String(error));
});

Deno.test("subgroups: asked for, compiled, run, and believed only where they count right", async () => {
  const found = await probeSubgroups(gpu);
  assert.equal(typeof found.works, "boolean");
  assert.equal(found.works, found.why === "", found.why);
  const words = (sizes: number[]) =>
    Uint32Array.from(
      sizes.flatMap((n, s) =>
        Array(n).fill([n, sizes.slice(0, s).reduce((a, b) => a + b, 0)]).flat()
      ),
    );
  assert.deepEqual(judge(words([4, 4, 8])), { works: true, why: "" });
  const wrong = words([4, 4]);
  wrong[0] = 5;
  assert.deepEqual(judge(wrong), {
    ...{ works: false, why: "computes wrongly: a subgroup of 4 counts 5" },
  });
});

Deno.test("the fixed kernels take some time, and the clock is one of the two", async () => {
  const calibration = await Calibration.load(gpu);
  const clock = await chooseClock(gpu, calibration.compute);
  assert.ok(["timestamps", "batches"].includes(clock));
  const { compute, copy } = await calibration.time();
  assert.ok(compute > 0 && copy > 0);
  calibration.destroy();
});
