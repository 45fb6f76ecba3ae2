/** `./run sample`: makes lung-CT slices with a trained model. */

import { Command, InvalidArgumentError, Option } from "commander";
import { join } from "node:path";
import { precisionOption, refuseGiven, sizeIn } from "../lib/cli/command.ts";
import { main, parseArguments, printNotes, progressBar, repeatable } from "../lib/cli/main.ts";
import { PHANTOM_FIELD_MM } from "../lib/data/phantom.ts";
import { unwindowHu } from "../lib/data/window.ts";
import { generate } from "../lib/diffusion/generate.ts";
import { type Inpainting, openInpainting } from "../lib/diffusion/inpaint.ts";
import { inpaint, originalViews } from "../lib/diffusion/inpaint_run.ts";
import { openMaskData } from "../lib/diffusion/mask_data.ts";
import {
  chooseMasks,
  datasetJobs,
  inpaintingJobs,
  interpolationJobs,
  parseShard,
  pictureJobs,
  placeJobs,
  type SamplingJob,
  takeShard,
} from "../lib/diffusion/jobs.ts";
import { openModel, schedulerFromFile } from "../lib/diffusion/model_folder.ts";
import {
  chooseScheduler,
  modelNotes,
  type SamplingModel,
  SCHEDULER_CHOICES,
} from "../lib/diffusion/sampling_model.ts";
import {
  FORMATS,
  otherSlices,
  parseFormats,
  pictureText,
  runName,
  shardFile,
  writeExactMask,
  writeImage,
  writeList,
} from "../lib/diffusion/outputs.ts";
import {
  parseNodule,
  parsePlacement,
  type Placement,
  wholePixels,
} from "../lib/diffusion/nodules.ts";
import { Sampler } from "../lib/diffusion/sampler.ts";
import { samplingGraph } from "../lib/diffusion/sampling_graph.ts";
import { reverseSteps, type SchedulerConfig } from "../lib/diffusion/scheduler.ts";
import { writeSchedulerFile } from "../lib/diffusion/scheduler_file.ts";
import { Strip } from "../lib/diffusion/strip.ts";
import { InputError } from "../lib/errors.ts";
import { lockGuard, readLock } from "../lib/audit/lock.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { checkOutputFolder, lockFolder } from "../lib/io/output_folder.ts";
import { checkImageSize } from "../lib/nn/config.ts";
import { drawGrid } from "../lib/train/grid.ts";
import { provenanceHash } from "../lib/train/provenance_file.ts";
import { GridRows } from "../lib/train/grid_rows.ts";
import { tunedChoice } from "../lib/tune/choice_files.ts";
import { smallImage } from "../lib/bench/small.ts";
import { firstUse, NO_TUNE } from "./first_use.ts";

const number = (text: string) => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("not a number");
  return value;
};
const between = (low: number, high: number, isWhole = false) => (text: string) => {
  const value = number(text);
  if (!(value >= low && value <= high) || (isWhole && !Number.isInteger(value))) {
    throw new InvalidArgumentError(
      `not a ${isWhole ? "whole " : ""}number from ${low} to ${high}`,
    );
  }
  return value;
};
/** In one call; more are more calls, with another --seed. */
const MOST_IMAGES = 100_000;
const upTo = (most: number) => between(1, most, true);
const whole = (low = 0) => between(low, 2 ** 32 - 1, true);

const program = new Command("sample")
  .description("Generates CT slices inside lung masks, with or without a nodule.")
  .optionsGroup("Model:")
  .option("--run <folder>", "a training run: its newest checkpoint, averaged weights")
  .option("--checkpoint <which>", "of the run: newest, best, or a step (default: newest)")
  .option(
    "--model <folder>",
    "a diffusers UNet2DModel, a pipeline, or a checkpoint step-N of a run",
  )
  .option("--no-ema", "plain weights of the run or checkpoint instead of the averaged ones")
  .option("--resolution <HxW>", "image size (default: as trained)", sizeIn(1, 4096))
  .option("--exact", "only kernels that sum as written")
  .addOption(precisionOption("(software Vulkan samples with f32 whatever it says)"))
  .option("--locked", "refuse kernels that are not in audit.lock.json")
  .option(...NO_TUNE)
  .optionsGroup("What to make:")
  .option("--class <which>", "1 nodule, 0 none, both, own (the mask's label), or a value between")
  .addOption(
    repeatable(
      new Option(
        "--nodule <x,y,mm>",
        "a nodule at this pixel of the slice, of this diameter; may be given several times",
      ),
    ),
  )
  .option("--nodules <where>", "own (those of the data), random or random:N (default: random)")
  .option("--diameter <mm>", "of random nodules, from-to", "6-20")
  .option(
    "--count <n>",
    "masks to use, or variants of an inpainted slice (default: 4)",
    upTo(MOST_IMAGES),
  )
  .option("--seed <n>", "what the noise and the choice of masks follow from", whole(), 0)
  .option("--data <folder>", "take lung masks from these slices (default: the built-in phantom)")
  .addOption(
    new Option("--split <name>", "of the data (default: val, or train where that is empty)")
      .choices(["train", "val", "test"]),
  )
  .option("--per-mask <n>", "a data set to train on: n images a class for every mask", upTo(1000))
  .option("--class-from <v>", "interpolation: class value of the first image …", between(-1, 1))
  .option("--class-to <v>", "… and of the last", between(-1, 1))
  .option("--class-steps <n>", "images from the one to the other", between(2, 1000, true), 5)
  .addOption(
    new Option("--class-over <what>", "the class goes over images, or over the reverse steps")
      .choices(["images", "steps"]).default("images"),
  )
  .option(
    "--inpaint <slice>",
    "keep this slice (DICOM, NIfTI, .npy in HU), make --region or the place of --nodule anew",
  )
  .option("--slice <n>", "which slice of an --inpaint volume, from 0", whole())
  .option("--region <x,y,r|mask>", "circle in pixels of the slice, or a mask (.npy, .png)")
  .option("--lung-mask <mask.npy>", "of the slice (default: beside it, or found by rules)")
  .option("--resample <n>", "take each inpainting step n times: blends better", whole(1), 1)
  .optionsGroup("Sampler:")
  .addOption(new Option("--scheduler <name>", "sampler").choices(SCHEDULER_CHOICES).default("ddim"))
  .addOption(
    new Option("--spacing <name>", "timestep spacing (default: the sampler's own)")
      .choices(["leading", "linspace", "trailing"]),
  )
  .option("--scheduler-config <file>", "a scheduler_config.json instead of the two above")
  .option("--steps <n>", "reverse steps", whole(1), 50)
  .option("--eta <x>", "DDIM's η: 0 deterministic, 1 as noisy as DDPM", between(0, 1), 0)
  .optionsGroup("Guidance:")
  .option(
    "--cfg <s>",
    "guidance scale; 1 is the plain conditional model (default: 2, or 1 for a model that is told " +
      "where nodules are)",
    between(0, 100),
  )
  .option("--cfg-from <t>", "guide from here on: a timestep, or a fraction of all", between(0, 1e5))
  .option("--cfg-to <t>", "guide up to here", between(0, 1e5))
  .option("--guidance-rescale <x>", "against overexposure, 0 to 1", between(0, 1), 0)
  .option("--two-passes", "guide by two passes instead of a doubled batch: less memory")
  .optionsGroup("Output:")
  .option("--out <folder>", "where images go", "out/samples")
  .option("--format <list>", `files of an image: ${FORMATS.join(", ")}`, "npy")
  .option("--field-mm <mm>", "width of an image, for NIfTI and DICOM", number, PHANTOM_FIELD_MM)
  .option("--strip", "also draw the reverse process: strip.png")
  .option("--batch <n>", "images at a time", whole(1), 8)
  .option("--shard <i/n>", "make only every n-th image, from the i-th (from 0) on")
  .addHelpText(
    "after",
    `
Examples:
  ./run sample --run runs/demo
  ./run sample --run runs/demo --class 1 --count 16 --cfg 3 --seed 7 --out out/nodules
  ./run sample --run runs/demo --nodule 20,32,12 --nodule 45,35,8
  ./run sample --run runs/demo --nodules random:3 --diameter 8-15
  ./run sample --run runs/demo --scheduler dpm++ --steps 20 --format npy,png16,nifti,dicom
  ./run sample --run runs/demo --class-from 0 --class-to 1
  ./run sample --run runs/demo --inpaint P1_slice_3.npy --region 200,260,18
  ./run sample --run runs/patches --inpaint IM0001.dcm --nodule 140,260,9
  ./run sample --run runs/demo --data PREPARED --split val --per-mask 4 --out data/synthetic
  ./run sample --run runs/demo --data PREPARED --per-mask 4 --shard 0/8
  ./run sample --model unet --data DIR --scheduler ddpm --steps 1000

Writes grid.png, images.csv, scheduler_config.json, and for each image a slice (HU), its lung mask
and nodule mask in the layout that training reads. Where only the class says that there is a nodule,
the nodule mask is the whole lung. The same seed on the same adapter gives the same bytes.`,
  );

type Options = ReturnType<typeof program.opts>;

/** Which classes are asked for. */
function classesOf(text: string): number[] | "own" {
  if (text === "both") return [1, 0];
  if (text === "own") return "own";
  const value = text.trim() === "" ? NaN : Number(text);
  if (!(value >= -1 && value <= 1)) {
    throw new InputError(`--class ${text}: 0, 1, both, own or a value between needed`);
  }
  return [value];
}

/** The jobs of all modes; only one of them can be asked for. */
async function jobsOf(
  o: Options,
  model: SamplingModel,
  size: { height: number; width: number },
): Promise<{ jobs: SamplingJob[]; inpainting?: Inpainting }> {
  const interpolates = o.classFrom !== undefined || o.classTo !== undefined;
  const modes = [
    interpolates && "--class-from",
    o.perMask && "--per-mask",
    o.inpaint && "--inpaint",
  ]
    .filter(Boolean);
  if (modes.length > 1) throw new InputError(`${modes.join(" and ")} exclude each other`);
  const { preparation } = model;
  const isPlaced = preparation.condition === "nodule-mask";
  const classes = classesOf(o.class ?? (o.inpaint ? "1" : "both"));
  const placing = ([["--nodule", o.nodule], ["--nodules", o.nodules]] as const)
    .filter(([, value]) => value !== undefined).map(([name]) => name);
  if (placing.length > 1) throw new InputError("--nodule and --nodules exclude each other");
  if (!isPlaced && placing.length) {
    throw new InputError(
      `${
        placing[0]
      }: this model was trained with the class alone and cannot be told where a nodule ` +
        "is: train one with --condition nodule-mask",
    );
  }
  if (isPlaced && interpolates) {
    throw new InputError(
      "--class-from: this model is told where nodules are, which is nothing to go between",
    );
  }
  if (isPlaced && classes !== "own" && classes.some((c) => c !== 0 && c !== 1)) {
    throw new InputError(`--class ${o.class}: this model is told where nodules are: 0 or 1 needed`);
  }
  if (o.inpaint && o.nodules !== undefined) {
    throw new InputError("--nodules: with --inpaint say where: --nodule x,y,mm or --region");
  }
  if (o.inpaint && Boolean(o.region) === Boolean(o.nodule)) {
    throw new InputError(
      "--inpaint and --region (or --nodule x,y,mm, of a model that is told where nodules are) " +
        "belong together: one of the two",
    );
  }
  if (o.region && !o.inpaint) throw new InputError("--region and --inpaint belong together");
  if (o.nodule && o.inpaint && classes !== "own" && !classes.includes(1)) {
    throw new InputError(`--class ${o.class}: --nodule is of class 1`);
  }
  if (classes === "own" && !o.perMask) throw new InputError("--class own needs --per-mask");
  if (o.inpaint) {
    const { inpaint: slice, region, lungMask, fieldMm, seed } = o, index = o.slice;
    const isFieldGiven = program.getOptionValueSource("fieldMm") === "cli";
    const nodules = o.nodule?.map(parseNodule);
    const inpainting = await openInpainting(
      { slice, index, region, nodules, lungMask, fieldMm, isFieldGiven, seed },
      size,
      preparation,
      o.count ?? 4,
    );
    printNotes(inpainting.notes);
    const jobs = inpaintingJobs(inpainting.id, classes as number[], o.count ?? 4, o.seed);
    return { jobs, inpainting };
  }
  if (o.perMask && !o.data) throw new InputError("--per-mask needs --data");
  const { data, split, seed } = o;
  const count = o.count ?? (o.perMask ? undefined : 4);
  const fieldMm = program.getOptionValueSource("fieldMm") === "cli" ? o.fieldMm : null;
  let cropping: ReturnType<typeof progressBar> | undefined;
  const dataset = await openMaskData({
    ...{ data, split, count, seed, size, preparation, fieldMm },
    onCrop(done, total) {
      cropping ??= progressBar("patches ", total);
      cropping.update(done);
    },
  });
  cropping?.stop();
  // From here on slices are patches, of the model's own width.
  if (preparation.spacing !== undefined) o.fieldMm = size.width * preparation.spacing;
  const given = { data, dataset, split, seed, size, preparation };
  if (isPlaced) {
    const placement: Placement = o.nodule
      ? { kind: "at", nodules: o.nodule.map(parseNodule) }
      : parsePlacement(o.nodules ?? "random", o.diameter);
    // More than are needed: not every slice has room.
    const all = chooseMasks({ ...given, count: count && 8 * count });
    const masks = [...new Map(all.map((mask) => [mask.record.id, mask])).values()]
      .filter(({ record }) => placement.kind !== "own" || classes === "own" || record.label === 1);
    const asked = o.perMask
      ? datasetJobs(masks, classes, o.perMask, seed)
      : pictureJobs(masks, classes as number[], seed);
    const bar = progressBar("nodules ", count ?? asked.length);
    const { jobs, passedOver } = await placeJobs(asked, masks, {
      ...{ placement, count, seed, fieldMm: o.fieldMm },
      onImage: (done) => bar.update(done),
    });
    bar.stop();
    if (passedOver.length) {
      printNotes([`${passedOver.length} slices passed over, such as: ${passedOver[0]}`]);
    }
    return { jobs };
  }
  const masks = chooseMasks({ ...given, count });
  if (o.perMask) return { jobs: datasetJobs(masks, classes, o.perMask, seed) };
  if (!interpolates) return { jobs: pictureJobs(masks, classes as number[], seed) };
  const ends = [o.classFrom, o.classTo];
  if (o.class !== undefined || ends.includes(undefined)) {
    throw new InputError("interpolation needs --class-from and --class-to, and no --class");
  }
  if (o.classOver === "steps") return { jobs: pictureJobs(masks, [o.classTo], seed) };
  return { jobs: interpolationJobs(masks, [o.classFrom, o.classTo], o.classSteps, seed) };
}

/** Refuses options that would change nothing beside the others. */
function refuseIdle(o: Options, scheduler: SchedulerConfig, isPlaced: boolean): void {
  const refuse = (isIdle: boolean, why: string, ...names: string[]) =>
    isIdle && refuseGiven(program, names, why);
  const interpolates = o.classFrom !== undefined || o.classTo !== undefined;
  refuse(
    o.cfg === 1,
    "guidance is off: give --cfg other than 1",
    ...["cfgFrom", "cfgTo", "guidanceRescale", "twoPasses"],
  );
  refuse(scheduler._class_name !== "DDIMScheduler", "only DDIM has an η", "eta");
  refuse(!interpolates, "goes with --class-from and --class-to", "classSteps", "classOver");
  refuse(o.classOver === "steps", "the class goes over the reverse steps", "classSteps");
  refuse(!o.inpaint, "goes with --inpaint", "lungMask", "resample", "slice");
  refuse(!o.data, "goes with --data", "split");
  refuse(Boolean(o.inpaint), "--inpaint names the slice itself", "data", "split");
  const isSized = isPlaced || o.inpaint || /nifti|dicom/.test(o.format);
  refuse(!isSized, "goes with --format nifti or dicom", "fieldMm");
  const isRandom = isPlaced && !o.nodule && !o.inpaint && o.nodules !== "own";
  refuse(!isRandom, "of nodules at random places (--nodules random)", "diameter");
  for (const [flag, t] of [["--cfg-from", o.cfgFrom], ["--cfg-to", o.cfgTo]]) {
    if (t > scheduler.num_train_timesteps) {
      throw new InputError(
        `${flag} ${t}: the model has ${scheduler.num_train_timesteps} timesteps`,
      );
    }
  }
}

await main(async () => {
  parseArguments(program);
  const o = program.opts();
  if (o.schedulerConfig && (o.spacing || program.getOptionValueSource("scheduler") === "cli")) {
    throw new InputError("--scheduler-config says it all: no --scheduler or --spacing beside it");
  }
  checkOutputFolder("--out", o.out, {
    "--data": o.data,
    "--model": o.model,
    "--inpaint": o.inpaint,
  });
  const formats = parseFormats(o.format);
  if (o.perMask && !formats.includes("npy")) throw new InputError("--per-mask needs --format npy");
  if (!(o.fieldMm > 0)) throw new InputError(`--field-mm ${o.fieldMm} must be above 0`);
  const shard = o.shard ? parseShard(o.shard) : undefined;
  const given = (name: string) => program.getOptionValueSource(name) === "cli";
  const model = await openModel({ ...o, ema: given("ema") ? o.ema : undefined });
  printNotes(modelNotes(model, Boolean(o.schedulerConfig)));
  const isPlaced = model.preparation.condition === "nodule-mask";
  o.cfg ??= isPlaced ? 1 : 2;
  const [height, width] = o.resolution ?? model.resolution;
  checkImageSize(model.config, height, width);
  const { config: scheduler, notes } = o.schedulerConfig
    ? await schedulerFromFile(model, o.schedulerConfig)
    : { config: chooseScheduler(model, o.scheduler, o.spacing), notes: [] };
  printNotes(notes);
  if (o.resample > 1 && scheduler._class_name === "DPMSolverMultistepScheduler") {
    throw new InputError("--resample needs --scheduler ddim or ddpm: DPM-Solver++ looks back");
  }
  refuseIdle(o, scheduler, isPlaced);
  const steps = reverseSteps(scheduler, o.steps, o.eta);
  const { jobs: all, inpainting } = await jobsOf(o, model, { height, width });
  const jobs = shard ? takeShard(all, shard) : all;
  if (jobs.length === 0) {
    throw new InputError(`--shard ${o.shard}: only ${all.length} images in all`);
  }

  using _lock = lockFolder(o.out, shard !== undefined);
  const strangers = await otherSlices(o.out, all);
  if (strangers.length) {
    console.log(
      `note: ${o.out} holds ${strangers.length} slices of other runs too (${
        strangers[0]
      }, …): who ` +
        "reads the folder takes them all; --out chooses another",
    );
  }
  const root = new URL("../", import.meta.url);
  const gpu = await openGpu(o.locked ? lockGuard(await readLock(root)) : undefined);
  const sizes = { height, width };
  const step = {
    config: model.config,
    layout: model.layout,
    // Not of the shard's images: another batch may mean other kernels, and so another rounding.
    batch: Math.min(o.batch, all.length),
    guided: o.cfg !== 1,
    precision: o.precision,
  };
  // Shards that run side by side must not choose each for itself.
  if (o.tune && o.shard === undefined) {
    const graphOf = (change: Partial<typeof step & typeof sizes>) =>
      samplingGraph({ ...step, ...sizes, ...change, noise: "device", device: gpu.profile });
    const [low] = smallImage(model.config, [height, width]);
    // Two passes run the model on the batch as it is.
    const guided = step.guided && !o.twoPasses;
    await firstUse(gpu, () => [
      { graph: graphOf({ guided }), small: graphOf({ guided, batch: 1, height: low }) },
    ]);
  }
  const compiling = progressBar("kernels ", 1);
  const sampler = await Sampler.create(gpu, {
    ...step,
    ...sizes,
    twoPasses: o.twoPasses,
    interval: o.cfgFrom !== undefined || o.cfgTo !== undefined,
    rescaled: o.guidanceRescale > 0,
    inpaint: inpainting !== undefined,
    exact: o.exact,
    choose: await tunedChoice(gpu),
    ahead: true,
    onPipeline: (done, total) => compiling.update(done / total),
  });
  compiling.stop();
  sampler.setParameters(model.params);

  if (inpainting && !given("format")) {
    // As the slice came.
    const { kind } = inpainting.file;
    if (kind !== "npy") formats.push(kind === "dicom" ? "dicom" : "nifti");
  }
  const { out, seed } = o;
  const { out: _, shard: __, batch: ___, checkpoint: ____, ...settings } = o;
  const { window } = model.preparation;
  const output = {
    ...{ out, formats, height, width, window, seed },
    fieldMm: o.fieldMm,
    run: runName(model.params, settings),
    provenance: o.run ? await provenanceHash(o.run) : undefined,
  };
  const rows = new GridRows();
  const { preparation } = model;
  for (const shown of inpainting ? await originalViews(inpainting, sampler, preparation) : []) {
    rows.add("real, the region outlined", shown.ct, shown, true);
  }
  const timestep = (t: number) => t <= 1 ? t * scheduler.num_train_timesteps : t;
  const ends = [timestep(o.cfgFrom ?? 0), timestep(o.cfgTo ?? 1)].sort((a, b) => a - b);
  const strip = o.strip ? new Strip(steps, height, width) : undefined;
  const bar = progressBar(
    "sampling",
    Math.ceil(jobs.length / sampler.options.batch) * steps.length *
      (inpainting?.partsOf(0).length ?? 1),
  );
  const started = performance.now();
  const common = {
    steps,
    seed,
    cfgScale: o.cfg,
    guidedAt: (t: number) => t >= ends[0] && t <= ends[1],
    rescale: o.guidanceRescale,
    nullClass: model.nullClass,
    watch: strip,
    onStep: (done: number) => bar.update(done),
  };
  if (inpainting) {
    const { slice: { lungMask, height, width }, file, spacing } = inpainting;
    const own = { ...output, height, width, original: { file, spacing } };
    const options = { ...common, preparation, resample: o.resample };
    await inpaint(sampler, inpainting, jobs, options, async (job, { hu, noduleMask, views }) => {
      const [lungs, nodules] = [lungMask, noduleMask].map((mask) => Float32Array.from(mask));
      await writeImage(job, hu, lungs, nodules, own);
      await writeExactMask(job, { mask: noduleMask, size: { height, width } }, own);
      for (const { image, slice } of views) rows.add(job.row, image, slice, isPlaced);
    });
  } else {await generate(sampler, jobs, {
      ...common,
      condition: model.preparation.condition,
      classAt: o.classOver === "steps" && o.classTo !== undefined
        ? (i) => o.classFrom + (o.classTo - o.classFrom) * i / Math.max(1, steps.length - 1)
        : undefined,
    }, async (job, image, slice) => {
      const nodules = isPlaced ? wholePixels(slice.noduleMask) : undefined;
      await writeImage(job, unwindowHu(image, window), slice.lungMask, nodules, output);
      if (job.placed) await writeExactMask(job, job.placed, output);
      rows.add(job.row, image, slice, isPlaced);
    });}
  bar.stop();
  const seconds = (performance.now() - started) / 1000;

  const file = (name: string, extension: string) => join(out, shardFile(name, extension, shard));
  await writeSchedulerFile(join(out, "scheduler_config.json"), scheduler, model.scheduler);
  await writeList(file("images", "csv"), jobs, seed);
  if (strip) await writeFileAtomic(file("strip", "png"), strip.draw().toPng(pictureText(output)));
  const caption = `${scheduler._class_name} ${o.steps} steps, cfg ${o.cfg}, seed ${seed}`;
  const text = { Description: caption, ...pictureText(output) };
  const grid = drawGrid(rows.list(), height, width, caption);
  await writeFileAtomic(file("grid", "png"), grid.toPng(text));
  console.log(
    `${jobs.length} images in ${seconds.toFixed(1)} s, ${
      (seconds / jobs.length).toFixed(2)
    } s each, ` +
      `${(sampler.bytes / 2 ** 20).toFixed(1)} MiB on the GPU: ${file("grid", "png")}`,
  );
  sampler.destroy();
  gpu.destroy();
});
