/** `deno task test`: every test file in a process of its own, two of them at a time. */

import { join, resolve } from "node:path";
import { newCommand, wholeIn } from "../lib/cli/command.ts";
import { parseArguments, progressLines } from "../lib/cli/main.ts";
import { byReason, readTestOutput, type Skip, type TestOutput } from "../lib/cli/test_output.ts";
import { EXIT } from "../lib/errors.ts";

const FLAGS = [
  "--cached-only",
  "--frozen",
  "--no-check", // the task has checked all files at once
  "--allow-read",
  "--allow-write=out/tmp",
  "--allow-env=LUNG_SHARED,CI,OP,PATH,HOME,XDG_CACHE_HOME,TMPDIR",
  // Without a list where this was started so: scripts/launch.ts says when.
  Deno.permissions.querySync({ name: "run" }).state === "granted"
    ? "--allow-run"
    : "--allow-run=deno,sh",
];

/** Reasons of this kind are failures in CI, which has the folder beside the clone. */
const NEEDS_SHARED = /\.\.\/shared/;

interface Outcome extends TestOutput {
  readonly code: number;
  readonly signal: string | null;
  /** What it printed; of one that passed without what its tests said. */
  readonly text: string;
}

/**
 * What tests run in: the driver's variables as `./run` has them, and a cache folder that holds nothing
 * of the user's, so that kernels which `./run tune` chose are not those tested. Packages and compiled
 * shaders stay where they are.
 */
async function environment(): Promise<Record<string, string>> {
  const info = await new Deno.Command("deno", { args: ["info", "--json"] }).output();
  const { denoDir } = JSON.parse(new TextDecoder().decode(info.stdout));
  const home = Deno.env.get("HOME");
  const shaders = Deno.env.get("MESA_SHADER_CACHE_DIR") ?? Deno.env.get("XDG_CACHE_HOME") ??
    (home && join(home, ".cache"));
  return {
    DENO_DIR: denoDir,
    TMPDIR: resolve("out/tmp"),
    XDG_CACHE_HOME: resolve("out/tmp/cache"),
    ...shaders ? { MESA_SHADER_CACHE_DIR: shaders } : {},
    // As `./run` has it, which says why; without, a process may abort after its tests have passed.
    DENO_WEBGPU_BACKEND: "vulkan,metal,dx12",
    // As `./run` has it: Deno would ask its maker's server for a newer version.
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
  };
}

async function* testFiles(folder: string): AsyncGenerator<string> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = join(folder, name);
    if (isDirectory) yield* testFiles(path);
    else if (name.endsWith("_test.ts")) yield path;
  }
}

async function run(file: string, env: Record<string, string>): Promise<Outcome> {
  const { code, signal, stdout, stderr } = await new Deno.Command("deno", {
    args: ["test", ...FLAGS, file],
    env,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  const said = decoder.decode(stdout), read = readTestOutput(said);
  return {
    ...read,
    code,
    signal,
    text: code === 0 ? read.brief : said + decoder.decode(stderr),
  };
}

const program = newCommand(
  "test",
  "Runs the tests, each file in a process of its own. Exit code: 0 all passed, 1 one failed or none " +
    "ran, 2 wrong use. With CI set, a test that is skipped for want of ../shared counts as failed, " +
    "unless LUNG_SHARED=none says that it is not meant to be there.",
)
  .argument("[paths...]", "test files, and folders of them", ["tests"])
  .option(
    "--jobs <n>",
    "files at once; most of a file's time is compiling kernels, on one core",
    wholeIn(1, 64),
    Math.min(2, navigator.hardwareConcurrency),
  )
  .option("--no-check", "do not check the types first")
  .addHelpText(
    "after",
    `
Examples:
  ./run test                            all, some ten minutes on two cores
  ./run test tests/unit                 a folder
  OP=conv2d ./run test tests/ops/ops_test.ts    an op with those of its gradient`,
  );
parseArguments(program);
const folders: string[] = program.processedArgs[0];
for (const folder of folders) {
  const isThere = await Deno.stat(folder).then(() => true, () => false);
  if (isThere) continue;
  console.error(`error: Cannot test "${folder}": there is no such file or folder`);
  Deno.exit(EXIT.usage);
}
if (program.opts().check) {
  const check = new Deno.Command("deno", { args: ["task", "--quiet", "check"] });
  if (!(await check.spawn().status).success) Deno.exit(EXIT.checkFailed);
}
await Deno.mkdir("out/tmp", { recursive: true });
const found = await Promise.all(
  folders.map((path) => path.endsWith(".ts") ? [path] : Array.fromAsync(testFiles(path))),
);
const files = found.flat();
const started = performance.now();
const env = await environment();
const isStrict = Boolean(Deno.env.get("CI")) && Deno.env.get("LUNG_SHARED") !== "none";
const total = { passed: 0, steps: 0, failed: 0 };
const skips: (Skip & { file: string })[] = [];
const bad: string[] = [];
const running = new Set<string>();
const progress = progressLines("test files", files.length, "{running}");
let next = 0, ended = 0;
const show = () => progress.update(ended, { running: [...running].join(", ") });

/** Runs file after file until none is left; each one's output comes whole, when it has ended. */
async function work() {
  while (next < files.length) {
    const file = files[next++];
    const begun = performance.now();
    running.add(file);
    show();
    const outcome = await run(file, env);
    running.delete(file);
    total.passed += outcome.passed;
    total.steps += outcome.steps;
    total.failed += outcome.failed;
    const missing: Skip[] = outcome.skipped.filter(({ why }) => isStrict && NEEDS_SHARED.test(why));
    total.failed += missing.length;
    if (missing.length) bad.push(`${file} (${missing.length} without ../shared)`);
    skips.push(...outcome.skipped.filter((s) => !missing.includes(s)).map((s) => ({ ...s, file })));
    if (outcome.code !== 0) {
      if (outcome.failed === 0) total.failed++;
      bad.push(outcome.signal ? `${file} (${outcome.signal})` : file);
    }
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    console.log(`${outcome.text.trim()}\n${file}: ${seconds} s\n`);
    ended++;
    show();
  }
}

await Promise.all(Array.from({ length: program.opts().jobs }, work));
progress.stop();
const seconds = Math.round((performance.now() - started) / 1000);
for (const line of byReason(skips)) console.log(line);
if (bad.length) console.log(`failed: ${bad.join(", ")}`);
console.log(
  `${bad.length ? "FAILED" : "ok"} | ${total.passed} passed (${total.steps} steps) | ` +
    `${total.failed} failed | ${skips.length} skipped (${Math.floor(seconds / 60)}m${
      seconds % 60
    }s)`,
);
Deno.exit(bad.length || total.passed === 0 ? 1 : 0);
