/** `deno task mutate`: plants bugs in the kernels and demands that the checks find them. */

import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { mutateFile, type Verdict } from "../lib/audit/mutation.ts";
import { type Equivalent, mutationReport } from "../lib/audit/mutation_report.ts";
import { newCommand, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const RESULTS = join(ROOT, "out/mutations");

const program = newCommand(
  "mutate",
  "Alters the kernels one place at a time (a sign, an operator, an index, a constant, a comparison, " +
    "a statement) and runs the cases of the ops: each such bug must be found.",
)
  .argument("[words...]", "only kernels whose path contains one of these")
  .option("--count <n>", "mutants a kernel", wholeIn(1, 1000), 10)
  .option("--missing", "only kernels without a result yet")
  .option("--report", "run nothing, write docs/mutations.md from the results there are")
  .addHelpText(
    "after",
    `
Examples:
  deno task mutate conv2d/direct_3x3      one kernel
  deno task mutate --missing              go on after a stop
  deno task mutate --report

Results are kept in out/mutations. docs/mutations_equivalent.json argues why a survivor computes the
same. Exit code: 0 all found, 1 a survivor without such a reason, 3 no usable GPU.`,
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

async function savedVerdicts(file: string): Promise<Verdict[] | undefined> {
  const text = await Deno.readTextFile(resultPath(file)).catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

await main(async () => {
  parseArguments(program);
  const { count, missing, report } = program.opts();
  // The benchmark's probes are in no step and no op.
  const all = kernelFiles(join(ROOT, "kernels")).filter((f) => !f.startsWith("kernels/bench/"));
  const files = all.filter((f) =>
    program.args.length === 0 || program.args.some((word) => f.includes(word))
  );
  if (files.length === 0) throw new InputError(`no kernel's path contains ${program.args}`);
  const equivalent: Equivalent[] = JSON.parse(
    await Deno.readTextFile(join(ROOT, "docs/mutations_equivalent.json")).catch(() => "[]"),
  );
  const failed: string[] = [];
  if (!report) {
    const gpu = await openGpu();
    await Deno.mkdir(RESULTS, { recursive: true });
    for (const file of files) {
      if (missing && await savedVerdicts(file)) continue;
      const text = await Deno.readTextFile(join(ROOT, file));
      const start = performance.now();
      const run = mutateFile(gpu, file, text, {
        count,
        onMutant: (v) => {
          if (v.verdict === "survived") {
            console.log(`${file}:${v.line} survived (${v.kind}): ${v.before}  →  ${v.after}`);
          }
        },
      });
      let verdicts: Verdict[];
      try {
        verdicts = await run;
      } catch (error) {
        failed.push((error as Error).message);
        console.log((error as Error).message);
        continue;
      }
      await writeFileAtomic(resultPath(file), JSON.stringify(verdicts, null, 1) + "\n");
      const caught = verdicts.filter((v) => v.verdict === "caught").length;
      const seconds = ((performance.now() - start) / 1000).toFixed(0);
      console.log(`${file}: ${caught} of ${verdicts.length} found, ${seconds} s`);
    }
    gpu.destroy();
  }
  const verdicts = new Map<string, Verdict[]>();
  for (const file of report ? all : files) {
    const saved = await savedVerdicts(file);
    if (saved) verdicts.set(file, saved);
  }
  const { markdown, unexplained } = mutationReport(verdicts, equivalent);
  if (report) await writeFileAtomic(join(ROOT, "docs/mutations.md"), markdown);
  if (failed.length) throw new CheckFailedError(failed.join("; "));
  if (unexplained.length) {
    throw new CheckFailedError(
      `${unexplained.length} mutants survived: ` +
        unexplained.slice(0, 5).map((m) => `${m.file}:${m.line}`).join(", "),
    );
  }
});
