/** `deno task evaluate`: scores a trained model, or a folder of generated slices. */

import { Command, InvalidArgumentError, Option } from "commander";
import { basename, join } from "node:path";
import { main, parseArguments, type Progress, progressBar } from "../lib/cli/main.ts";
import {
  type Dataset,
  openNpyDataset,
  openPhantomDataset,
  type PreparedSlice,
  prepareSlice,
  type SliceRecord,
} from "../lib/data/dataset.ts";
import { LUNG_WINDOW } from "../lib/data/window.ts";
import { chooseScheduler, loadRunModel, SCHEDULER_CHOICES } from "../lib/diffusion/model_folder.ts";
import { reverseSteps } from "../lib/diffusion/scheduler.ts";
import { InputError } from "../lib/errors.ts";
import { NoduleClassifier } from "../lib/evaluate/classifier.ts";
import { evaluate, type EvaluationInput } from "../lib/evaluate/evaluation.ts";
import { chooseTestSet, generateFor, pairById } from "../lib/evaluate/inputs.ts";
import type { Evaluators } from "../lib/evaluate/networks.ts";
import { evaluationPage } from "../lib/evaluate/page.ts";
import { csv, json, type Report, terminalTable } from "../lib/evaluate/report.ts";
import { type Gpu, openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { InceptionExtractor, LpipsExtractor } from "../lib/metrics/extract.ts";
import { loadWeights, WEIGHTS, WEIGHTS_COMMAND, WEIGHTS_FOLDER } from "../lib/metrics/weights.ts";
import { readJsonObject } from "../lib/nn/pretrained.ts";
import { RUN_CONFIG_NAME } from "../lib/train/run.ts";
import { runConfig } from "../lib/train/config.ts";

const number = (text: string) => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("not a number");
  return value;
};
const whole = (text: string) => {
  const value = number(text);
  if (!Number.isInteger(value) || value < 0) {
    throw new InvalidArgumentError("not a whole number ≥ 0");
  }
  return value;
};
const numbers = (text: string) => text.split(",").map(number);

const program = new Command("evaluate")
  .description("Scores a trained model's slices, or a folder of them, against real ones.")
  .option("--run <folder>", "a training run: slices are generated for the test set's conditions")
  .option(
    "--data <folder>",
    "real slices in the .npy layout (default: what the run was trained on)",
  )
  .option("--generated <folder>", "score these slices instead (the layout that sample writes)")
  .option("--real <folder>", "real slices for --generated; paired where names are equal")
  .option("--count <n>", "test slices of each class, 0 for all", whole, 16)
  .option("--cfg <list>", "guidance scales, e.g. 1,2,4 (default: the run's)", numbers)
  .option("--steps <n>", "reverse steps", whole, 50)
  .addOption(new Option("--scheduler <name>", "sampler").choices(SCHEDULER_CHOICES).default("ddim"))
  .option("--seed <n>", "what the test set, the noise and the resampling follow from", whole, 0)
  .option("--batch <n>", "slices at a time", whole, 8)
  .option("--resolution <HxW>", "size to score at, for --generated (default: as they are)")
  .option(
    "--pixel-spacing <mm>",
    "of a pixel, for the segmenter (default: a body 360 mm wide)",
    number,
  )
  .option("--train-limit <n>", "training slices looked at for copies, 0 for all", whole, 2000)
  .option(
    "--classifier-steps <n>",
    "training steps of the nodule classifier, 0 for none",
    whole,
    150,
  )
  .option("--no-ema", "plain weights of the run instead of the averaged ones")
  .option("--no-weights", "leave out FID, KID, IS and LPIPS although their networks are there")
  .option("--out <folder>", "where the report goes (default: RUN/evaluation or out/evaluation)")
  .addHelpText(
    "after",
    `
Examples:
  ./run evaluate --run runs/demo
  ./run evaluate --run runs/lidc --data DIR --count 64 --cfg 1,2,4
  ./run evaluate --generated out/samples --real DIR

Writes evaluation.html, evaluation.json and metrics.csv, and prints the table. Metrics whose network
is missing are "not computed"; \`${WEIGHTS_COMMAND}\` fetches them. Nothing here uses the network.
Exit code: 0 done, 2 wrong use or input, 3 no usable GPU.`,
  );

interface Options {
  run?: string;
  data?: string;
  generated?: string;
  real?: string;
  count: number;
  cfg?: number[];
  steps: number;
  scheduler: typeof SCHEDULER_CHOICES[number];
  seed: number;
  batch: number;
  resolution?: string;
  pixelSpacing?: number;
  trainLimit: number;
  classifierSteps: number;
  ema: boolean;
  weights: boolean;
  out?: string;
}

interface Size {
  height: number;
  width: number;
}

/** One bar that follows the parts of an evaluation. */
class Stages {
  #bar: Progress | null = null;
  #name = "";
  show = (name: string, done: number, total: number) => {
    if (name !== this.#name) {
      this.stop();
      this.#name = name;
      this.#bar = progressBar(name.padEnd(24), Math.max(1, total));
    }
    this.#bar?.update(done);
  };
  stop = () => {
    this.#bar?.stop();
    this.#bar = null;
    this.#name = "";
  };
}

/** Slices by id, at most `limit` of them, evenly chosen. */
async function prepare(
  records: readonly SliceRecord[],
  load: (record: SliceRecord) => Promise<PreparedSlice>,
  show: Stages["show"],
  what: string,
  limit = 0,
): Promise<PreparedSlice[]> {
  const step = limit > 0 ? Math.max(1, records.length / limit) : 1;
  const chosen = records.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step));
  const slices: PreparedSlice[] = [];
  for (const [i, record] of chosen.entries()) {
    slices.push(await load(record));
    show(what, i + 1, chosen.length);
  }
  return slices;
}

/** The networks for which there are weights, and what is missing. */
async function networks(
  gpu: Gpu,
  options: Options,
  size: Size,
  warnings: string[],
): Promise<Pick<Evaluators, "inception" | "lpips">> {
  if (!options.weights) return { inception: null, lpips: null };
  const [inception, alexnet, heads] = await Promise.all([
    loadWeights("inception"),
    loadWeights("alexnet"),
    loadWeights("lpips"),
  ]);
  if (!inception) warnings.push(`FID, KID and Inception Score: run \`${WEIGHTS_COMMAND}\` first`);
  if (!alexnet || !heads) warnings.push(`LPIPS: run \`${WEIGHTS_COMMAND}\` first`);
  const { sha256 } = WEIGHTS.find(({ id }) => id === "inception")!;
  return {
    inception: inception && await InceptionExtractor.create(gpu, inception, {
      batch: options.batch,
      cache: { folder: join(WEIGHTS_FOLDER, "..", "cache", "inception"), weights: sha256 },
    }),
    lpips: alexnet && heads && await LpipsExtractor.create(gpu, size, alexnet, heads),
  };
}

/** Trained on the real training slices; its own AUC comes from real slices it has not seen. */
async function classifierFor(
  gpu: Gpu,
  options: Options,
  size: Size,
  train: readonly PreparedSlice[],
  heldOut: readonly PreparedSlice[],
  show: Stages["show"],
): Promise<Pick<Evaluators, "classifier" | "classifierHeldOut" | "noClassifier">> {
  const none = (noClassifier: string) => ({
    classifier: null,
    classifierHeldOut: [],
    noClassifier,
  });
  const steps = options.classifierSteps;
  if (steps === 0) return none("--classifier-steps 0");
  const classes = new Set(train.map(({ label }) => label));
  if (classes.size < 2) return none("the training slices are not of both classes");
  const classifier = await NoduleClassifier.train(gpu, train, {
    ...size,
    steps,
    batch: Math.min(16, train.length),
    seed: options.seed,
    onStep: (done) => show("nodule classifier", done, steps),
  });
  const trained = new Set(train.map(({ id }) => id));
  return { classifier, classifierHeldOut: heldOut.filter(({ id }) => !trained.has(id)) };
}

const spacingOf = ({ width }: Size, given?: number): [number, number] => {
  const spacing = given ?? 360 / width;
  return [spacing, spacing];
};

/** Generates for a run's test set, at every guidance scale. */
async function evaluateRun(run: string, options: Options, stages: Stages): Promise<Report> {
  const { data: saved, ...raw } = await readJsonObject(join(run, RUN_CONFIG_NAME));
  const config = runConfig(raw, join(run, RUN_CONFIG_NAME));
  const model = await loadRunModel(run, options.ema);
  const [height, width] = model.resolution, size = { height, width };
  const window = { level: config.window_level, width: config.window_width };
  const folder = options.data ?? saved as string | null;
  const dataset: Dataset = folder ? await openNpyDataset(folder) : openPhantomDataset({
    seed: config.seed,
    count: config.phantom_slices,
    size: 2 * Math.max(height, width),
  });
  const test = chooseTestSet(dataset, options.count, options.seed);
  const warnings = [...dataset.notes, ...test.notes];
  const load = (record: SliceRecord) =>
    prepareSlice(record, size, window, { antialias: config.antialias });
  const real = await prepare(test.records, load, stages.show, "test slices");
  const train = await prepare(
    dataset.train,
    load,
    stages.show,
    "training slices",
    options.trainLimit,
  );
  stages.stop();
  const gpu = await openGpu();
  const steps = reverseSteps(chooseScheduler(model, options.scheduler), options.steps);
  const scales = options.cfg ?? [config.cfg_scale];
  const generated = new Map<number, Awaited<ReturnType<typeof generateFor>>>();
  for (const cfgScale of scales) {
    generated.set(
      cfgScale,
      await generateFor(gpu, real, {
        model,
        ...size,
        steps,
        cfgScale,
        seed: options.seed,
        batch: options.batch,
        onStep: (done, total) => stages.show(`sampling, guidance ${cfgScale}`, done, total),
      }),
    );
  }
  const heldOut = test.split === "train" ? [] : real;
  const evaluators = {
    ...await networks(gpu, options, size, warnings),
    ...await classifierFor(gpu, options, size, train, heldOut, stages.show),
  };
  const results: Report["results"] = [];
  for (const [cfgScale, slices] of generated) {
    const input: EvaluationInput = {
      ...size,
      window,
      pixelSpacing: spacingOf(size, options.pixelSpacing),
      generated: slices,
      real,
      paired: true,
      train,
      seed: options.seed,
    };
    const evaluation = await evaluate(input, evaluators, stages.show);
    results.push({ name: `guidance ${cfgScale}`, cfgScale, input, evaluation });
  }
  stages.stop();
  const epochOf = Number(/step-(\d+)/.exec(model.folder)?.[1]);
  return {
    about: [
      ["Run", run],
      ["Model", `${model.folder} (step ${epochOf})`],
      ["Data", `${folder ?? "built-in phantom"}, ${test.split} split: ${real.length} slices`],
      ["Training slices looked at", `${train.length} of ${dataset.train.length}`],
      ["Sampling", `${options.scheduler}, ${options.steps} steps, seed ${options.seed}`],
      ["Size", `${height}×${width}, window level ${window.level} width ${window.width} HU`],
      ["Adapter", gpu.name],
    ],
    epoch: null,
    warnings,
    results,
  };
}

/** Scores a folder against another. */
async function evaluateFolders(
  generatedFolder: string,
  realFolder: string,
  options: Options,
  stages: Stages,
): Promise<Report> {
  const [made, data] = [await openNpyDataset(generatedFolder), await openNpyDataset(realFolder)];
  const all = ({ train, val, test }: Dataset) => [...train, ...val, ...test];
  const first = await all(made)[0]?.load();
  if (!first) throw new InputError(`${generatedFolder}: no slice to score`);
  const sides = options.resolution?.split(/[x×]/).map(number) ?? [first.height, first.width];
  const size = { height: sides[0], width: sides[1] ?? sides[0] };
  const load = (record: SliceRecord) =>
    prepareSlice(record, size, LUNG_WINDOW, { antialias: true });
  const generated = await prepare(all(made), load, stages.show, "generated slices");
  const warnings = [...made.notes, ...data.notes].map((note) => note);
  const byId = new Set(all(data).map(({ id }) => id));
  const named = generated.every(({ id }) => byId.has(id));
  const ids = new Set(generated.map(({ id }) => id));
  const test = named
    ? { records: all(data).filter(({ id }) => ids.has(id)), split: "test" as const, notes: [] }
    : chooseTestSet(data, options.count, options.seed);
  warnings.push(...test.notes);
  const chosen = await prepare(test.records, load, stages.show, "real slices");
  const paired = pairById(generated, chosen);
  const train = await prepare(data.train, load, stages.show, "training slices", options.trainLimit);
  stages.stop();
  const gpu = await openGpu();
  const real = (paired ?? chosen) as PreparedSlice[];
  const evaluators = {
    ...await networks(gpu, options, size, warnings),
    ...await classifierFor(gpu, options, size, train, real, stages.show),
  };
  const input: EvaluationInput = {
    ...size,
    window: LUNG_WINDOW,
    pixelSpacing: spacingOf(size, options.pixelSpacing),
    generated,
    real,
    paired: paired !== null,
    train,
    seed: options.seed,
  };
  const evaluation = await evaluate(input, evaluators, stages.show);
  stages.stop();
  return {
    about: [
      ["Generated", `${generatedFolder}: ${generated.length} slices`],
      ["Real", `${realFolder}: ${real.length} slices${paired ? ", paired by name" : ""}`],
      ["Size", `${size.height}×${size.width}`],
      ["Adapter", gpu.name],
    ],
    epoch: null,
    warnings,
    results: [{ name: basename(generatedFolder), cfgScale: null, input, evaluation }],
  };
}

await main(async () => {
  parseArguments(program);
  const options = program.opts<Options>();
  const stages = new Stages();
  let report: Report;
  if (options.run && !options.generated) {
    report = await evaluateRun(options.run, options, stages);
  } else if (options.generated && options.real && !options.run) {
    report = await evaluateFolders(options.generated, options.real, options, stages);
  } else throw new InputError("give either --run, or --generated with --real");

  const out = options.out ?? (options.run ? join(options.run, "evaluation") : "out/evaluation");
  await writeFileAtomic(join(out, "metrics.csv"), csv(report));
  await writeFileAtomic(join(out, "evaluation.json"), json(report));
  await writeFileAtomic(join(out, "evaluation.html"), evaluationPage(report));
  for (const warning of report.warnings) console.log(`note: ${warning}`);
  for (const result of report.results) {
    for (const warning of result.evaluation.warnings) console.log(`note: ${warning}`);
    console.log(terminalTable(result));
  }
  console.log(`\n${join(out, "evaluation.html")}`);
});
