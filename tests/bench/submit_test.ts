/** What is sent to others, the page made of it, and traces: their form, on a tiny model. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { machineOf } from "../../lib/bench/machine.ts";
import { configModel } from "../../lib/bench/models.ts";
import { readResult, schemaError } from "../../lib/bench/result_file.ts";
import { submissionsMarkdown } from "../../lib/bench/submissions.ts";
import { submission } from "../../lib/bench/submit.ts";
import { replaceMeasured } from "../../lib/bench/tables.ts";
import { traceFile } from "../../lib/bench/trace.ts";
import { timeStep } from "../../lib/bench/whole_steps.ts";
import { Budget } from "../../lib/bench/statistics.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { unet2DConfig } from "../../lib/nn/config.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const gpu = await openGpu();
const plan = { device: gpu.profile };
const tiny = configModel(
  "tiny",
  unet2DConfig({
    ...{ sample_size: 8, in_channels: 1, out_channels: 1, layers_per_block: 1 },
    ...{ block_out_channels: [8], norm_num_groups: 4, add_attention: false },
    ...{ down_block_types: ["DownBlock2D"], up_block_types: ["UpBlock2D"] },
  }, "config.json"),
);

Deno.test("a submission is as the schema says, is checked, and has nothing of the user's", async () => {
  const seen: string[] = [];
  const result = await submission(gpu, {
    seconds: 1,
    about: {
      program: "test",
      machine: await machineOf(gpu, { runtime: { Deno: "0" }, processor: "a processor" }),
    },
    plan,
    model: tiny,
    batches: [1, 2],
    more: { tuned: { form: ["a", "b"] } },
    onProgress: (what) => seen.push(what),
  });
  assert.equal(schemaError(result), undefined);
  assert.deepEqual(result.steps!.map((s) => [s.kind, s.batch])[0], ["train", 1]);
  assert.ok(result.rows.length > 0 && result.rows.every((r) => r.error! <= r.tolerance!));
  assert.ok(seen.includes("train, batch 1") && seen.includes("kernels"));
  // Times, errors and what the device is called; no path and no name of a person or host.
  const text = JSON.stringify(result);
  for (const name of [Deno.env.get("HOME"), Deno.cwd(), ROOT]) {
    assert.ok(!name || name === "/" || !text.includes(name), name);
  }
  const strings = text.match(/"(?:[^"\\]|\\.)*"/g)!;
  assert.deepEqual(strings.filter((s) => /^"[\/~]|\\\\|@(?!lung)/.test(s)), []);
});

Deno.test("docs/benchmarks.md is made of benchmarks/*.json, which are as the schema says", async () => {
  const folder = join(ROOT, "benchmarks");
  const files = [...Deno.readDirSync(folder)].map((f) => f.name).sort();
  assert.ok(files.length > 0 && files.every((name) => name.endsWith(".json")), files.join());
  const all = await Promise.all(
    files.map(async (file) => ({ file, result: await readResult(join(folder, file)) })),
  );
  const page = await Deno.readTextFile(join(ROOT, "docs/benchmarks.md"));
  const made = replaceMeasured(page, submissionsMarkdown(all), "submitted");
  assert.ok(made === page, "run ./run bench page");
  const other = structuredClone(all);
  (other[0].result.machine as { adapter: string }).adapter = "another";
  assert.notEqual(replaceMeasured(page, submissionsMarkdown(other), "submitted"), page);
});

Deno.test("a trace: each dispatch once, in order, named by op and layer, within its layer and phase", async () => {
  const at = { batch: 1, size: 8, precision: "f32" as const };
  const { step, timeline, result } = await timeStep(gpu, tiny, "train", at, plan, {
    ...{ budget: new Budget(0), trace: true },
  });
  assert.equal(timeline!.length, step.plan.dispatches.length);
  assert.equal(result.samples, 3);
  const trace = JSON.parse(JSON.stringify(traceFile(step, timeline!, { adapter: gpu.name })));
  assert.deepEqual(Object.keys(trace).sort(), ["displayTimeUnit", "otherData", "traceEvents"]);
  // Trace Event Format, "complete" and "metadata" events: all that a reader asks of them.
  type Event = Record<string, unknown> & { ts: number; dur: number; tid: number; name: string };
  const events: Event[] = trace.traceEvents;
  for (const e of events) {
    assert.ok(e.ph === "X" || e.ph === "M");
    assert.ok(typeof e.name === "string" && e.pid === 1 && Number.isInteger(e.tid));
    if (e.ph === "X") assert.ok(e.ts >= 0 && e.dur >= 0 && Number.isFinite(e.ts + e.dur), e.name);
  }
  const row = (tid: number) => events.filter((e) => e.ph === "X" && e.tid === tid);
  const [phases, layers, kernels] = [0, 1, 2].map(row);
  assert.equal(kernels.length, step.plan.dispatches.length);
  const conv = kernels.find((e) => e.name === "conv2d down_blocks.0.resnets.0.conv1")!;
  const args = conv.args as Record<string, unknown>;
  assert.equal(args.layer, "down_blocks.0.resnets.0.conv1");
  assert.match(String(args.file), /^kernels\/conv2d\//);
  assert.deepEqual([...new Set(phases.map((e) => e.name))], ["forward", "backward"]);
  for (const [outer, tolerance] of [[phases, 1e-3], [layers, 1e-3]] as const) {
    for (const e of kernels) {
      const holder = outer.find((o) =>
        o.ts <= e.ts + tolerance && e.ts + e.dur <= o.ts + o.dur + tolerance
      );
      assert.ok(holder, `${e.name} lies in none`);
    }
  }
  assert.ok(layers.some((e) => e.name === "down_blocks.0.resnets.0"));
});
