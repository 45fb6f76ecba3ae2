/** `./run bench compare`: two results of `bench kernels`, row by row. */

import { resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import { table } from "../lib/audit/text.ts";
import { compareResults, MARGIN, regressions } from "../lib/bench/compare.ts";
import { compareTable } from "../lib/bench/output.ts";
import { readResult } from "../lib/bench/result_file.ts";
import { markdownTable } from "../lib/bench/tables.ts";
import { newCommand } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { CheckFailedError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";

/** `5%` or `5` as 0.05. */
const share = (text: string) => {
  const value = /^\d+(\.\d+)?%?$/.test(text) ? parseFloat(text) / 100 : NaN;
  if (value >= 0 && value <= 10) return value;
  throw new InvalidArgumentError("It must be a share such as 5%.");
};

const program = newCommand("bench compare", "Compares two results of ./run bench kernels --json.")
  .argument("<old>", "a result")
  .argument("<new>", "another of the same machine")
  .option("--fail-above <share>", "exit code 1 only where a row is slower by more", share, 0)
  .option("--margin <share>", "what differs by less is SAME", share, MARGIN)
  .option("--any-adapter", "compare results of different machines all the same")
  .option("--changed", "only rows whose kernels differ")
  .option("--markdown <file>", "the table")
  .addHelpText(
    "after",
    `
SLOW and FAST: the 99.5% interval of the ratio lies outside the margin, both for the times as they
are and over those of fixed kernels that were timed beside them. SAME: it lies within. AMBIGUOUS:
neither; more time (--budget) or a quieter machine would tell. Exit code 1: a row is SLOW.

Examples:
  ./run bench compare out/old.json out/new.json
  ./run bench compare out/old.json out/new.json --fail-above 5%`,
  );

await main(async () => {
  parseArguments(program);
  const [old, fresh] = program.args;
  const options = program.opts<{
    failAbove: number;
    margin: number;
    anyAdapter?: boolean;
    changed?: boolean;
    markdown?: string;
  }>();
  const all = compareResults(await readResult(old), await readResult(fresh), options);
  const shown = options.changed ? { ...all, rows: all.rows.filter((r) => r.changed) } : all;
  const made = compareTable(shown);
  console.log(`${table(made.head, made.rows)}\n${made.note}`);
  if (options.markdown) {
    await writeFileAtomic(resolve(options.markdown), markdownTable(made));
    console.log(`wrote ${options.markdown}`);
  }
  const slow = regressions(all, options.failAbove);
  if (slow.length) {
    const [worst] = slow.toSorted((a, b) => b.ratio - a.ratio);
    throw new CheckFailedError(
      `${slow.length} of ${all.rows.length} rows became slower, the most ` +
        `${worst.new.op} ${worst.new.shape}: ${worst.ratio.toFixed(3)} times its old time`,
    );
  }
});
