/** `./run samplers`: the same images by DDIM, DPM-Solver++ and DDPM, side by side, timed. */

import { Command, InvalidArgumentError } from "commander";
import { numberIn } from "../lib/cli/command.ts";
import { main, parseArguments, printNotes, progressBar } from "../lib/cli/main.ts";
import { openFolder } from "../lib/data/open_folder.ts";
import { generate } from "../lib/diffusion/generate.ts";
import { chooseMasks, pictureJobs } from "../lib/diffusion/jobs.ts";
import { openModel } from "../lib/diffusion/model_folder.ts";
import {
  chooseScheduler,
  modelNotes,
  type SchedulerChoice,
} from "../lib/diffusion/sampling_model.ts";
import { Sampler } from "../lib/diffusion/sampler.ts";
import { reverseSteps } from "../lib/diffusion/scheduler.ts";
import { InputError } from "../lib/errors.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { drawGrid } from "../lib/train/grid.ts";
import { GridRows } from "../lib/train/grid_rows.ts";
import { tunedChoice } from "../lib/tune/choice_files.ts";

const SAMPLERS: readonly (readonly [SchedulerChoice, string, number])[] = [
  ["ddim", "DDIM", 50],
  ["dpm++", "DPM-Solver++ 2M", 20],
  ["ddpm", "DDPM", 1000],
];

const positive = (text: string) => {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("not a whole number from 1");
  return Number(text);
};

const program = new Command("samplers")
  .description("Draws the same masks, classes and noises by three samplers, with seconds an image.")
  .option("--run <folder>", "a training run")
  .option("--model <folder>", "a diffusers folder")
  .option("--data <folder>", "take lung masks from these slices (default: the built-in phantom)")
  .option("--count <n>", "masks; each is drawn with and without a nodule", positive, 3)
  .option("--cfg <s>", "guidance scale", numberIn(0, 100), 2)
  .option("--seed <n>", "of noise and masks", positive, 1)
  .option("--limit <n>", "leave out samplers of more steps", positive, 1000)
  .option("--out <file>", "the picture", "out/samplers.png")
  .addHelpText(
    "after",
    `
Examples:
  ./run samplers --run runs/demo
  ./run samplers --run runs/demo --limit 50     without DDPM's 1000 steps`,
  );

await main(async () => {
  parseArguments(program);
  const o = program.opts();
  const model = await openModel(o);
  printNotes(modelNotes(model));
  // All of them before any is drawn: none must turn out impossible after an hour.
  const plans = SAMPLERS.flatMap(([choice, name, most]) => {
    if (most > o.limit) return [];
    const config = chooseScheduler(model, choice);
    // A model of fewer timesteps cannot take more steps than it has.
    const count = Math.min(most, config.num_train_timesteps - (choice === "dpm++" ? 1 : 0));
    return [{ name, count, steps: reverseSteps(config, count) }];
  });
  if (plans.length === 0) {
    throw new InputError(`--limit ${o.limit}: every sampler takes more steps, at least 20`);
  }
  const [height, width] = model.resolution;
  const { count, seed, data } = o;
  const { preparation } = model;
  const dataset = data ? await openFolder(data, preparation.window) : undefined;
  const size = { height, width };
  const masks = chooseMasks({ data, dataset, count, seed, size, preparation });
  // Pairs of one mask stand next to each other.
  const jobs = pictureJobs(masks, [1, 0], seed).toSorted((a, b) => a.number - b.number);
  const gpu = await openGpu();
  const sampler = await Sampler.create(gpu, {
    config: model.config,
    layout: model.layout,
    batch: jobs.length,
    height,
    width,
    guided: o.cfg !== 1,
    choose: await tunedChoice(gpu),
  });
  sampler.setParameters(model.params);
  const rows = new GridRows();
  for (const { slice } of masks) {
    const real = await slice();
    for (let i = 0; i < 2; i++) rows.add("real slice of the mask", real.ct, real);
  }
  for (const { name, count, steps } of plans) {
    const bar = progressBar(name, steps.length);
    const images: [Float32Array, Awaited<ReturnType<typeof masks[0]["slice"]>>][] = [];
    const started = performance.now();
    await generate(sampler, jobs, {
      steps,
      seed,
      cfgScale: o.cfg,
      nullClass: model.nullClass,
      onStep: (done) => bar.update(done),
    }, (_, image, slice) => Promise.resolve(void images.push([image, slice])));
    bar.stop();
    const seconds = (performance.now() - started) / 1000 / jobs.length;
    const title = `${name}, ${count} steps: ${seconds.toFixed(2)} s an image`;
    console.log(title);
    for (const [image, slice] of images) rows.add(title, image, slice);
  }
  const caption = `nodule and no nodule in turn; cfg ${o.cfg}, ${height}x${width}, ${gpu.name}`;
  await writeFileAtomic(o.out, drawGrid(rows.list(), height, width, caption).toPng());
  console.log(o.out);
  sampler.destroy();
  gpu.destroy();
});
