/** `deno task evaluate`: scores a trained model, or a folder of generated slices. */

import { Command, InvalidArgumentError, Option } from "commander";
import { join } from "node:path";
import { refuseGiven, sizeIn, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments, printNotes, type Progress, progressBar } from "../lib/cli/main.ts";
import { parseShard, type Shard, takeShard } from "../lib/diffusion/jobs.ts";
import { parseCheckpoint, type WhichCheckpoint } from "../lib/diffusion/model_folder.ts";
import { SCHEDULER_CHOICES } from "../lib/diffusion/sampling_model.ts";
import { InputError } from "../lib/errors.ts";
import { isTeachable, NoduleClassifier } from "../lib/evaluate/classifier.ts";
import { evaluate } from "../lib/evaluate/evaluation.ts";
import type { EvaluationInput } from "../lib/evaluate/slices.ts";
import type { Evaluators } from "../lib/evaluate/networks.ts";
import { evaluationPage } from "../lib/evaluate/page.ts";
import { csv, json, type Report, terminalTable } from "../lib/evaluate/report.ts";
import { folderSource, runSource, type Show, type Source } from "../lib/evaluate/sources.ts";
import { type Gpu, openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { checkOutputFolder, lockFolder } from "../lib/io/output_folder.ts";
import { InceptionExtractor, LpipsExtractor, sliceInput } from "../lib/metrics/extract.ts";
import {
  loadWeights,
  WEIGHTS,
  WEIGHTS_COMMAND,
  WEIGHTS_FOLDER,
  type WeightsId,
} from "../lib/metrics/weights.ts";
import { evaluatePlacement } from "./evaluate_placement.ts";
import { evaluateUtility } from "./evaluate_utility.ts";

const positive = (text: string) => {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("It must be a number above 0.");
};
const whole = wholeIn(0, 2 ** 32 - 1), count = wholeIn(1, 2 ** 20);
const numbers = (text: string) =>
  text.split(",").map((part) => {
    const value = Number(part);
    if (part.trim() !== "" && value >= 0 && value <= 100) return value;
    throw new InvalidArgumentError(
      "It must be numbers from 0 to 100 with commas between, such as 1,2,4.",
    );
  });
const sizeOf = (text: string) => {
  const [height, width] = sizeIn(1, 4096)(text);
  return { height, width };
};

const percentsOf = (text: string) => {
  const list = text.split(",").map((part) => part.trim() === "" ? NaN : Number(part));
  if (list.some((v) => !(v > 0 && v <= 100)) || new Set(list).size < list.length) {
    throw new InvalidArgumentError(
      "It must be different numbers above 0 and up to 100 with commas between, such as 10,25,100.",
    );
  }
  return list.sort((a, b) => a - b);
};

const program = new Command("evaluate")
  .description("Scores a trained model's slices, or a folder of them, against real ones.")
  .option("--run <folder>", "a training run: slices are generated for the test set's conditions")
  .option("--checkpoint <which>", "of the run: newest, best, or a step", parseCheckpoint, "newest")
  .option(
    "--data <folder>",
    "real slices in the .npy layout (default: what the run was trained on)",
  )
  .option("--generated <folder>", "score these slices instead (the layout that sample writes)")
  .option(
    "--real <folder>",
    "real slices for --generated; paired by name, or by what sample wrote down",
  )
  .option("--count <n>", "test slices of each class, 0 for all", whole, 16)
  .option("--cfg <list>", "guidance scales, such as 1,2,4 (default: the run's)", numbers)
  .option("--steps <n>", "reverse steps", count, 50)
  .addOption(new Option("--scheduler <name>", "sampler").choices(SCHEDULER_CHOICES).default("ddim"))
  .option("--seed <n>", "what the test set, the noise and the resampling follow from", whole, 0)
  .option("--batch <n>", "slices at a time", count, 8)
  .option("--resolution <HxW>", "size to score at, for --generated (default: as they are)", sizeOf)
  .option(
    "--pixel-spacing <mm>",
    "of a pixel, for the segmenter (default: a body 360 mm wide)",
    positive,
  )
  .option("--train-limit <n>", "training slices looked at for copies, 0 for all", whole, 2000)
  .option(
    "--classifier-steps <n>",
    "training steps of the nodule classifier, 0 for none",
    whole,
    150,
  )
  .addOption(
    new Option(
      "--shard <i/n>",
      "only the heavy part of every n-th slice, from the i-th (from 0) on",
    )
      .argParser(parseShard),
  )
  .option(
    "--placement",
    "only: are nodules where they were asked for? (models trained with --condition nodule-mask)",
  )
  .option(
    "--diameter <mm>",
    "sizes asked for with --placement, LOW-HIGH (default: the held-out nodules' own)",
  )
  .option("--nodules <n>", "nodules asked for with --placement", count, 320)
  .option(
    "--detector-steps <n>",
    "training steps of --placement's detector, and of each of --utility's",
    count,
    600,
  )
  .option(
    "--utility",
    "only: does a nodule segmenter gain from synthetic slices? with --run, or --real and --synthetic",
  )
  .option("--synthetic <folder>", "slices for --utility (default: --run generates them)")
  .option("--synthetic-count <n>", "slices of each class that --run generates for it", count, 200)
  .option("--percents <list>", "shares of the real training patients for it", percentsOf, [
    10,
    25,
    100,
  ])
  .option("--patients <n>", "real training patients that count as all, 0 for all", whole, 0)
  .option("--seeds <n>", "how often each segmenter is trained, from --seed on", count, 5)
  .option("--any-values", "take real slices whose values are no HU")
  .option("--no-ema", "plain weights of the run instead of the averaged ones")
  .option("--no-weights", "leave out FID, KID, IS and LPIPS although their networks are there")
  .option("--out <folder>", "where the report goes (default: RUN/evaluation or out/evaluation)")
  .addHelpText(
    "after",
    `
Examples:
  ./run evaluate --run runs/demo
  ./run evaluate --run runs/lidc --data DIR --count 64 --cfg 1,2,4
  ./run evaluate --run runs/lidc --checkpoint 2000 --out out/early
  ./run evaluate --generated out/samples --real DIR
  ./run evaluate --run runs/demo --placement               # placement.json, placement.png
  ./run evaluate --run runs/demo --utility --patients 40   # utility.html, utility.json
  ./run evaluate --utility --real DIR --synthetic out/samples
  ./run evaluate --run runs/lidc --count 0 --shard 3/8    # of 8 jobs; then once without --shard

Writes evaluation.html, evaluation.json and metrics.csv, and prints the table. Metrics whose network
is missing are "not computed"; \`${WEIGHTS_COMMAND}\` fetches them. Nothing here uses the network.

--shard generates its share of the slices (and computes their Inception features) and leaves them in
the report's folder; the call without it, with the same flags, finds them there and makes what is
missing. An evaluation that was stopped goes on in the same way.

Exit code: 0 done, 2 wrong use or input, 3 no usable GPU.`,
  );

interface Options {
  run?: string;
  checkpoint: WhichCheckpoint;
  data?: string;
  generated?: string;
  real?: string;
  count: number;
  cfg?: number[];
  steps: number;
  scheduler: typeof SCHEDULER_CHOICES[number];
  seed: number;
  batch: number;
  resolution?: { height: number; width: number };
  pixelSpacing?: number;
  trainLimit: number;
  anyValues?: boolean;
  classifierSteps: number;
  placement?: boolean;
  utility?: boolean;
  synthetic?: string;
  syntheticCount: number;
  percents: number[];
  patients: number;
  seeds: number;
  nodules: number;
  detectorSteps: number;
  diameter?: string;
  shard?: Shard;
  ema: boolean;
  weights: boolean;
  out?: string;
}

/** One bar that follows the parts of an evaluation. */
class Stages {
  #bar: Progress | null = null;
  #name = "";
  #total = 0;
  show: Show = (name, done, total) => {
    if (name !== this.#name) {
      this.stop();
      this.#name = name;
      this.#total = Math.max(1, total);
      this.#bar = progressBar(name.padEnd(24), this.#total);
    }
    this.#bar?.update(done);
  };
  /** The part is done, whether or not it said so at its end. */
  stop = () => {
    this.#bar?.update(this.#total);
    this.#bar?.stop();
    this.#bar = null;
    this.#name = "";
  };
}

/** Inception, if its weights are there. */
async function inceptionFor(gpu: Gpu, { weights, batch }: Options) {
  const inception = weights ? await loadWeights("inception") : null;
  const { sha256 } = WEIGHTS.find(({ id }) => id === "inception")!;
  const folder = join(WEIGHTS_FOLDER, "..", "cache", "inception");
  return inception &&
    await InceptionExtractor.create(gpu, inception, { batch, cache: { folder, weights: sha256 } });
}

/** The networks for which there are weights, and what is missing. */
async function networks(
  gpu: Gpu,
  options: Options,
  { size, warnings }: Source,
): Promise<Pick<Evaluators, "inception" | "lpips">> {
  if (!options.weights) return { inception: null, lpips: null };
  const inception = await inceptionFor(gpu, options);
  const [alexnet, heads] = await Promise.all([loadWeights("alexnet"), loadWeights("lpips")]);
  const missing = (there: Partial<Record<WeightsId, unknown>>) =>
    WEIGHTS.filter(({ id }) => id in there && !there[id]).map(({ file }) => file).join(" and ");
  for (
    const [what, files] of [
      ["FID, KID and Inception Score need", missing({ inception })],
      ["LPIPS needs", missing({ alexnet, lpips: heads })],
    ]
  ) if (files) warnings.push(`${what} ${files}: run ${WEIGHTS_COMMAND} first`);
  const lpips = alexnet && heads && await LpipsExtractor.create(gpu, size, alexnet, heads);
  return { inception, lpips };
}

/** Trained on the real training slices; its own AUC comes from real slices it has not seen. */
async function classifierFor(
  gpu: Gpu,
  { classifierSteps: steps, seed }: Options,
  { train, heldOut, size }: Source,
  show: Show,
): Promise<Pick<Evaluators, "classifier" | "classifierHeldOut" | "noClassifier">> {
  const none = (noClassifier: string) => ({
    classifier: null,
    classifierHeldOut: [],
    noClassifier,
  });
  if (steps === 0) return none("--classifier-steps 0");
  const taught = train.filter(isTeachable);
  const classes = new Set(taught.map(({ label }) => label));
  if (classes.size < 2) {
    return none(
      taught.length < train.length
        ? `at ${size.height}×${size.width} no training nodule has a pixel left`
        : "the training slices are not of both classes",
    );
  }
  const classifier = await NoduleClassifier.train(gpu, train, {
    ...size,
    steps,
    batch: Math.min(16, taught.length),
    seed,
    onStep: (done) => show("nodule classifier", done, steps),
  });
  const trained = new Set(train.map(({ id }) => id));
  return { classifier, classifierHeldOut: heldOut.filter(({ id }) => !trained.has(id)) };
}

/** Inception's features of a shard's slices go into the cache. @returns how many; null: no weights. */
async function cacheFeatures(
  gpu: Gpu,
  options: Options,
  { sets, real, train, size }: Source,
  show: Show,
): Promise<number | null> {
  const inception = await inceptionFor(gpu, options);
  if (!inception) return null;
  // A run's generated slices are the shard's already, a folder's are all.
  const own = sets.flatMap(({ generated }) =>
    options.run ? generated : takeShard(generated, options.shard!)
  );
  const slices = [...own, ...takeShard(real, options.shard!), ...takeShard(train, options.shard!)];
  await inception.run(
    slices.map((slice) => sliceInput(slice, size)),
    (done) => show("Inception features", done, slices.length),
  );
  inception.destroy();
  return slices.length;
}

async function score(
  gpu: Gpu,
  options: Options,
  source: Source,
  show: Show,
): Promise<Report> {
  const { size, window, sets, real, train, about, warnings, epoch } = source;
  const spacing = options.pixelSpacing ?? 360 / size.width;
  const evaluators = {
    ...await networks(gpu, options, source),
    ...await classifierFor(gpu, options, source, show),
  };
  const results: Report["results"] = [];
  for (const { name, cfgScale, generated, partners } of sets) {
    const input: EvaluationInput = {
      ...{ ...size, window, generated, real, partners, train },
      pixelSpacing: [spacing, spacing],
      seed: options.seed,
    };
    results.push({ name, cfgScale, input, evaluation: await evaluate(input, evaluators, show) });
  }
  return { about, epoch, warnings, results };
}

/** Options of one mode change nothing in another. */
function refuseIdle({ utility, placement, run, synthetic }: Options): void {
  const refuse = (isIdle: boolean | undefined, why: string, ...names: string[]) =>
    isIdle && refuseGiven(program, names, why);
  refuse(!utility, "goes with --utility", "synthetic", "percents", "patients", "seeds");
  refuse(!utility, "goes with --utility", "syntheticCount");
  refuse(!placement, "goes with --placement", "nodules", "diameter");
  const ofScores = ["count", "pixelSpacing", "classifierSteps", "weights"];
  refuse(placement, "changes nothing with --placement", ...ofScores);
  refuse(!utility && !placement, "goes with --placement or --utility", "detectorSteps");
  refuse(utility, "changes nothing with --utility", ...ofScores, "trainLimit", "generated");
  if (!utility || !synthetic) return;
  const ofSampling = ["cfg", "steps", "scheduler", "batch", "syntheticCount"];
  refuse(true, "--synthetic names slices that are there", ...ofSampling);
  refuse(Boolean(run), "--synthetic names slices that are there", "checkpoint", "ema");
}

await main(async () => {
  parseArguments(program);
  const options = program.opts<Options>();
  const { run, generated, real, resolution: size, shard } = options;
  const { utility, placement, synthetic } = options;
  if (utility && placement) throw new InputError("--utility and --placement exclude each other");
  const other = utility ? synthetic : generated;
  if (!(run ? !generated && !real : other && real)) {
    throw new InputError(
      utility
        ? "--utility needs either --run, or --real with --synthetic"
        : "give either --run, or --generated with --real",
    );
  }
  refuseIdle(options);
  if (run) refuseGiven(program, ["resolution"], "a run's slices have the model's size");
  else {
    const ofRun = ["checkpoint", "data", "cfg", "steps", "scheduler", "ema"];
    const there = utility ? "--synthetic" : "--generated";
    refuseGiven(program, ofRun, `goes with --run: ${there} names slices that are there`);
  }
  const out = options.out ?? (run ? join(run, "evaluation") : "out/evaluation");
  checkOutputFolder("--out", out, {
    "--data": options.data,
    "--generated": generated,
    "--real": real,
    "--synthetic": synthetic,
  });
  using _lock = lockFolder(out, shard !== undefined);
  if (utility) return await evaluateUtility({ ...options, resolution: size, out });
  if (placement) {
    if (!run) throw new InputError("--placement needs --run");
    if (shard) throw new InputError("--placement is not made in shards: leave --shard out");
    return await evaluatePlacement({ ...options, run, out });
  }
  const stages = new Stages(), { show } = stages;
  const gpu = await openGpu();
  const source = run
    ? await runSource(gpu, run, { ...options, parts: join(out, "parts"), show })
    : await folderSource(generated!, real!, { ...options, size, show });
  if (shard) {
    const cached = await cacheFeatures(gpu, options, source, show);
    stages.stop();
    if (!run && cached === null) {
      throw new InputError(
        `--shard has nothing to do for folders without Inception: ${WEIGHTS_COMMAND}`,
      );
    }
    console.log(
      `shard ${shard.index}/${shard.count}: ${source.made} slices generated` +
        (source.found && run ? `, ${source.found} were there` : "") +
        (cached === null ? "" : `, ${cached} have Inception features`) +
        "; when all shards are done, run the same command without --shard",
    );
    return;
  }
  if (run && source.found) console.error(`${source.found} slices had been generated before`);
  const report = await score(gpu, options, source, show);
  stages.stop();
  await writeFileAtomic(join(out, "metrics.csv"), csv(report));
  await writeFileAtomic(join(out, "evaluation.json"), json(report));
  await writeFileAtomic(join(out, "evaluation.html"), evaluationPage(report));
  await source.discard();
  printNotes(report.warnings);
  for (const result of report.results) {
    printNotes(result.evaluation.warnings);
    console.log(terminalTable(result));
  }
  console.log(`\n${join(out, "evaluation.html")}`);
});
