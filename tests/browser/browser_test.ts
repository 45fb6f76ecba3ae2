/** The page in a browser: it samples the numbers that Deno samples, and asks for nothing outside. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { compareFlops } from "../../lib/audit/flops.ts";
import { auditPage } from "../../lib/audit/html.ts";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { auditReport } from "../../lib/audit/report.ts";
import { auditedStep, presetConfig } from "../../lib/audit/steps.ts";
import { windowHu } from "../../lib/data/window.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { readResult } from "../../lib/bench/result_file.ts";
import { CHROMIUM, ROOT, serveBrowser, visit } from "./chromium.ts";

const MODEL = join(ROOT, "tests/fixtures/diffusers_tiny");
const STEPS = 8;

async function sampleInDeno(out: string, model: string, slice: number, flags: string[]) {
  const { code, stderr } = await new Deno.Command("deno", {
    args: ["task", "--quiet", "sample", "--model", model, "--class", "1", "--seed", "3"]
      .concat("--steps", String(STEPS), ...flags, "--out", out),
    cwd: ROOT,
    stdout: "null",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return (await readNpy(join(out, `GEN1-3_slice_${slice}.npy`))).data as Float32Array;
}

/** ‖a − b‖ / ‖b‖ of what the model gave, in [−1, 1]. */
function difference(a: Float32Array, b: Float32Array): number {
  const [x, y] = [windowHu(a), windowHu(b)];
  const norm = (v: Float32Array) => Math.hypot(...v);
  return norm(x.map((v, i) => v - y[i])) / norm(y);
}

Deno.test({
  name: "the page samples as `deno task sample` does, checks itself, and tells what is missing",
  ignore: !CHROMIUM,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "page-" });
    await using served = await serveBrowser("--model", MODEL);
    const saved = join(folder, "sample.npy");
    const [sampled, without, blind] = await visit([
      {
        url: served.address,
        steps: [
          { wait: "#sample:enabled" },
          { fill: "#seed", with: "3" },
          { fill: "#mask", with: "2" },
          { fill: "#cfg", with: "2.5" },
          { fill: "#steps", with: String(STEPS) },
          { click: "#sample" },
          { wait: "#check:enabled" },
          { download: "#save-npy", to: saved },
          { click: "#check" },
          { wait: "#check:enabled" },
        ],
        texts: {
          adapter: "#adapter",
          status: "#status",
          check: "#check-status",
          command: "#command",
        },
        counts: { canvases: "#strip canvas" },
        screenshot: join(folder, "page.png"),
      },
      {
        url: served.address,
        before: "delete Navigator.prototype.gpu",
        steps: [{ wait: "#message:visible" }],
        texts: { message: "#message" },
        counts: { off: "#sample:disabled" },
      },
      {
        url: served.address,
        before: "GPU.prototype.requestAdapter = async () => null",
        steps: [{ wait: "#message:visible" }],
        texts: { message: "#message" },
      },
    ]);
    assert.match(sampled.texts.adapter, /swiftshader.*software/);
    assert.match(sampled.texts.status, new RegExp(`^step ${STEPS} of ${STEPS}, \\d+ ms each$`));
    assert.match(sampled.texts.command, /--class 1 --seed 3 --cfg 2.5 --scheduler ddim --steps 8/);
    assert.equal(sampled.counts.canvases, 2 * (STEPS + 1));
    assert.match(sampled.texts.check, /^\d+ results, all within their tolerance$/);
    for (const { requests } of [sampled, without, blind]) {
      for (const url of requests) {
        assert.ok(url.startsWith(served.address) || /^(blob|data):/.test(url), url);
      }
    }
    assert.deepEqual(sampled.errors, []);
    assert.match(without.texts.message, /This browser has no WebGPU/);
    assert.equal(without.counts.off, 1);
    assert.match(blind.texts.message, /no GPU that it can use/);

    const page = (await readNpy(saved)).data as Float32Array;
    const error = difference(page, await sampleInDeno(folder, MODEL, 2, ["--cfg", "2.5"]));
    console.log(`browser and Deno differ by ${error.toExponential(1)}`);
    assert.ok(error < 1e-4, String(error));
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name: "a model of nodule masks: the page puts nodules where the command that it names puts them",
  ignore: !CHROMIUM,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "placed-" });
    const model = join(folder, "model");
    await Deno.mkdir(model);
    for (const name of ["config.json", "diffusion_pytorch_model.safetensors"]) {
      await Deno.copyFile(join(MODEL, name), join(model, name));
    }
    await Deno.writeTextFile(
      join(model, "scheduler_config.json"),
      JSON.stringify({ _class_name: "DDPMScheduler", _condition: "nodule-mask" }),
    );
    const saved = join(folder, "sample.npy");
    await using served = await serveBrowser("--model", model);
    const [{ texts, errors }] = await visit([{
      url: served.address,
      steps: [
        { wait: "#sample:enabled" },
        { fill: "#seed", with: "3" },
        { fill: "#mask", with: "0" },
        { fill: "#steps", with: String(STEPS) },
        { click: "#sample" },
        { wait: "#check:enabled" },
        { download: "#save-npy", to: saved },
      ],
      texts: { command: "#command" },
    }]);
    assert.deepEqual(errors, []);
    assert.match(
      texts.command,
      /--cfg 1 --scheduler ddim --steps 8 --nodules random --diameter 6-20/,
    );
    const page = (await readNpy(saved)).data as Float32Array;
    const inDeno = (diameter: string) =>
      sampleInDeno(join(folder, diameter), model, 0, [
        "--nodules",
        "random",
        "--diameter",
        diameter,
      ]);
    const same = difference(page, await inDeno("6-20"));
    const other = difference(page, await inDeno("21-30"));
    console.log(`off by ${same.toExponential(1)}; from other nodules by ${other.toExponential(1)}`);
    assert.ok(same < 1e-4 && other > 5 * same, `${same} ${other}`);
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name: "audit.html opens from a file: a link leads to its node, a name finds one",
  ignore: !CHROMIUM,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "audit-" });
    const file = join(folder, "audit.html");
    const step = auditedStep("train", "demo", presetConfig("demo"), AUDIT_PROFILES.software);
    const report = await auditReport(step);
    const peak = report.dispatches[report.memory.peak.dispatch];
    await Deno.writeTextFile(file, auditPage(step, report, { flops: compareFlops(report) }));
    const detail = { title: "#detail h2", text: "#detail", equation: "#detail .eq" };
    const [linked, found] = await visit([
      {
        url: `file://${file}`,
        steps: [{ click: "[data-open]" }, { wait: "#detail:visible" }],
        texts: detail,
        counts: { nodes: "#graph .node", marked: "#graph .node.on" },
      },
      {
        url: `file://${file}`,
        steps: [
          { fill: "#find", with: "conv2d conv_in" },
          { click: "#fit" },
          { wait: "#detail:visible" },
        ],
        texts: detail,
      },
    ]);
    assert.equal(linked.texts.title, `${peak.op} ${peak.scope}`);
    assert.match(linked.texts.text, /WGSL, final text.*@compute/s);
    assert.deepEqual(linked.counts, {
      nodes: new Set(report.dispatches.map((d) => d.node)).size,
      marked: 1,
    });
    assert.equal(found.texts.title, "conv2d conv_in");
    assert.ok(found.texts.equation.length > 5);
    for (const { errors, requests } of [linked, found]) {
      assert.deepEqual(errors, []);
      assert.ok(requests.every((url) => url.startsWith("file:")), requests.join());
    }
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name:
    "Chromium takes every shader of the presets, ops run right; a folder of the user's is a model",
  ignore: !CHROMIUM,
  async fn() {
    await using served = await serveBrowser();
    const [{ texts, errors }, picked] = await visit([{
      url: `${served.address}conformance.html`,
      steps: [
        { wait: "#run:enabled" },
        { fill: "#only", with: "add silu group_norm_apply random_normal upsample_nearest_2x" },
        { click: "#run" },
        { wait: "#run:enabled" },
      ],
      texts: { status: "#status", message: "#message" },
    }, {
      url: served.address,
      steps: [
        { folder: "#folder", from: join(ROOT, "tests/fixtures/nifti") },
        { wait: "#message:visible" },
        { folder: "#folder", from: MODEL },
        { wait: "#sample:enabled" },
      ],
      texts: { model: "#model", message: "#message" },
    }]);
    assert.equal(texts.message, "");
    assert.deepEqual(errors, []);
    console.log(texts.status);
    const [shaders, plans, failures] = texts.status.match(/\d+/g)!.map(Number);
    assert.ok(shaders > 40 && plans > 40, texts.status);
    assert.equal(failures, 0, texts.status);
    assert.match(
      picked.texts.model,
      /^diffusers_tiny: [\d,]+ parameters, 12×20\. diffusers_tiny: what it was trained with is not all said; assumed: DDPM/,
    );
    assert.match(picked.texts.message, /holds no diffusion_pytorch_model.safetensors/);
  },
});

Deno.test({
  name: "the benchmark's page: kernels checked and timed in the browser, a file as the schema says",
  ignore: !CHROMIUM,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "bench-page-" });
    const saved = join(folder, "bench.json");
    await using served = await serveBrowser();
    const [{ texts, counts, requests, errors }] = await visit([{
      url: `${served.address}bench.html`,
      steps: [
        { wait: "#run:enabled" },
        { fill: "#model", with: "demo" },
        { fill: "#step", with: "forward" },
        { fill: "#minutes", with: "0.1" },
        { click: "#run" },
        { wait: "#save:visible" },
        { download: "#save", to: saved },
      ],
      texts: { status: "#status", adapter: "#adapter" },
      counts: { tables: "#results table" },
      screenshot: join(folder, "page.png"),
    }]);
    assert.deepEqual(errors, []);
    assert.match(texts.status, /^\d+ kernels in \d+ s$/);
    assert.equal(counts.tables, 2);
    for (const url of requests) {
      assert.ok(url.startsWith(served.address) || /^(blob|data):/.test(url), url);
    }
    const result = await readResult(saved);
    assert.equal(result.machine.adapter, texts.adapter);
    assert.ok(result.rows.length > 0 && result.rows.every((r) => r.error! <= r.tolerance!));
    assert.deepEqual(result.steps!.map((s) => [s.kind, s.batch]).at(0), ["forward", 1]);
    console.log(`${texts.adapter}, ${texts.status}, timed by ${result.rows[0].clock}`);
    await Deno.remove(folder, { recursive: true });
  },
});
