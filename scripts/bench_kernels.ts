/** `./run bench kernels`: kernels one by one, checked against float64 and timed in turns. */

import { resolve } from "node:path";
import { table } from "../lib/audit/text.ts";
import { offersOfModel } from "../lib/bench/jobs.ts";
import { rowsCsv, rowTable } from "../lib/bench/output.ts";
import { higherPeaks, measurePeaks } from "../lib/bench/peaks.ts";
import { type BenchResult, RESULT_FORMAT, RESULT_VERSION } from "../lib/bench/result.ts";
import { measureRows, resultRow, rowsAbovePeak } from "../lib/bench/rows.ts";
import { Budget } from "../lib/bench/statistics.ts";
import { markdownTable, short } from "../lib/bench/tables.ts";
import { newCommand, numberIn, refuseGiven } from "../lib/cli/command.ts";
import { main, parseArguments, progressBar } from "../lib/cli/main.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import {
  aboutHere,
  checkChoice,
  type Choice,
  choiceOptions,
  jobsChosen,
  open,
} from "./bench_options.ts";

const program = choiceOptions(newCommand(
  "bench kernels",
  "Times kernels one by one: only what is chosen is compiled, checked and measured.",
))
  .option("--cold", "with caches flushed before each run")
  .option("--budget <seconds>", "time at most (default: 5 and 2 a row)", numberIn(1, 86400))
  .option("--list", "only say what there is: shapes, variants, and why each is taken or not")
  .option("--json <file>", "all figures; schema: lib/bench/schema.json")
  .option("--csv <file>", "a line a row")
  .option("--markdown <file>", "the table")
  .addHelpText(
    "after",
    `
A row is timed in blocks that take turns with the other rows, until its median is known to 1% or the
time is up. Each kernel is compared with float64 first. A row faster than the device ends the run.

Examples:
  ./run bench kernels --list --op conv2d --model seed
  ./run bench kernels --op group_norm --model seed
  ./run bench kernels --op conv2d --shape x=8x32x128x128,w=64x32x3x3,stride=1 --variant all
  ./run bench kernels --op conv2d --shape x=1x32x64x64,w=32x32x3x3 --axis co=32,64,96
  ./run bench kernels --model inferena --json out/old.json
  ./run bench compare out/old.json out/new.json
A session from a slow kernel to a faster one: docs/benchmarking.md`,
  );

interface Options extends Choice {
  cold?: boolean;
  budget?: number;
  list?: boolean;
  json?: string;
  csv?: string;
  markdown?: string;
}

await main(async () => {
  parseArguments(program);
  const options = program.opts<Options>();
  checkChoice(program, options);
  if (options.list) {
    const idle = ["json", "csv", "markdown", "budget", "cold"];
    refuseGiven(program, idle, "--list measures nothing");
  }
  const started = performance.now();
  const chosen = await open(options);
  const { gpu, plan, ops, model, at } = chosen;
  if (options.cold && !gpu.profile.features.includes("timestamp-query")) {
    throw new InputError("--cold needs timestamps, which this device has not");
  }
  if (options.list) {
    for (const o of offersOfModel(model, options.step, at, plan, ops)) {
      console.log(`${o.op}  ${o.shape}  × ${o.count}  ${o.scope}`);
      console.log(table(["  variant", "why"], o.variants.map((v) => [`  ${v.name}`, v.why])));
    }
    return;
  }
  const jobs = jobsChosen(chosen, options);
  const budget = new Budget(options.budget ?? 5 + 2 * jobs.length);
  const bar = jobs.length > 1 ? progressBar("blocks", Math.ceil(budget.seconds), "s") : undefined;
  const spent = () => Math.min(budget.seconds, budget.seconds - budget.left);
  const measured = await measureRows(gpu, jobs, {
    ...{ plan, budget, cold: options.cold },
    onFirst(job, ms, done, total) {
      const { form: { op }, variant: { name }, shape } = job;
      console.error(`${done}/${total} ${op} ${shape} ${name}: ${short(ms)} ms, first figure`);
    },
    onProgress: () => bar?.update(Math.round(spent())),
  });
  bar?.stop();
  let peaks = await measurePeaks(gpu, 3);
  const rowsNow = () => measured.map((m) => resultRow(m, peaks, { gpu, cold: options.cold }));
  // Another program may have slowed down the measurement of the peak: it gets more chances.
  for (let i = 0; i < 3 && rowsAbovePeak(rowsNow(), peaks).length; i++) {
    peaks = higherPeaks(peaks, await measurePeaks(gpu));
  }
  const result: BenchResult = {
    format: RESULT_FORMAT,
    version: RESULT_VERSION,
    date: new Date().toISOString(),
    ...await aboutHere(gpu),
    options: {
      ...(options.op ? { op: options.op } : {}),
      ...(options.shape ? { shape: options.shape.join(" ") } : { model: model.name, ...at }),
      ...(options.shape ? {} : { step: options.step }),
      ...{ precision: at.precision, exact: Boolean(plan.exact), tuned: plan.choose !== undefined },
      ...(options.device ? { device: options.device } : {}),
    },
    seconds: (performance.now() - started) / 1000,
    peaks,
    rows: rowsNow(),
  };
  const shown = rowTable(result);
  console.log(`${table(shown.head, shown.rows)}\n${shown.note}`);
  const write = async (path: string | undefined, text: () => string) => {
    if (!path) return;
    await writeFileAtomic(resolve(path), text());
    console.log(`wrote ${path}`);
  };
  await write(options.json, () => JSON.stringify(result, null, 1) + "\n");
  const errors = rowsAbovePeak(result.rows, peaks);
  if (errors.length) throw new CheckFailedError(errors.join("\n"));
  await write(options.csv, () => rowsCsv(result.rows));
  await write(options.markdown, () => markdownTable(shown));
  gpu.destroy();
});
