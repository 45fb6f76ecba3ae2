/** `./run bench steps`: whole training and sampling steps of a model, and a trace of one. */

import { resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { table } from "../lib/audit/text.ts";
import { stepTable } from "../lib/bench/output.ts";
import { measurePeaks } from "../lib/bench/peaks.ts";
import {
  type BenchResult,
  RESULT_FORMAT,
  RESULT_VERSION,
  type StepResult,
} from "../lib/bench/result.ts";
import { Budget } from "../lib/bench/statistics.ts";
import type { StepKind } from "../lib/bench/steps.ts";
import { traceFile } from "../lib/bench/trace.ts";
import { timeStep } from "../lib/bench/whole_steps.ts";
import { newCommand, numberIn, precisionOption, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { InputError } from "../lib/errors.ts";
import type { Precision } from "../lib/graph/tensor.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { aboutHere, modelOption, open } from "./bench_options.ts";

const KINDS = ["train", "sample", "forward"] as const;

const numbers = (text: string) => {
  const values = text.split(",").map(Number);
  if (values.every((v) => Number.isInteger(v) && v > 0 && v <= 4096)) return values;
  throw new InvalidArgumentError("It must be whole numbers with commas between, such as 1,8.");
};

const program = newCommand("bench steps", "Times whole steps of a model, and traces one.")
  .addOption(modelOption())
  .addOption(new Option("--step <kinds...>", "which steps").choices(KINDS))
  .option("--batch <list>", "batches (default: the model's own)", numbers)
  .option("--size <n>", "image size (default: the model's own)", wholeIn(4, 4096))
  .addOption(precisionOption())
  .option("--exact", "only variants that sum as written")
  .option("--untuned", "variants in the order shipped, whatever `./run tune` stored")
  .option(
    "--budget <seconds>",
    "time at most, three rows of steps at least",
    numberIn(1, 86400),
    30,
  )
  .option("--trace <file>", "one step as Chrome's trace events, for ui.perfetto.dev")
  .option("--json <file>", "all figures; schema: lib/bench/schema.json")
  .addHelpText(
    "after",
    `
inferena is the U-Net of github.com/kvark/inferena (5.3 million parameters, batch 2, 4×32×32);
forward is its "latency", train its forward, loss and backward.

Examples:
  ./run bench steps --model seed --step train sample --batch 1,8
  ./run bench steps --model inferena
  ./run bench steps --model demo --step train --trace out/trace.json`,
  );

interface Options {
  model: string;
  step?: StepKind[];
  batch?: number[];
  size?: number;
  precision: Precision;
  exact?: boolean;
  untuned?: boolean;
  budget: number;
  trace?: string;
  json?: string;
}

await main(async () => {
  parseArguments(program);
  const options = program.opts<Options>();
  const { step, batch, trace, json } = options;
  const started = performance.now();
  const chosen = await open({ ...options, step: step?.[0] ?? "forward", batch: undefined });
  const { gpu, plan, model, at } = chosen;
  const kinds = step ?? model.kinds;
  for (const kind of kinds) {
    if (model.kinds.includes(kind)) continue;
    throw new InputError(`--step ${kind}: ${model.name} has ${model.kinds.join(", ")}`);
  }
  const jobs = kinds.flatMap((kind) =>
    (batch ?? [model.batch]).map((n) => ({ kind, at: { ...at, batch: n } }))
  );
  if (trace && jobs.length > 1) {
    throw new InputError(`--trace is of one step: --step and --batch choose ${jobs.length}`);
  }
  if (trace && !gpu.profile.features.includes("timestamp-query")) {
    throw new InputError("--trace needs timestamps, which this device has not");
  }
  const budget = new Budget(options.budget);
  const steps: StepResult[] = [];
  const write = async (path: string, value: unknown) => {
    await writeFileAtomic(resolve(path), JSON.stringify(value) + "\n");
    console.log(`wrote ${path}`);
  };
  for (const [i, job] of jobs.entries()) {
    console.error(`${i + 1}/${jobs.length} ${model.name} ${job.kind}, batch ${job.at.batch}`);
    const timed = await timeStep(gpu, model, job.kind, job.at, plan, {
      ...{ budget: budget.part(1 / (jobs.length - i)), trace: trace !== undefined },
    });
    steps.push(timed.result);
    if (trace) {
      const about = {
        ...{ adapter: gpu.name, model: model.name, step: job.kind, ...job.at },
      };
      await write(trace, traceFile(timed.step, timed.timeline!, about));
    }
  }
  const shown = stepTable(steps);
  console.log(`${table(shown.head, shown.rows)}\n${gpu.name}`);
  if (json) {
    const result: BenchResult = {
      ...{ format: RESULT_FORMAT, version: RESULT_VERSION, date: new Date().toISOString() },
      ...await aboutHere(gpu),
      options: { model: model.name, precision: at.precision, exact: Boolean(plan.exact) },
      seconds: (performance.now() - started) / 1000,
      peaks: await measurePeaks(gpu, 3),
      ...{ rows: [], steps },
    };
    await write(json, result);
  }
  gpu.destroy();
});
