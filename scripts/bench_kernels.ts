/** `./run bench kernels`: kernels one by one, checked against float64 and timed in turns. */

import { cpus } from "node:os";
import { resolve } from "node:path";
import { Option } from "commander";
import { table } from "../lib/audit/text.ts";
import { jobsOfModel, jobsOfShapes, offersOfModel, opsNamed } from "../lib/bench/jobs.ts";
import { machineOf } from "../lib/bench/machine.ts";
import { type BenchModel, configModel, MODEL_NAMES, namedModel } from "../lib/bench/models.ts";
import { rowsCsv, rowTable } from "../lib/bench/output.ts";
import { higherPeaks, measurePeaks } from "../lib/bench/peaks.ts";
import { type BenchResult, RESULT_FORMAT, RESULT_VERSION } from "../lib/bench/result.ts";
import { measureRows, resultRow, rowsAbovePeak } from "../lib/bench/rows.ts";
import { Budget } from "../lib/bench/statistics.ts";
import type { StepKind } from "../lib/bench/steps.ts";
import { markdownTable, short } from "../lib/bench/tables.ts";
import { newCommand, numberIn, precisionOption, refuseGiven, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments, progressBar, repeatable } from "../lib/cli/main.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { type Gpu, openGpu, requirePrecision } from "../lib/gpu/device.ts";
import type { Precision } from "../lib/graph/tensor.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { unet2DConfig } from "../lib/nn/config.ts";
import { CONFIG_NAME, readJsonObject } from "../lib/nn/pretrained.ts";
import { tunedChoice } from "../lib/tune/choice_files.ts";

const program = newCommand(
  "bench kernels",
  "Times kernels one by one: only what is chosen is compiled, checked and measured.",
)
  .option("--op <name>", "an op, or all whose names begin so (default: all)")
  .addOption(repeatable(new Option("--shape <spec>", "a shape of one's own, once or more")))
  .addOption(repeatable(new Option("--axis <name=values>", "a dimension of --shape to vary")))
  .option("--variant <name>", "one variant, or all (default: what the plan takes)")
  .option("--model <name>", `${MODEL_NAMES.join(", ")}, or a diffusers folder`, "seed")
  .addOption(
    new Option("--step <kind>", "whose kernels").choices(["train", "sample", "forward"])
      .default("train"),
  )
  .option("--batch <n>", "of the model (default: its own)", wholeIn(1, 4096))
  .option("--size <n>", "image size of the model (default: its own)", wholeIn(4, 4096))
  .addOption(
    new Option("--device <kind>", "kernels as for a GPU or for software (default: what is here)")
      .choices(["gpu", "software"]),
  )
  .addOption(precisionOption())
  .option("--exact", "only variants that sum as written")
  .option("--untuned", "variants in the order shipped, whatever `./run tune` stored")
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

interface Options {
  op?: string;
  shape?: string[];
  axis?: string[];
  variant?: string;
  model: string;
  step: StepKind;
  batch?: number;
  size?: number;
  device?: "gpu" | "software";
  precision: Precision;
  exact?: boolean;
  untuned?: boolean;
  cold?: boolean;
  budget?: number;
  list?: boolean;
  json?: string;
  csv?: string;
  markdown?: string;
}

async function modelNamed(name: string): Promise<BenchModel> {
  const known = MODEL_NAMES.find((n) => n === name);
  if (known) return namedModel(known);
  const path = resolve(name, CONFIG_NAME);
  try {
    return configModel("a folder", unet2DConfig(await readJsonObject(path), path));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      `--model ${name}: there is ${MODEL_NAMES.join(", ")}, and folders with a ${CONFIG_NAME} ` +
        `(${error.message})`,
    );
  }
}

function programName(): string {
  const text = Deno.readTextFileSync(new URL("../deno.json", import.meta.url));
  const { name, version } = JSON.parse(text);
  return `${name} ${version}`;
}

/** The same device, planned for as another kind. */
const as = (gpu: Gpu, kind?: "gpu" | "software"): Gpu =>
  kind === undefined
    ? gpu
    : Object.create(gpu, { profile: { value: { ...gpu.profile, software: kind === "software" } } });

await main(async () => {
  parseArguments(program);
  const options = program.opts<Options>();
  if (options.shape) {
    refuseGiven(program, ["model", "step", "batch", "size", "list"], "goes without --shape");
    if (!options.op) throw new InputError("--shape: --op says of which op");
  } else refuseGiven(program, ["axis"], "goes with --shape");
  if (options.list) {
    const idle = ["json", "csv", "markdown", "budget", "cold"];
    refuseGiven(program, idle, "--list measures nothing");
  }
  const started = performance.now();
  const gpu = as(await openGpu(), options.device);
  requirePrecision(options.precision, gpu);
  if (options.cold && !gpu.profile.features.includes("timestamp-query")) {
    throw new InputError("--cold needs timestamps, which this device has not");
  }
  const choose = options.untuned ? undefined : await tunedChoice(gpu);
  const plan = { device: gpu.profile, exact: Boolean(options.exact), choose };
  const ops = opsNamed(options.op);
  const model = await modelNamed(options.model);
  const at = {
    batch: options.batch ?? model.batch,
    size: options.size ?? model.size,
    precision: options.precision,
  };
  if (!model.kinds.includes(options.step)) {
    throw new InputError(`--step ${options.step}: ${model.name} has ${model.kinds.join(", ")}`);
  }
  if (options.list) {
    for (const o of offersOfModel(model, options.step, at, plan, ops)) {
      console.log(`${o.op}  ${o.shape}  × ${o.count}  ${o.scope}`);
      console.log(table(["  variant", "why"], o.variants.map((v) => [`  ${v.name}`, v.why])));
    }
    return;
  }
  const { variant, precision } = options;
  const jobs = options.shape
    ? jobsOfShapes(ops[0], options.shape, options.axis ?? [], plan, { precision, variant })
    : jobsOfModel(model, options.step, at, plan, { ops, variant });
  if (jobs.length === 0) {
    throw new InputError(
      `nothing to time: ${model.name}'s ${options.step} step has no ${options.op ?? "op"}` +
        `${variant ? ` with a variant ${variant}` : ""}; --list says what there is`,
    );
  }
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
    program: programName(),
    machine: await machineOf(gpu, {
      runtime: { Deno: Deno.version.deno, V8: Deno.version.v8 },
      processor: cpus()[0]?.model.trim() ?? "",
    }),
    options: {
      ...(options.op ? { op: options.op } : {}),
      ...(options.shape ? { shape: options.shape.join(" ") } : { model: model.name, ...at }),
      ...(options.shape ? {} : { step: options.step }),
      ...{ precision, exact: plan.exact, tuned: choose !== undefined },
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
