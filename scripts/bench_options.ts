/** Which kernels: the options that `bench kernels`, `bench ab` and `bench wgsl` share. */

import { resolve } from "node:path";
import { cpus } from "node:os";
import { type Command, Option } from "commander";
import { jobsOfModel, jobsOfShapes, type KernelJob, opsNamed } from "../lib/bench/jobs.ts";
import { machineOf } from "../lib/bench/machine.ts";
import { type BenchModel, configModel, MODEL_NAMES, namedModel } from "../lib/bench/models.ts";
import type { Machine } from "../lib/bench/result.ts";
import type { StepKind } from "../lib/bench/steps.ts";
import { precisionOption, refuseGiven, wholeIn } from "../lib/cli/command.ts";
import { repeatable } from "../lib/cli/main.ts";
import { InputError } from "../lib/errors.ts";
import { type Gpu, openGpu, requirePrecision } from "../lib/gpu/device.ts";
import type { Precision } from "../lib/graph/tensor.ts";
import { unet2DConfig } from "../lib/nn/config.ts";
import { CONFIG_NAME, readJsonObject } from "../lib/nn/pretrained.ts";
import type { PlanOptions } from "../lib/plan/lower.ts";
import { tunedChoice } from "../lib/tune/choice_files.ts";

export interface Choice {
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
}

export const modelOption = () =>
  new Option("--model <name>", `${MODEL_NAMES.join(", ")}, or a diffusers folder`).default("seed");

export function choiceOptions(program: Command): Command {
  return program
    .option("--op <name>", "an op, or all whose names begin so (default: all)")
    .addOption(repeatable(new Option("--shape <spec>", "a shape of one's own, once or more")))
    .addOption(repeatable(new Option("--axis <name=values>", "a dimension of --shape to vary")))
    .option("--variant <name>", "one variant, or all (default: what the plan takes)")
    .addOption(modelOption())
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
    .option("--untuned", "variants in the order shipped, whatever `./run tune` stored");
}

/** @throws InputError naming an option that would change nothing. */
export function checkChoice(program: Command, { op, shape }: Choice): void {
  if (!shape) refuseGiven(program, ["axis"], "goes with --shape");
  else {
    refuseGiven(program, ["model", "step", "batch", "size", "list"], "goes without --shape");
    if (!op) throw new InputError("--shape: --op says of which op");
  }
}

export async function modelNamed(name: string): Promise<BenchModel> {
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

/** The same device, planned for as another kind. */
const as = (gpu: Gpu, kind?: "gpu" | "software"): Gpu =>
  kind === undefined
    ? gpu
    : Object.create(gpu, { profile: { value: { ...gpu.profile, software: kind === "software" } } });

export interface Chosen {
  readonly gpu: Gpu;
  readonly plan: PlanOptions;
  readonly ops: readonly string[];
  readonly model: BenchModel;
  readonly at: { readonly batch: number; readonly size: number; readonly precision: Precision };
}

/** Opens the device, and finds what the options mean there. */
export async function open(options: Choice): Promise<Chosen> {
  const ops = opsNamed(options.op);
  const model = await modelNamed(options.model);
  if (!model.kinds.includes(options.step)) {
    throw new InputError(`--step ${options.step}: ${model.name} has ${model.kinds.join(", ")}`);
  }
  const gpu = as(await openGpu(), options.device);
  requirePrecision(options.precision, gpu);
  const choose = options.untuned ? undefined : await tunedChoice(gpu);
  return {
    ...{ gpu, ops, model },
    plan: { device: gpu.profile, exact: Boolean(options.exact), choose },
    at: {
      batch: options.batch ?? model.batch,
      size: options.size ?? model.size,
      precision: options.precision,
    },
  };
}

/** @throws InputError where nothing is left to time. */
export function jobsChosen({ plan, ops, model, at }: Chosen, options: Choice): KernelJob[] {
  const { variant, precision } = options;
  const jobs = options.shape
    ? jobsOfShapes(ops[0], options.shape, options.axis ?? [], plan, { precision, variant })
    : jobsOfModel(model, options.step, at, plan, { ops, variant });
  if (jobs.length) return jobs;
  throw new InputError(
    `nothing to time: ${model.name}'s ${options.step} step has no ${options.op ?? "op"}` +
      `${
        variant ? ` with a variant ${variant}` : ""
      }; ./run bench kernels --list says what there is`,
  );
}

/** What is said of this machine and program in a result. */
export async function aboutHere(gpu: Gpu): Promise<{ program: string; machine: Machine }> {
  const text = await Deno.readTextFile(new URL("../deno.json", import.meta.url));
  const { name, version } = JSON.parse(text);
  return {
    program: `${name} ${version}`,
    machine: await machineOf(gpu, {
      runtime: { Deno: Deno.version.deno, V8: Deno.version.v8 },
      processor: cpus()[0]?.model.trim() ?? "",
    }),
  };
}
