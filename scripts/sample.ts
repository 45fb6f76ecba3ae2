/** `deno task sample`: makes lung-CT slices with a trained model. */

import { Command, InvalidArgumentError, Option } from "commander";
import { join } from "node:path";
import { main, parseArguments, progressBar } from "../lib/cli/main.ts";
import {
  openNpyDataset,
  openPhantomDataset,
  type PreparedSlice,
  prepareSlice,
} from "../lib/data/dataset.ts";
import { LUNG_WINDOW, unwindowHu } from "../lib/data/window.ts";
import {
  chooseScheduler,
  loadModelFolder,
  loadRunModel,
  SCHEDULER_CHOICES,
} from "../lib/diffusion/model_folder.ts";
import { Sampler } from "../lib/diffusion/sampler.ts";
import { reverseSteps } from "../lib/diffusion/scheduler.ts";
import { InputError } from "../lib/errors.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { writeNpy } from "../lib/io/npy.ts";
import { checkImageSize } from "../lib/nn/config.ts";
import { PhiloxStream } from "../lib/random/philox.ts";
import { drawGrid } from "../lib/train/grid.ts";

const number = (text: string) => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("not a number");
  return value;
};
const whole = (text: string) => {
  const value = number(text);
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw new InvalidArgumentError("not a whole number from 0");
  }
  return value;
};

const program = new Command("sample")
  .description("Generates CT slices inside lung masks, with or without a nodule.")
  .option("--run <folder>", "a training run: its newest checkpoint, averaged weights")
  .option("--model <folder>", "a diffusers UNet2DModel folder (or a pipeline with unet/)")
  .addOption(
    new Option("--class <which>", "nodule or not").choices(["0", "1", "both"]).default("both"),
  )
  .option("--count <n>", "images a class", whole, 4)
  .addOption(new Option("--scheduler <name>", "sampler").choices(SCHEDULER_CHOICES).default("ddim"))
  .addOption(
    new Option("--spacing <name>", "timestep spacing (default: the sampler's own)")
      .choices(["leading", "linspace", "trailing"]),
  )
  .option("--steps <n>", "reverse steps", whole, 50)
  .option("--eta <x>", "DDIM's η: 0 deterministic, 1 as noisy as DDPM", number, 0)
  .option("--cfg <s>", "guidance scale; 1 is the plain conditional model", number, 2)
  .option("--seed <n>", "what the noise and the choice of masks follow from", whole, 0)
  .option("--batch <n>", "images at a time", whole, 8)
  .option("--data <folder>", "take lung masks from these slices (default: the built-in phantom)")
  .option("--resolution <HxW>", "image size (default: as trained)")
  .option("--no-ema", "plain weights of the run instead of the averaged ones")
  .option("--exact", "only kernels that sum as written")
  .option("--out <folder>", "where images go", "out/samples")
  .addHelpText(
    "after",
    `
Examples:
  deno task sample --run runs/demo
  deno task sample --run runs/demo --class 1 --count 16 --cfg 3 --seed 7 --out out/nodules
  deno task sample --model unet --data DIR --scheduler ddpm --steps 1000

Writes grid.png, and a slice (HU), a lung mask and a PNG for each image. The same seed on the same
adapter gives the same bytes.`,
  );

await main(async () => {
  parseArguments(program);
  const options = program.opts();
  if (Boolean(options.run) === Boolean(options.model)) {
    throw new InputError("give either --run or --model");
  }
  if (options.count < 1 || options.batch < 1) {
    throw new InputError("--count and --batch start at 1");
  }
  const model = options.run
    ? await loadRunModel(options.run, options.ema)
    : await loadModelFolder(options.model);
  let [height, width] = model.resolution;
  if (options.resolution) {
    const sides = String(options.resolution).split(/[x×]/).map(number);
    [height, width = height] = sides;
  }
  checkImageSize(model.config, height, width);
  const steps = reverseSteps(
    chooseScheduler(model, options.scheduler, options.spacing),
    options.steps,
    options.eta,
  );
  const classes = options.class === "both" ? [1, 0] : [Number(options.class)];
  const masks = await chooseMasks(options.data, options.count, options.seed, { height, width });

  const jobs = classes.flatMap((label) => masks.map((slice, i) => ({ label, slice, name: i })));
  const batch = Math.min(options.batch, jobs.length);
  const gpu = await openGpu();
  const compiling = progressBar("kernels ", 1);
  const sampler = await Sampler.create(gpu, {
    config: model.config,
    layout: model.layout,
    batch,
    height,
    width,
    guided: options.cfg !== 1,
    exact: options.exact,
    onPipeline: (done, total) => compiling.update(done / total),
  });
  compiling.stop();
  sampler.setParameters(model.params);
  const pixels = height * width;
  const images: Float32Array[] = [];
  const rounds = Math.ceil(jobs.length / batch);
  const bar = progressBar("sampling", rounds * steps.length);
  for (let round = 0; round < rounds; round++) {
    // The last batch is filled up with its own last job; what is too much is dropped.
    const part = Array.from(
      { length: batch },
      (_, i) => jobs[Math.min(round * batch + i, jobs.length - 1)],
    );
    const lungMask = new Float32Array(batch * pixels);
    part.forEach(({ slice }, i) => lungMask.set(slice.lungMask, i * pixels));
    const result = await sampler.sample({
      lungMask,
      classes: part.map((j) => j.label),
      steps,
      cfgScale: options.cfg,
      seed: options.seed,
      images: part.map((j) => j.name),
      onStep: (done) => bar.update(round * steps.length + done),
    });
    const kept = Math.min(batch, jobs.length - round * batch);
    for (let i = 0; i < kept; i++) images.push(result.slice(i * pixels, (i + 1) * pixels));
  }
  bar.stop();

  const out = options.out as string;
  for (const [i, { label, name }] of jobs.entries()) {
    // The training layout: patient, kind, slice number.
    const path = (kind: string) => join(out, `GEN${label}-${options.seed}_${kind}_${name}.npy`);
    await writeNpy(path("slice"), [height, width], unwindowHu(images[i], LUNG_WINDOW));
    await writeNpy(path("lung_mask"), [height, width], Uint8Array.from(jobs[i].slice.lungMask));
  }
  const rows = classes.map((label, k) => ({
    title: label ? "generated, nodule" : "generated, no nodule",
    images: images.slice(k * masks.length, (k + 1) * masks.length),
    conditions: masks,
  }));
  const caption =
    `${options.scheduler} ${options.steps} steps, cfg ${options.cfg}, seed ${options.seed}`;
  const grid = drawGrid(rows, height, width, caption);
  await writeFileAtomic(join(out, "grid.png"), grid.toPng());
  console.log(`${images.length} images: ${join(out, "grid.png")}`);
  sampler.destroy();
  gpu.destroy();
});

/** Slices whose lung masks are used, a seeded choice. */
async function chooseMasks(
  data: string | undefined,
  count: number,
  seed: number,
  size: { height: number; width: number },
): Promise<PreparedSlice[]> {
  const dataset = data
    ? await openNpyDataset(data)
    : openPhantomDataset({ seed, count: Math.max(8, 2 * count), size: 2 * size.height });
  const records = dataset.val.length ? dataset.val : dataset.train;
  const order = new PhiloxStream(seed, 6 * 2 ** 32).shuffle(Uint32Array.from(records, (_, i) => i));
  return await Promise.all(
    Array.from({ length: count }, (_, i) => prepareSlice(records[order[i % order.length]], size)),
  );
}
