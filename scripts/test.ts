/** `deno task test`: every test file in a process of its own, two of them at a time. */

import { join, resolve } from "node:path";
import { newCommand, wholeIn } from "../lib/cli/command.ts";
import { parseArguments, progressLines } from "../lib/cli/main.ts";
import { EXIT } from "../lib/errors.ts";

const FLAGS = [
  "--quiet",
  "--cached-only",
  "--frozen",
  "--no-check", // the task has checked all files at once
  "--allow-read",
  "--allow-write=out/tmp",
  "--allow-env=LUNG_SHARED,CI,OP,PATH,HOME,XDG_CACHE_HOME,TMPDIR",
  "--allow-run=deno,sh",
];

interface Outcome {
  readonly code: number;
  readonly signal: string | null;
  readonly passed: number;
  readonly steps: number;
  readonly failed: number;
  /** What it printed. */
  readonly text: string;
}

async function* testFiles(folder: string): AsyncGenerator<string> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = join(folder, name);
    if (isDirectory) yield* testFiles(path);
    else if (name.endsWith("_test.ts")) yield path;
  }
}

async function run(file: string): Promise<Outcome> {
  const { code, signal, stdout, stderr } = await new Deno.Command("deno", {
    args: ["test", ...FLAGS, file],
    // As `./run` has it, which says why; without, a process may abort after its tests have passed.
    env: { DENO_WEBGPU_BACKEND: "vulkan,metal,dx12", TMPDIR: resolve("out/tmp") },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  const said = decoder.decode(stdout);
  // deno-lint-ignore no-control-regex
  const plain = said.replace(/\x1b\[[\d;]*m/g, "");
  const count = (pattern: RegExp) => Number(plain.match(pattern)?.[1] ?? 0);
  return {
    code,
    signal,
    passed: count(/^(?:ok|FAILED) \| (\d+) passed/m),
    steps: count(/^(?:ok|FAILED) \| \d+ passed \((\d+) step/m),
    failed: count(/^(?:ok|FAILED) \|.* (\d+) failed/m),
    text: said + decoder.decode(stderr),
  };
}

const program = newCommand(
  "test",
  "Runs the tests, each file in a process of its own. Exit code: 0 all passed, 1 one failed or none " +
    "ran, 2 wrong use.",
)
  .argument("[paths...]", "test files, and folders of them", ["tests"])
  .option(
    "--jobs <n>",
    "files at once; most of a file's time is compiling kernels, on one core",
    wholeIn(1, 64),
    Math.min(2, navigator.hardwareConcurrency),
  )
  .addHelpText(
    "after",
    `
Examples:
  ./run test                            all, some ten minutes on two cores
  ./run test tests/unit                 a folder
  OP=conv2d ./run test tests/ops/ops_test.ts`,
  );
parseArguments(program);
const folders: string[] = program.processedArgs[0];
for (const folder of folders) {
  const isThere = await Deno.stat(folder).then(() => true, () => false);
  if (isThere) continue;
  console.error(`error: Cannot test "${folder}": there is no such file or folder`);
  Deno.exit(EXIT.usage);
}
const checked = await new Deno.Command("deno", { args: ["task", "--quiet", "check"] }).spawn()
  .status;
if (!checked.success) Deno.exit(EXIT.checkFailed);
await Deno.mkdir("out/tmp", { recursive: true });
const found = await Promise.all(
  folders.map((path) => path.endsWith(".ts") ? [path] : Array.fromAsync(testFiles(path))),
);
const files = found.flat();
const started = performance.now();
const total = { passed: 0, steps: 0, failed: 0 };
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
    const outcome = await run(file);
    running.delete(file);
    total.passed += outcome.passed;
    total.steps += outcome.steps;
    total.failed += outcome.failed;
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
if (bad.length) console.log(`failed: ${bad.join(", ")}`);
console.log(
  `${bad.length ? "FAILED" : "ok"} | ${total.passed} passed (${total.steps} steps) | ` +
    `${total.failed} failed (${Math.floor(seconds / 60)}m${seconds % 60}s)`,
);
Deno.exit(bad.length || total.passed === 0 ? 1 : 0);
