/** The mutation run of TypeScript: what it plants, what it finds, and a sample of this project. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { testFilesOf, testsFor } from "../../lib/mutate/imports.ts";
import { findMutants, instrument } from "../../lib/mutate/mutants.ts";
import { type Equivalent, shareCaught, summarise } from "../../lib/mutate/report.ts";
import { chooseMutants, mutationRun } from "../../lib/mutate/run.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

for (
  const [text, ...expected] of [
    ["x = a - b;", "arithmetic: a + b", "dropped assignment: ;"],
    ["x = (a - b) * c;", "arithmetic: (a - b) / c", "arithmetic: a + b", "dropped assignment: ;"],
    ["const y = a <= b;", "comparison: a > b", "boundary: a < b"],
    ["const y = a && !b;", "condition: a || !b", "condition: b"],
    ["if (a) f();", "condition: true", "condition: false", "dropped call: ;"],
    ["const y = a ? b : c;", "condition: true", "condition: false"],
    ["const y = 0.51;", "constant: 0.765"],
    ["const y = [4, -2, true];", "constant: 5", "constant: 2", "constant: false"],
    ["function f(a = 3) {}", "default: 4"],
    ["const y = a ?? 3;", "default: 3", "default: 4"],
    ['program.option("--x <n>", "what", whole, 8);', "dropped call: ;", "default: 9"],
    ["const y = f(a, b, c);", "argument order: b, a"],
    ["const y = Math.max(a, b);"],
    ["await f(a);", "dropped call: ;"],
    ["throw new Error(`at most ${a + 1}`);"],
    ["type A = 3; const y = b as 4;"],
    ['const y = "a" + b;'],
  ]
) {
  Deno.test(`mutants of: ${text}`, () => {
    const found = findMutants(text).map((m) => `${m.kind}: ${m.after}`);
    assert.deepEqual(found.sort(), expected.sort());
  });
}

Deno.test("all mutants of a text in one module: off it computes the same, on only its own bug", async () => {
  const text = "export const f = (a, b = 2, low = 0) => {\n" +
    "  let s = 0;\n  if (a > low && b !== 5) s = Math.max((a + b) * 3, low);\n" +
    "  else s = -1;\n  return s;\n};\n";
  const mutants = findMutants(text).map((m, i) => ({ ...m, file: "f.ts", id: i + 1 }));
  const written = instrument(text, mutants, "switch");
  assert.equal(written.match(/__mutant\(\d+\)/g)?.length, mutants.length);
  const load = async (code: string) =>
    (await import(`data:text/javascript,${encodeURIComponent(code)}`)).f as (
      ...n: number[]
    ) => number;
  const inputs = [[1], [0], [2, 5], [-1], [3, 0, 2], [1, -4]];
  const run = (f: (...n: number[]) => number) => inputs.map((n) => f(...n));
  const plain = run(await load(text));
  for (const id of [0, ...mutants.map((m) => m.id)]) {
    const withSwitch = written.replace(/^import .*\n/, `const __mutant = (id) => id === ${id};\n`);
    const here = run(await load(withSwitch));
    if (id === 0) {
      assert.deepEqual(here, plain);
      continue;
    }
    const { start, end, after, form } = mutants[id - 1];
    const byHand = run(await load(text.slice(0, start) + after + text.slice(end)));
    assert.deepEqual(here, byHand, `${form} ${after}`);
  }
});

Deno.test("the nearest quick test comes first, what starts a script last, others not at all", () => {
  const tests = testFilesOf(
    new Map([
      ["lib/a.ts", ""],
      ["lib/b.ts", 'import { a } from "./a.ts";'],
      ["lib/worker.ts", 'import "./a.ts";'],
      ["scripts/tool.ts", 'import "../lib/a.ts";'],
      ["tests/a_far_test.ts", 'import "../lib/b.ts";'],
      ["tests/near_test.ts", 'import { a }\nfrom "../lib/a.ts";'],
      ["tests/cli_test.ts", 'new Deno.Command("deno"); const tool = "tool";'],
      ["tests/other_test.ts", ""],
      ["tests/worker_test.ts", 'new Worker(new URL("../lib/worker.ts", import.meta.url))'],
    ]),
  );
  const met = testsFor("lib/a.ts", tests);
  const order = ["near", "a_far", "worker", "cli"].map((name) => `tests/${name}_test.ts`);
  assert.deepEqual(met.map((t) => t.path), order);
  assert.deepEqual(met.map((t) => t.elsewhere.has("lib/a.ts")), [false, false, true, true]);
});

Deno.test("a sample is of the seed, the same each time, and does not move with the lines", () => {
  const texts = new Map([["lib/a.ts", "x = (b) => b + 1;\n".repeat(20)]]);
  const moved = new Map([["lib/a.ts", "// more\n\n" + texts.get("lib/a.ts")]]);
  const spots = (from: typeof texts, seed: number, shift = 0) =>
    chooseMutants(from, { sample: 9, seed }).map((m) => [m.line - shift, m.kind, m.after]);
  assert.equal(spots(texts, 1).length, 9);
  assert.deepEqual(spots(texts, 1), spots(texts, 1));
  assert.deepEqual(spots(moved, 1, 2), spots(texts, 1));
  assert.notDeepEqual(spots(texts, 2), spots(texts, 1));
});

async function project(files: Record<string, string>): Promise<string> {
  const root = await Deno.makeTempDir();
  for (const [path, text] of Object.entries(files)) {
    const full = join(root, path);
    await Deno.mkdir(join(full, ".."), { recursive: true });
    await Deno.writeTextFile(full, text);
  }
  return root;
}

Deno.test("caught: by a value, by an endless loop, while loading, in a process; missed: what no test sees", async () => {
  const root = await project({
    "lib/sum.ts": `
export const SCALE = 3;
const kept = new Map();
export function sum(n) {
  let s = 0;
  for (let i = 0; i < n; i += 1) s = s + i;
  return s * SCALE;
}
export function remembered(n) {
  if (!kept.has(n)) kept.set(n, n * 7);
  return kept.get(n);
}
export const unseen = (n) => n % 9;
`,
    "scripts/tool.ts": `const sum = 40 + Number(Deno.args[0]);\nconsole.log(sum);`,
    "tests/sum_test.ts": `
import { remembered, sum } from "../lib/sum.ts";
const check = (a, b) => { if (a !== b) throw new Error(a + " is not " + b); };
Deno.test("sums", () => check(sum(4), 18));
Deno.test("remembers", () => check(remembered(2), 14));
Deno.test("passes over", { ignore: true }, () => check(1, 2));
`,
    "tests/tool_test.ts": `
Deno.test("the tool adds", async () => {
  const path = new URL("../scripts/tool.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command("deno", { args: ["run", "--no-check", path, "2"] }).output();
  if (new TextDecoder().decode(stdout).trim() !== "42") throw new Error("no");
});
`,
  });
  const { outcomes, broken } = await mutationRun({ root, work: join(root, "out") });
  await Deno.remove(root, { recursive: true });
  assert.deepEqual(broken, []);
  const of = (before: string, after: string) =>
    outcomes.find((o) => o.mutant.before === before && o.mutant.after === after)!;
  assert.equal(of("s + i", "s - i").by, "tests/sum_test.ts: sums");
  assert.equal(of("i += 1", "i -= 1").by, "tests/sum_test.ts: (it never ended)");
  assert.equal(of("3", "4").by, "tests/sum_test.ts: sums"); // runs while the module loads
  assert.equal(of("n * 7", "n / 7").by, "tests/sum_test.ts: remembers"); // kept from the run before
  assert.equal(of("40", "41").by, "tests/tool_test.ts: the tool adds");
  assert.equal(of("n % 9", "n * 9").by, "(no test runs it)");
  const missed = outcomes.filter((o) => !o.caught).map((o) =>
    `${o.mutant.before}→${o.mutant.after}`
  );
  assert.deepEqual(missed.sort(), ["!kept.has(n)→true", "0→1", "9→10", "n % 9→n * 9"]);
  const equivalent: Equivalent = {
    file: "lib/sum.ts",
    line: "if (!kept.has(n)) kept.set(n, n * 7);",
    before: "!kept.has(n)",
    after: "true",
    why: "computed again",
  };
  const { total, folders } = summarise(outcomes, [equivalent]);
  assert.deepEqual([total.equivalent, total.missed], [1, 3]);
  assert.equal(shareCaught(total), total.caught / (total.caught + 3));
  assert.deepEqual(Object.keys(folders), ["lib", "scripts"]);
});

Deno.test("a test file that fails without a mutant is named and catches nothing", async () => {
  const root = await project({
    "lib/a.ts": "export const a = (n) => n + 1;\n",
    "tests/a_test.ts": `import { a } from "../lib/a.ts";
Deno.test("wrong", () => { if (a(1) !== 3) throw new Error("two"); });`,
  });
  const { outcomes, broken } = await mutationRun({ root, work: join(root, "out") });
  await Deno.remove(root, { recursive: true });
  assert.deepEqual(broken, ["tests/a_test.ts: wrong: two"]);
  assert.ok(outcomes.length > 0 && outcomes.every((o) => !o.caught));
});

Deno.test("a sample of this project's own mutants: all found", async () => {
  const work = await Deno.makeTempDir();
  const { outcomes, broken } = await mutationRun({
    root: ROOT,
    work,
    paths: ["lib/random/", "lib/metrics/overlap", "lib/metrics/psnr", "lib/data/window"],
    sample: 16,
    seed: 3,
    quick: true,
    tests: [
      "tests/unit/philox",
      "tests/metrics/image",
      "tests/metrics/distances",
      "tests/data/window",
    ],
  });
  await Deno.remove(work, { recursive: true });
  assert.deepEqual(broken, []);
  assert.equal(outcomes.length, 16);
  const equivalents: Equivalent[] = JSON.parse(
    Deno.readTextFileSync(join(ROOT, "docs/mutations_typescript_equivalent.json")),
  );
  assert.deepEqual(summarise(outcomes, equivalents).missed, []);
});
