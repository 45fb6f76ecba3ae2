/** The options of `sample`, and which of them go together. */

import { Command, InvalidArgumentError, Option } from "commander";
import { precisionOption, refuseGiven, sizeIn } from "../lib/cli/command.ts";
import { repeatable } from "../lib/cli/main.ts";
import { PHANTOM_FIELD_MM } from "../lib/data/phantom.ts";
import { SCHEDULER_CHOICES } from "../lib/diffusion/sampling_model.ts";
import { FORMATS } from "../lib/diffusion/outputs.ts";
import type { SchedulerConfig } from "../lib/diffusion/scheduler_config.ts";
import { InputError } from "../lib/errors.ts";
import { NO_TUNE } from "./first_use.ts";

export const number = (text: string) => {
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

export const program = new Command("sample")
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

export type Options = ReturnType<typeof program.opts>;

/** Refuses options that would change nothing beside the others. */
export function refuseIdle(o: Options, scheduler: SchedulerConfig, isPlaced: boolean): void {
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
