/** `deno task mutate`: plants bugs in the kernels and demands that the checks find them. */

import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { allTrials, mutateFile, type Trial, trialsOf, verdictKey } from "../lib/audit/mutation.ts";
import {
  type Equivalent,
  type FileRun,
  KEY_DIGITS,
  mutationReport,
  parseMutationReport,
} from "../lib/audit/mutation_report.ts";
import { newCommand, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { mutateTypeScript } from "./mutate_typescript.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const RESULTS = join(ROOT, "out/mutations");
const PAGE = join(ROOT, "docs/mutations.md");
const FILE = join(ROOT, "docs/mutations.json");

const program = newCommand(
  "mutate",
  "Alters the kernels one place at a time (a sign, an operator, an index, a constant, a comparison, " +
    "a statement) and runs the cases of the ops: each such bug must be found. With --ts the same of " +
    "the TypeScript, by the tests that import what was altered.",
)
  .argument("[words...]", "only kernels whose path contains one of these; with --ts: begins with")
  .option("--ts", "the TypeScript of lib and scripts instead of the kernels")
  .option("--sample <n>", "with --ts: so many mutants, drawn from all there are", wholeIn(1, 60000))
  .option("--seed <n>", "with --ts: which ones --sample draws", wholeIn(0, 2 ** 31), 0)
  .option("--quick", "with --ts: only tests that start no process and use no GPU")
  .option("--tests <list>", "with --ts: only test files whose path begins so, such as tests/unit")
  .option("--jobs <n>", "with --ts: test files at once", wholeIn(1, 64), 1)
  .option("--count <n>", "mutants a kernel", wholeIn(1, 1000), 8)
  .option("--changed", "only kernels that changed since they were run, or never were")
  .option("--report", "run nothing, write docs/mutations.md and .json from the results there are")
  .addHelpText(
    "after",
    `
Examples:
  ./run mutate conv2d/direct_3x3      one kernel
  ./run mutate --changed              what changed; goes on after a stop
  ./run mutate --report
  ./run mutate --ts lib/metrics --sample 100 --quick

Results are kept in out/mutations, and in docs/mutations.json once reported. They count as long as the
kernel, its plans on this adapter, its cases and tolerances stay what they were.
docs/mutations_equivalent.json argues why a survivor computes the same. Exit code: 0 all found, 1 a
survivor without such a reason, or a report with kernels that have no result, 3 no usable GPU.

--ts works in a copy, out/mutate; --report then writes docs/mutations_typescript.json. Exit code 1:
under 90% of the mutants were caught, those argued in docs/mutations_typescript_equivalent.json aside.`,
  );

function kernelFiles(folder: string): string[] {
  return [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory) return kernelFiles(path);
    return path.endsWith(".wgsl") ? [relative(ROOT, path)] : [];
  });
}

const resultPath = (file: string) =>
  join(RESULTS, file.replace("kernels/", "").replaceAll("/", "__") + ".json");

const readOr = (path: string, other: string) => Deno.readTextFile(path).catch(() => other);

/** A result that is still of this key: of this checkout, or else of the page. */
async function knownRun(
  file: string,
  key: string,
  told: ReadonlyMap<string, FileRun>,
): Promise<FileRun | undefined> {
  const saved: FileRun | null = JSON.parse(await readOr(resultPath(file), "null"));
  return [saved, told.get(file)].find((run) => run?.key.slice(0, KEY_DIGITS) === key) ?? undefined;
}

await main(async () => {
  parseArguments(program);
  const { ts, sample, seed, quick, jobs, tests } = program.opts();
  if (ts) {
    const { changed, report } = program.opts();
    const only = tests?.split(",");
    await mutateTypeScript({
      ...{ paths: program.args, tests: only, sample, seed, quick, jobs, changed, report },
    });
    return;
  }
  const { count, changed, report } = program.opts();
  // The benchmark's probes are in no step and no op.
  const all = kernelFiles(join(ROOT, "kernels")).filter((f) => !f.startsWith("kernels/bench/"));
  const files = all.filter((f) =>
    report || program.args.length === 0 || program.args.some((word) => f.includes(word))
  );
  if (files.length === 0) throw new InputError(`no kernel's path contains ${program.args}`);
  const equivalent: Equivalent[] = JSON.parse(
    await readOr(join(ROOT, "docs/mutations_equivalent.json"), "[]"),
  );
  const told = parseMutationReport(await readOr(FILE, "{}"));
  const gpu = await openGpu();
  const trials = allTrials(gpu);
  await Deno.mkdir(RESULTS, { recursive: true });
  // Kernels for vectors of the other width have no case here: their results are told from its plans.
  const { profile } = gpu;
  const other = { ...profile, lanes: profile.lanes === 16 ? 8 : 16 };
  let elsewhere: Trial[] | undefined;
  const runs = new Map<string, FileRun>();
  const stale: string[] = [], failed: string[] = [];
  for (const file of files) {
    const text = await Deno.readTextFile(join(ROOT, file));
    const own = trialsOf(trials, text);
    const keyed = own.length ? own : trialsOf(elsewhere ??= allTrials({ profile: other }), text);
    const key = (await verdictKey(keyed, text)).slice(0, KEY_DIGITS);
    const known = report || changed ? await knownRun(file, key, told) : undefined;
    if (known) runs.set(file, known);
    else if (report) stale.push(file);
    if (known || report) continue;
    const start = performance.now();
    try {
      if (keyed.length > own.length) {
        throw new Error(
          `${file}: needs vectors of ${32 * other.lanes} bits (LP_NATIVE_VECTOR_WIDTH)`,
        );
      }
      const verdicts = await mutateFile(gpu, own, file, text, {
        count,
        onMutant: (v) => {
          if (v.verdict === "survived") {
            console.log(`${file}:${v.line} survived (${v.kind}): ${v.before}  →  ${v.after}`);
          }
        },
      });
      const run: FileRun = { key, adapter: gpu.name, verdicts };
      await writeFileAtomic(resultPath(file), JSON.stringify(run, null, 1) + "\n");
      runs.set(file, run);
      const caught = verdicts.filter((v) => v.verdict === "caught").length;
      const seconds = ((performance.now() - start) / 1000).toFixed(0);
      console.log(`${file}: ${caught} of ${verdicts.length} found, ${seconds} s`);
    } catch (error) {
      failed.push((error as Error).message);
      console.log((error as Error).message);
    }
  }
  gpu.destroy();
  const { json, markdown, unexplained } = mutationReport(runs, equivalent, stale);
  if (report) {
    await writeFileAtomic(FILE, json);
    await writeFileAtomic(PAGE, markdown);
  }
  if (failed.length) throw new CheckFailedError(failed.join("; "));
  if (unexplained.length) {
    throw new CheckFailedError(
      `${unexplained.length} mutants survived: ` +
        unexplained.slice(0, 5).map((m) => `${m.file}:${m.line}`).join(", "),
    );
  }
  if (stale.length) {
    throw new CheckFailedError(
      `${stale.length} kernels have no result that is still theirs: ./run mutate --changed`,
    );
  }
});
