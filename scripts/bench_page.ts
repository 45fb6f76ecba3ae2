/** `./run bench page`: docs/benchmarks.md from the results in benchmarks/. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readResult } from "../lib/bench/result_file.ts";
import { submissionsMarkdown } from "../lib/bench/submissions.ts";
import { replaceMeasured } from "../lib/bench/tables.ts";
import { newCommand } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { CheckFailedError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const program = newCommand(
  "bench page",
  "Makes the tables of all machines in docs/benchmarks.md from benchmarks/*.json.",
)
  .option("--check", "write nothing: exit code 1 where the page is another")
  .addHelpText("after", "\nExamples:\n  ./run bench page\n  ./run bench page --check");

await main(async () => {
  parseArguments(program);
  const folder = join(ROOT, "benchmarks"), page = join(ROOT, "docs/benchmarks.md");
  const files = [...Deno.readDirSync(folder)].map((f) => f.name).filter((n) => n.endsWith(".json"));
  const all = await Promise.all(
    files.sort().map(async (file) => ({ file, result: await readResult(join(folder, file)) })),
  );
  const before = await Deno.readTextFile(page);
  const after = replaceMeasured(before, submissionsMarkdown(all), "submitted");
  if (program.opts().check) {
    if (after !== before) throw new CheckFailedError("docs/benchmarks.md: run ./run bench page");
    return;
  }
  await writeFileAtomic(page, after);
  console.log(`docs/benchmarks.md: ${all.length} machines`);
});
