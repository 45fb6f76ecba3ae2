/** `./run sample`: makes lung-CT slices with a trained model. */

import { join } from "node:path";
import { main, parseArguments, printNotes, progressBar } from "../lib/cli/main.ts";
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
} from "../lib/diffusion/sampling_model.ts";
import {
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
import { reverseSteps } from "../lib/diffusion/scheduler.ts";
import { writeSchedulerFile } from "../lib/diffusion/scheduler_file.ts";
import { Strip } from "../lib/diffusion/strip.ts";
import { InputError } from "../lib/errors.ts";
import { lockGuard, readLock } from "../lib/audit/lock.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { checkOutputFolder, lockFolder } from "../lib/io/output_folder.ts";
import { checkImageSize } from "../lib/nn/config.ts";
import { drawGrid } from "../lib/train/grid.ts";
import { commitOf } from "../lib/train/provenance.ts";
import { provenanceHash } from "../lib/train/provenance_file.ts";
import { planHash } from "../lib/plan/hash.ts";
import {
  SAMPLE_RECORD,
  shortFolder,
  Sums,
  SUMS_NAME,
  weightsHash,
  writeSampleRecord,
} from "../lib/diffusion/sample_record.ts";
import { GridRows } from "../lib/train/grid_rows.ts";
import { tunedChoice } from "../lib/tune/choice_files.ts";
import { smallImage } from "../lib/bench/small.ts";
import { firstUse } from "./first_use.ts";
import { type Options, program, refuseIdle } from "./sample_options.ts";

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

/** Options whose values are places on this machine: no part of what is handed on. */
const PLACES = ["run", "model", "data", "inpaint", "region", "lungMask", "schedulerConfig"];
const withoutPaths = (settings: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => !PLACES.includes(name)));

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
    weights: weightsHash(model.params),
  };
  const sums = new Sums(out);
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
      await sums.add(...await writeImage(job, hu, lungs, nodules, own));
      const exact = { mask: noduleMask, size: { height, width } };
      await sums.add(...await writeExactMask(job, exact, own));
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
      const hu = unwindowHu(image, window);
      await sums.add(...await writeImage(job, hu, slice.lungMask, nodules, output));
      if (job.placed) await sums.add(...await writeExactMask(job, job.placed, output));
      rows.add(job.row, image, slice, isPlaced);
    });}
  bar.stop();
  const seconds = (performance.now() - started) / 1000;

  const file = (name: string, extension: string) => join(out, shardFile(name, extension, shard));
  await writeSchedulerFile(join(out, "scheduler_config.json"), scheduler, model.scheduler);
  await writeList(file("images", "csv"), jobs, seed);
  await sums.add(file("images", "csv"));
  if (strip) {
    const path = file("strip", "png");
    await writeFileAtomic(path, strip.draw().toPng(pictureText(output)));
    await sums.add(path);
  }
  const caption = `${scheduler._class_name} ${o.steps} steps, cfg ${o.cfg}, seed ${seed}`;
  const text = { Description: caption, ...pictureText(output) };
  const grid = drawGrid(rows.list(), height, width, caption);
  await writeFileAtomic(file("grid", "png"), grid.toPng(text));
  await sums.add(file("grid", "png"));
  const paths = { record: file(SAMPLE_RECORD, "json"), sums: file(SUMS_NAME, "txt") };
  await writeSampleRecord(paths, sums, {
    run: output.run,
    provenance: output.provenance ?? null,
    checkpoint: shortFolder(model.folder),
    weights: output.weights,
    settings: withoutPaths(settings),
    commit: await commitOf() ?? null,
    adapter: gpu.name,
    plan: await planHash(sampler.plans.main.plan),
    deno: Deno.version.deno,
  });
  console.log(
    `${jobs.length} images in ${seconds.toFixed(1)} s, ${
      (seconds / jobs.length).toFixed(2)
    } s each, ` +
      `${(sampler.bytes / 2 ** 20).toFixed(1)} MiB on the GPU: ${file("grid", "png")}`,
  );
  console.log(
    `${out}: slices with their masks (${
      formats.join(", ")
    }); images.csv says which lung mask and ` +
      "seed each is of",
  );
  sampler.destroy();
  gpu.destroy();
});
