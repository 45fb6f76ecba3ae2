/** The replay of a real step finds a bug planted in a kernel, and nothing else. */

import assert from "node:assert/strict";
import { checkStep, type NodeCheck, requireWithin, shareOf } from "../../lib/audit/check.ts";
import { allMutants, ordered, plant } from "../../lib/audit/mutants.ts";
import { allTrials, mutateFile, trialsOf, verdictKey } from "../../lib/audit/mutation.ts";
import { mutationReport, parseMutationReport } from "../../lib/audit/mutation_report.ts";
import { auditedStep } from "../../lib/audit/steps.ts";
import { compare, coordinates, ulp } from "../../lib/audit/values.ts";
import { CheckFailedError } from "../../lib/errors.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { tinyConfig, tinyTrainer } from "./tiny.ts";

const text = (file: string) => Deno.readTextFileSync(new URL(`../../${file}`, import.meta.url));

Deno.test("a step dispatch by dispatch: right, then with a bug in one kernel", async () => {
  const gpu = await openGpu();
  const trainer = await tinyTrainer(gpu);
  await trainer.runStep();
  const step = auditedStep("train", "tiny", tinyConfig(), gpu.profile);
  const right = await checkStep(step.graph, trainer.executable);
  const nodes = new Set(step.plan.dispatches.map((d) => d.node));
  assert.equal(new Set(right.map((c) => c.node)).size, nodes.size, "every node was compared");
  assert.deepEqual(right.filter((c) => !(shareOf(c) <= 1)), []);
  // What is allowed is what the op's own cases allow, where no sum cancels.
  for (const { op, tolerance, conditioned } of right) {
    const { cases } = OPS[op as keyof typeof OPS];
    const most = Math.max(...cases.map((c) => c.inexactTolerance ?? c.tolerance));
    if (!conditioned) assert.ok(tolerance <= most, `${op}: ${tolerance} of ${most}`);
  }
  assert.ok(right.filter((c) => c.conditioned).length < right.length / 4);
  requireWithin(right);

  const file = "kernels/silu/backward.wgsl";
  const mutant = ordered(allMutants(file, text(file))).find((m) => m.kind === "sign")!;
  const shaders = step.plan.shaders.map((s) => ({
    ...s,
    text: plant(s.text, text(file), mutant) ?? s.text,
  }));
  const wrong = await Executable.load(gpu, { ...step.plan, shaders });
  for (const name of [...Object.keys(step.plan.inputs), ...Object.keys(step.plan.states)]) {
    wrong.write(name, new Uint32Array(await trainer.executable.readBytes(name)));
  }
  const found = (await checkStep(step.graph, wrong)).filter((c) => !(shareOf(c) <= 1));
  assert.ok(found.length > 0);
  for (const c of found) assert.equal(c.op, "silu_backward", `${c.op} ${c.scope}`);
  assert.throws(
    () => requireWithin([...right, ...found]),
    /\d+ results? exceeds? .* silu_backward/,
  );
  gpu.destroy();
});

Deno.test("one result beyond its tolerance, or none at all, is a failed check", () => {
  const result = (relative: number) =>
    ({ op: "silu", scope: "mid", relative, tolerance: 1e-6 }) as NodeCheck;
  requireWithin([result(0), result(1e-6)]);
  assert.throws(() => requireWithin([result(0), result(1.01e-6)]), CheckFailedError);
  assert.throws(() => requireWithin([result(NaN)]), CheckFailedError);
  assert.throws(() => requireWithin([result(Infinity), result(0)]), /1 results? exceed/);
  assert.throws(() => requireWithin([]), /nothing was compared/);
});

Deno.test("a step with f16: what is stored is the nearest to what was computed", async () => {
  const gpu = await openGpu();
  const trainer = await tinyTrainer(gpu, "f16");
  await trainer.runStep();
  const step = auditedStep("train", "tiny", tinyConfig("f16"), gpu.profile);
  const checks = await checkStep(step.graph, trainer.executable);
  assert.deepEqual(checks.filter((c) => !(shareOf(c) <= 1)), []);
  const stored = checks.filter((c) => step.graph.nodes[c.node].outputs[c.output].dtype === "f16");
  assert.ok(
    stored.some((c) => c.phase === "forward") && stored.some((c) => c.phase === "backward"),
  );
  assert.ok(stored.every((c) => c.tolerance < 1e-3));
  gpu.destroy();
});

Deno.test("mutants of a kernel are found by its op's cases", async () => {
  const gpu = await openGpu();
  const file = "kernels/silu/forward.wgsl";
  const trials = trialsOf(allTrials(gpu), text(file));
  const verdicts = await mutateFile(gpu, trials, file, text(file), { count: 6 });
  assert.equal(verdicts.length, 6);
  assert.deepEqual(verdicts.filter((v) => v.verdict !== "caught"), []);
  gpu.destroy();

  const key = await verdictKey(trials, text(file));
  assert.equal(await verdictKey(trials, text(file)), key);
  assert.notEqual(await verdictKey(trials, text(file) + "\n"), key);
  const [first, ...rest] = trials;
  assert.notEqual(await verdictKey([{ ...first, tolerance: 1 }, ...rest], text(file)), key);
  const other = { ...first.plan, params: [...first.plan.params, 0] };
  assert.notEqual(await verdictKey([{ ...first, plan: other }, ...rest], text(file)), key);
});

Deno.test("the page of the mutation run is read back as it was written", () => {
  const [file, other] = ["kernels/a/b.wgsl", "kernels/a/c.wgsl"];
  const mutant = { file, line: 7, kind: "operator" };
  const found = { verdict: "caught", by: "a odd (x, folded)", error: 0.25 } as const;
  const runs = new Map([
    [file, {
      key: "0123456789abcdef",
      adapter: "llvmpipe (LLVM 15.0.6, 256 bits)",
      verdicts: [
        { ...mutant, before: "if (a || b) {", after: "if (a && b) {", ...found },
        { ...mutant, before: "x = y;", after: "", ...found, error: null },
        {
          ...{ ...mutant, before: "a < b", after: "a <= b" },
          ...{ verdict: "survived", by: null, error: null } as const,
        },
      ],
    }],
    [other, { key: "fedcba9876543210", adapter: "GPU", verdicts: [] }],
  ]);
  const equal = { file, before: "a < b", after: "a <= b", why: "a is never b" };
  const { json, unexplained } = mutationReport(runs, [equal]);
  assert.deepEqual(unexplained, []);
  assert.deepEqual(parseMutationReport(json), runs);
  const missed = mutationReport(runs, [], ["kernels/d.wgsl"]);
  assert.equal(missed.unexplained.length, 1);
  assert.match(missed.markdown, /Not run since they changed: kernels\/d.wgsl/);
  assert.match(missed.markdown, /\| 1 \|\n\| \*\*all\*\* \| 2 \|/);
  assert.ok(missed.markdown.split("\n").length < 40);
  assert.deepEqual(parseMutationReport(missed.json), runs);
});

Deno.test("every kernel has at least five places to plant a bug", () => {
  const folder = new URL("../../kernels/", import.meta.url);
  const files = [...Deno.readDirSync(folder)].flatMap((d) =>
    [...Deno.readDirSync(new URL(`${d.name}/`, folder))].map((f) => `kernels/${d.name}/${f.name}`)
  );
  assert.ok(files.length > 40);
  for (const file of files.filter((f) => !f.startsWith("kernels/lib/"))) {
    assert.ok(allMutants(file, text(file)).length >= 5, file);
  }
});

Deno.test("differences: relative, largest, in units of the last place", () => {
  assert.equal(ulp(1), 2 ** -23);
  assert.equal(ulp(0), 2 ** -149);
  const d = compare([1, 2 + 2 ** -22, 4], [1, 2, 4]);
  assert.equal(d.worst, 1);
  assert.equal(d.ulps, 1);
  assert.equal(compare([NaN], [1]).relative, Infinity);
  assert.deepEqual(coordinates(23, [2, 3, 4]), [1, 2, 3]);
});

Deno.test("no mutant lies in a kernel's parameters, and those after them are found", () => {
  const lines = ["fn f(", "  a: u32 = 1 + 2,", ") {", "  let x = 3 + 4;", "}"];
  const found = allMutants("f.wgsl", lines.join("\n"));
  assert.ok(found.length > 0);
  assert.deepEqual([...new Set(found.map((m) => m.line))], [4]);
});
