/** Runs the cases of the ops, as the project's own tests do, on the browser's GPU. */

/// <reference lib="dom" />

import { casePlans, halfCases, prepareCase, runCasePlan } from "../../lib/audit/cases.ts";
import { lockedPlans } from "../../lib/audit/locked_plans.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { compilerMessages } from "../../lib/gpu/pipelines.ts";
import type { PlanShader } from "../../lib/plan/plan.ts";
import type { OpDef } from "../../lib/graph/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { table } from "./table.ts";
import { save } from "./view.ts";

const $ = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const button = (id: string) => $<HTMLButtonElement>(id);

interface Failure {
  readonly what: string;
  readonly why: string;
}

interface OpResult {
  readonly op: string;
  /** Plans that ran. */
  readonly plans: number;
  /** Largest share of its tolerance, and of which case. */
  readonly share: number;
  readonly worst: string;
  readonly failures: readonly Failure[];
  readonly seconds: number;
}

interface Report {
  readonly adapter: string;
  readonly browser: string;
  readonly features: readonly string[];
  readonly shaders: { readonly read: number; readonly failures: readonly Failure[] };
  readonly ops: OpResult[];
}

const reason = (error: unknown) => (error as Error).message;

function progress(part: number, text: string): void {
  $<HTMLProgressElement>("progress").value = part;
  $("status").textContent = text;
}

/** Lets the page be drawn. */
const breathe = () => new Promise((done) => setTimeout(done));

/** Every shader of the presets' Plans through the front of the browser's compiler. */
async function readShaders(gpu: Gpu): Promise<Report["shaders"]> {
  const shaders = new Map<string, PlanShader>();
  for (const [name, plan] of lockedPlans()) {
    progress(0, `planning: ${name}`);
    await breathe();
    for (const shader of plan.shaders) shaders.set(shader.text, shader);
  }
  const failures: Failure[] = [];
  let read = 0;
  for (const shader of shaders.values()) {
    const { text } = shader;
    if (/^enable f16;/m.test(text) && !gpu.profile.features.includes("shader-f16")) continue;
    if (/\bsubgroup[A-Z]/.test(text) && gpu.source(text) === text) continue;
    progress(read / shaders.size, `reading ${shader.file}`);
    const messages = await compilerMessages(gpu, shader);
    failures.push(...messages.map((why) => ({ what: shader.file, why })));
    read++;
  }
  return { read, failures };
}

/** @param skip plans with a kernel of these names are left out. */
async function runOp(gpu: Gpu, def: OpDef, skip: readonly string[]): Promise<OpResult> {
  const started = performance.now();
  const profiles = [gpu.profile, { ...gpu.profile, software: !gpu.profile.software }];
  const failures: Failure[] = [];
  let plans = 0, share = 0, worst = "";
  const hasHalf = gpu.profile.features.includes("shader-f16");
  const tests = def.cases.flatMap((test) => [test, ...(hasHalf ? halfCases(def, test) : [])]);
  for (const [i, test] of tests.entries()) {
    const prepared = prepareCase(def, test);
    const seen = new Set<string>();
    for (const device of profiles) {
      for (const { variant, tolerance: base, plan } of casePlans(prepared, device)) {
        if (plan.shaders.some(({ file }) => skip.some((s) => file.endsWith(`/${s}.wgsl`)))) {
          continue;
        }
        const key = JSON.stringify([variant, plan.dispatches, plan.params, plan.shaders]);
        if (seen.has(key)) continue;
        seen.add(key);
        const what = `${test.name} (${variant})`;
        progress(i / tests.length, `${def.name} ${what}`);
        try {
          for (const { error, tolerance } of await runCasePlan(gpu, prepared, plan, base)) {
            // Integers must be equal.
            const part = tolerance > 0 ? error / tolerance : error > 0 ? Infinity : 0;
            if (!(part <= share)) [share, worst] = [part, what];
            if (!(part <= 1)) failures.push({ what, why: `${error} exceeds ${tolerance}` });
          }
        } catch (error) {
          failures.push({ what, why: reason(error) });
          if (gpu.isLost) throw error;
        }
        plans++;
      }
    }
  }
  const seconds = (performance.now() - started) / 1000;
  return { op: def.name, plans, share, worst, failures, seconds };
}

function show(report: Report): void {
  const { shaders, ops } = report;
  const results = table(
    ["op", "plans", "failed", "largest share of its tolerance", "of", "s"],
    ops.map((r) => [
      r.op,
      r.plans,
      r.failures.length,
      Number(r.share.toFixed(3)),
      r.worst,
      Number(r.seconds.toFixed(1)),
    ]),
    (row) => ops[row].failures.length > 0,
  );
  const failures = [
    ...shaders.failures,
    ...ops.flatMap((r) => r.failures.map((f) => ({ ...f, what: `${r.op} ${f.what}` }))),
  ];
  const read = document.createElement("p");
  read.textContent = `${shaders.read} shaders read, ${shaders.failures.length} messages.`;
  $("results").replaceChildren(
    read,
    results,
    ...(failures.length
      ? [table(["failed", "why"], failures.map(({ what, why }) => [what, why]))]
      : []),
  );
}

async function run(gpu: Gpu): Promise<void> {
  const words = (id: string) => $<HTMLInputElement>(id).value.split(/[\s,]+/).filter(Boolean);
  const [only, skip] = [words("only"), words("skip")];
  const chosen = Object.values(OPS).filter(({ name }) =>
    (only.length === 0 || only.includes(name)) && !skip.includes(name)
  );
  const report: Report = {
    adapter: gpu.name,
    browser: navigator.userAgent,
    features: gpu.profile.features,
    shaders: await readShaders(gpu),
    ops: [],
  };
  button("save").onclick = () =>
    save("conformance.json", new Blob([JSON.stringify(report, null, 1) + "\n"]));
  button("save").hidden = false;
  for (const def of chosen) {
    report.ops.push(await runOp(gpu, def, skip));
    show(report);
  }
  show(report);
  const failed = report.ops.reduce((sum, r) => sum + r.failures.length, 0) +
    report.shaders.failures.length;
  const plans = report.ops.reduce((sum, r) => sum + r.plans, 0);
  progress(1, `${report.shaders.read} shaders read, ${plans} plans run, ${failed} failures`);
}

function tell(error: unknown): void {
  $("message").hidden = false;
  $("message").textContent = reason(error);
}

openGpu().then((gpu) => {
  $("adapter").textContent = gpu.name;
  button("run").disabled = false;
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    button("run").disabled = true;
    run(gpu).catch(tell).finally(() => button("run").disabled = false);
  });
}).catch(tell);
