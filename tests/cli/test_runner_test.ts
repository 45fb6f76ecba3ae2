/** `./run test` itself: what is counted, what is named, and when it fails. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Runs a test file of this text, as CI does where `ci` is set. */
async function runTests(
  text: string,
  ci = "",
  shared = "",
): Promise<{ code: number; lines: string[] }> {
  const folder = await Deno.makeTempDir(), file = join(folder, "some_test.ts");
  await Deno.writeTextFile(file, text);
  const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  const flags = (tasks.test.command as string).split(" ").filter((word) => word.startsWith("--"));
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", ...flags, "scripts/test.ts", "--no-check", file],
    cwd: ROOT,
    env: { CI: ci, LUNG_SHARED: shared, NO_COLOR: "1" },
  }).output();
  await Deno.remove(folder, { recursive: true });
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return { code, lines: said.trim().split("\n").map((line) => line.replaceAll(file, "FILE")) };
}

const ends = (lines: string[], pattern: RegExp) => assert.match(lines.join("\n"), pattern);

const SKIPS = `console.log("skipped: no browser");
Deno.test("passes", () => { console.log("something"); });
Deno.test("without data", () => { console.log("skipped: no data"); });
Deno.test("with steps", async (t) => {
  await t.step("a", () => { console.log("skipped: no data"); });
  await t.step("b", () => {});
});
Deno.test({ name: "skipped: wide vectors", ignore: true, fn() {} });
Deno.test({ name: "browser", ignore: true, fn() {} });
`;

Deno.test("skipped tests are no passed ones: counted and named, ignored ones too", async () => {
  const { code, lines } = await runTests(SKIPS);
  assert.equal(code, 0, lines.join("\n"));
  ends(lines, /^ok \| 1 passed \(2 steps\) \| 0 failed \| 4 skipped \(\d+m\d+s\)$/m);
  ends(lines, /^skipped: no data: 2 in FILE$/m);
  ends(lines, /^skipped: wide vectors: 1 in FILE$/m);
  ends(lines, /^skipped: no browser: 1 in FILE$/m);
  assert.ok(!lines.includes("something"), "what passing tests print is left out");
});

Deno.test("CI: a skip for want of ../shared fails, unless LUNG_SHARED=none; other skips do not", async () => {
  const text = `Deno.test("a", () => {});
Deno.test("b", () => { console.log("skipped: ../shared/ct is not there"); });`;
  const plain = await runTests(text);
  assert.equal(plain.code, 0);
  ends(plain.lines, /^ok \| 1 passed \(0 steps\) \| 0 failed \| 1 skipped/m);
  const strict = await runTests(text, "true");
  assert.equal(strict.code, 1);
  ends(strict.lines, /^FAILED \| 1 passed \(0 steps\) \| 1 failed \| 0 skipped/m);
  ends(strict.lines, /^failed: FILE \(1 without \.\.\/shared\)$/m);
  assert.equal((await runTests(text, "true", "none")).code, 0);
  assert.equal((await runTests(SKIPS, "true")).code, 0);
});

Deno.test("a failed test, an error while loading, and no test at all: exit code 1", async () => {
  const failed = await runTests(`Deno.test("bad", () => {
  console.log("skipped: not so");
  throw new Error("the reason");
});
Deno.test("good", () => {});`);
  assert.equal(failed.code, 1);
  ends(failed.lines, /^FAILED \| 1 passed \(0 steps\) \| 1 failed \| 0 skipped/m);
  ends(failed.lines, /the reason/);
  const broken = await runTests(`throw new Error("while loading");`);
  assert.equal(broken.code, 1);
  ends(broken.lines, /^FAILED \| 0 passed \(0 steps\) \| 1 failed/m);
  assert.equal((await runTests("export {};")).code, 1);
  assert.equal((await runTests(`Deno.test("only", () => console.log("skipped: all"));`)).code, 1);
});

Deno.test("tests see a cache folder of their own, not the user's", async () => {
  const { code, lines } = await runTests(
    `import { cacheFolder } from "${ROOT}lib/tune/choice_files.ts";
Deno.test("cache", () => {
  if (!cacheFolder().startsWith("${ROOT}out/tmp/")) throw new Error(cacheFolder());
});`,
  );
  assert.equal(code, 0, lines.join("\n"));
});
