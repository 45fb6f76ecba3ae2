/** `./run bench wgsl`: a kernel of one's own, with the bindings and the grid of one that is here. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { table } from "../lib/audit/text.ts";
import { rowTable } from "../lib/bench/output.ts";
import { measurePeaks } from "../lib/bench/peaks.ts";
import { fileReplaced, withTexts } from "../lib/bench/replaced.ts";
import { RESULT_FORMAT, RESULT_VERSION } from "../lib/bench/result.ts";
import { measureRows, resultRow, rowsAbovePeak } from "../lib/bench/rows.ts";
import { Budget } from "../lib/bench/statistics.ts";
import { newCommand, numberIn, refuseGiven } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import type { Variant } from "../lib/graph/op.ts";
import { readFileBounded } from "../lib/io/read.ts";
import {
  aboutHere,
  checkChoice,
  type Choice,
  choiceOptions,
  jobsChosen,
  open,
} from "./bench_options.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const program = choiceOptions(newCommand(
  "bench wgsl",
  "Checks and times a kernel of your own in the place of one that is here.",
))
  .argument("<file>", "a WGSL file with the same bindings, parameters and grid")
  .requiredOption("--like <op/variant>", "whose place it takes")
  .option("--file <name>", "which file of that variant, where it runs several")
  .option("--budget <seconds>", "time at most", numberIn(1, 3600), 10)
  .addHelpText(
    "after",
    `
Examples:
  ./run bench wgsl out/mine.wgsl --like conv2d/tiled_3x3 --device gpu --shape x=1x32x64x64,w=32x32x3x3
  ./run bench wgsl out/mine.wgsl --like group_norm_stats/staged --model demo`,
  );

await main(async () => {
  parseArguments(program);
  const [path] = program.args;
  const options = program.opts<Choice & { like: string; file?: string; budget: number }>();
  refuseGiven(program, ["op", "variant"], "--like says which");
  [options.op, options.variant] = options.like.split("/");
  if (!options.variant) {
    throw new InputError(`--like ${options.like}: it must be OP/VARIANT, such as silu/vec4`);
  }
  checkChoice(program, options);
  const text = new TextDecoder().decode(await readFileBounded(path, 2 ** 20));
  const chosen = await open(options);
  const { gpu, plan } = chosen;
  const read = (file: string) => Deno.readTextFileSync(join(ROOT, file));
  const jobs = jobsChosen(chosen, options).map((job) => {
    const texts = new Map([[fileReplaced(job.variant, path, options.file), text]]);
    const change = (v: Variant) => withTexts(v, texts, read);
    return { ...job, variant: change(job.variant), change };
  });
  const measured = await measureRows(gpu, jobs, { plan, budget: new Budget(options.budget) })
    .catch((error: Error) => {
      throw new CheckFailedError(error.message);
    });
  const peaks = await measurePeaks(gpu, 3);
  const rows = measured.map((m) => resultRow(m, peaks, { gpu }));
  const shown = rowTable({
    ...{ format: RESULT_FORMAT, version: RESULT_VERSION, date: "", options: {}, seconds: 0 },
    ...{ ...await aboutHere(gpu), peaks, rows },
  });
  console.log(`${table(shown.head, shown.rows)}\n${shown.note}`);
  const errors = rowsAbovePeak(rows, peaks);
  if (errors.length) throw new CheckFailedError(errors.join("\n"));
  gpu.destroy();
});
