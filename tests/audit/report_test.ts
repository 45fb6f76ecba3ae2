/** The audit of the presets' steps: complete, and counted as PyTorch counts. */

import assert from "node:assert/strict";
import { zeroGradients } from "../../lib/audit/findings.ts";
import { compareFlops, FLOPS_TOLERANCE } from "../../lib/audit/flops.ts";
import { auditPage } from "../../lib/audit/html.ts";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { auditReport, equationOf, parameterGradients } from "../../lib/audit/report.ts";
import { auditedStep, presetConfig, STEP_KINDS } from "../../lib/audit/steps.ts";
import { dispatchTable, memoryText, totalsTable } from "../../lib/audit/text.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { sizeOf } from "../../lib/graph/tensor.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { fillInput, random } from "../../lib/audit/cases.ts";
import { unet2DParameters } from "../../lib/nn/unet_2d.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";
import { assertOwnPolicy } from "../unit/page_policy.ts";
import { tinyConfig } from "./tiny.ts";

for (const preset of ["seed", "demo"]) {
  for (const kind of STEP_KINDS) {
    for (const [profile, device] of Object.entries(AUDIT_PROFILES)) {
      Deno.test(`${preset} ${kind} ${profile}: every dispatch told, FLOPs as PyTorch's`, async () => {
        const step = auditedStep(kind, preset, presetConfig(preset), device);
        const report = await auditReport(step);
        assert.equal(report.dispatches.length, step.plan.dispatches.length);
        for (const d of report.dispatches) {
          const name = `${d.op} ${d.scope}`;
          assert.ok(d.equation.length > 5, `${name}: equation of ${d.file}`);
          assert.ok(d.scope, `${d.op}: scope`);
          assert.match(d.sha256, /^[0-9a-f]{64}$/);
          assert.ok(d.outputs.length && d.bindings.length && d.actualBytes > 0, name);
          assert.ok(d.flops >= 0 && d.liveBytes > 0, name);
        }
        // Sharing a node's FLOPs among its dispatches loses none.
        const nodes = new Map(report.dispatches.map((d) => [d.node, step.graph.nodes[d.node]]));
        const whole = [...nodes.values()].reduce(
          (sum, n) => sum + OPS[n.op].cost(n.inputs, n.outputs, n.attrs).flops,
          0,
        );
        assert.ok(Math.abs(report.flops / whole - 1) < 1e-9, `${report.flops} of ${whole}`);
        const rows = compareFlops(report);
        assert.ok(rows.length >= 2);
        for (const row of rows.filter((r) => r.bound)) {
          assert.ok(Math.abs(row.difference) < FLOPS_TOLERANCE, `${row.what}: ${row.difference}`);
        }
        // In its buffer until it is copied to a texture that is its own, then in that.
        const { planned, tensors } = report.memory;
        const room = { arena: 0, textures: 0 };
        report.dispatches.forEach((_, i) => {
          const now = { arena: 0, textures: 0 };
          for (const { key, bytes, first, last } of tensors) {
            if (i < first || i > last) continue;
            const { home, pieces } = step.plan.tensors[key];
            if (!pieces && i <= (home?.dispatch ?? last)) now.arena += bytes;
            if (home && i >= home.dispatch) now.textures += bytes;
          }
          room.arena = Math.max(room.arena, now.arena);
          room.textures = Math.max(room.textures, now.textures);
        });
        assert.ok(room.arena <= planned.arena, `${room.arena} of ${planned.arena}`);
        assert.ok(room.textures <= planned.textures, `${room.textures} of ${planned.textures}`);
      });
    }
  }
}

Deno.test("the seed's forward convolutions and linear layers take 4.73 GMAC an image", async () => {
  const step = auditedStep("train", "seed", presetConfig("seed"), AUDIT_PROFILES.software);
  const [forward] = compareFlops(await auditReport(step));
  assert.ok(Math.abs(forward.ours / 2 / 8 / 4.73e9 - 1) < 0.01, String(forward.ours / 16));
});

Deno.test("every parameter's gradient is told by name, once", () => {
  const config = presetConfig("seed");
  const step = auditedStep("train", "seed", config, AUDIT_PROFILES.gpu);
  const told = [...parameterGradients(step).values()].flat();
  const names = unet2DParameters(config.unet).specs.map((s) => s.name);
  assert.deepEqual(told.toSorted(), names.toSorted());
});

Deno.test("gradients that are zero by construction are zero, and no others", () => {
  const config = tinyConfig();
  const step = auditedStep("train", "tiny", config, AUDIT_PROFILES.software);
  const layout = unet2DParameters(config.unet);
  const rng = random(3);
  const feeds: Record<string, ArrayLike<number>> = {};
  for (const [name, t] of [...step.graph.inputs, ...step.graph.states]) {
    const whole = t.dtype !== "f32";
    feeds[name] = whole
      ? new Float64Array(sizeOf(t.shape)).fill(5)
      : name === "params"
      ? layout.initialise(new PhiloxStream(1)).map((v, i) => v + 0.01 * Math.sin(i))
      : fillInput({ ...t, shape: t.shape, dtype: t.dtype, fill: { kind: "normal" } }, rng);
  }
  const values = interpret(step.graph, OPS, feeds);
  const pack = step.graph.nodes.find((n) => n.op === "pack" && n.scope === "gradients")!;
  const size = (i: number) =>
    Math.sqrt(values.value(pack.inputs[i]).reduce((s, v) => s + v * v, 0));
  const zero = layout.specs.filter((_, i) => size(i) < 1e-12).map((s) => s.name);
  const told = zeroGradients(step).map((z) => z.parameter);
  assert.deepEqual(told.toSorted(), zero.toSorted());
  assert.ok(told.includes("down_blocks.0.resnets.0.time_emb_proj.weight"));
});

Deno.test("in the seed's model, the time projections of the 32-channel blocks learn nothing", () => {
  const step = auditedStep("train", "seed", presetConfig("seed"), AUDIT_PROFILES.software);
  const names = zeroGradients(step).map((z) => z.parameter);
  const projections = names.filter((n) => n.endsWith("time_emb_proj.weight"));
  assert.deepEqual(projections, [
    "down_blocks.0.resnets.0.time_emb_proj.weight",
    "up_blocks.2.resnets.0.time_emb_proj.weight",
    "up_blocks.2.resnets.1.time_emb_proj.weight",
  ]);
});

Deno.test("an equation of several lines is told whole", () => {
  assert.equal(
    equationOf("// Library: x\n\n// Equation: a = b\n//   + c\n// Source: d\n"),
    "a = b + c",
  );
});

Deno.test("tables and page hold every dispatch, and the page asks for nothing from outside", async () => {
  const step = auditedStep("sample", "demo", presetConfig("demo"), AUDIT_PROFILES.gpu);
  const report = await auditReport(step);
  assert.equal(dispatchTable(report).split("\n").length, report.dispatches.length + 2);
  assert.match(totalsTable(report), /conv2d/);
  assert.match(memoryText(report), /peak at/);
  const page = auditPage(step, report, { flops: compareFlops(report) });
  assertOwnPolicy(page);
  for (const { node } of report.dispatches) assert.ok(page.includes(`data-node="${node}"`));
  assert.doesNotMatch(page, /<link|src=|@import|https?:\/\/(?!www\.w3\.org)[^\s"]*\.(js|css)/);
});
