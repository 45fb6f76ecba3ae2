/** `scheduler_config.json` as diffusers reads and writes it. */

import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { readFileBounded } from "../io/read.ts";
import type { SchedulerConfig, SchedulerName } from "./scheduler.ts";

/** The version whose files these are; diffusers only prints it. */
const DIFFUSERS_VERSION = "0.40.0";

/**
 * Reads a scheduler's configuration, unchecked: see `schedulerConfig`. Python's JSON writes
 * −Infinity bare (`lambda_min_clipped` of DPM-Solver++), which is read as the text "-Infinity".
 *
 * @throws InputError naming the file if it is no JSON object.
 */
export async function readSchedulerFile(path: string): Promise<Record<string, unknown>> {
  const text = new TextDecoder().decode(await readFileBounded(path, 2 ** 20));
  const plain = text.replace(
    /("(?:[^"\\]|\\.)*")|-?\bInfinity\b|\bNaN\b/g,
    (token, quoted) => quoted ?? `"${token}"`,
  );
  let value: unknown;
  try {
    value = JSON.parse(plain);
  } catch (error) {
    throw new InputError(`Cannot read "${path}": ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError(`Cannot read "${path}": it is not a JSON object`);
  }
  return value as Record<string, unknown>;
}

const SHARED: readonly (keyof SchedulerConfig)[] = [
  "num_train_timesteps",
  "beta_start",
  "beta_end",
  "beta_schedule",
  "prediction_type",
  "timestep_spacing",
  "steps_offset",
  "thresholding",
];
const CLIP: readonly (keyof SchedulerConfig)[] = ["clip_sample", "clip_sample_range"];

/** The keys that each class has in diffusers; another class's would be warned about there. */
const KEYS: Record<SchedulerName, readonly (keyof SchedulerConfig)[]> = {
  DDPMScheduler: [...SHARED, ...CLIP, "variance_type"],
  DDIMScheduler: [...SHARED, ...CLIP, "set_alpha_to_one"],
  DPMSolverMultistepScheduler: [
    ...SHARED,
    "solver_order",
    "lower_order_final",
    "final_sigmas_type",
    "euler_at_final",
  ],
};

/** The configuration with the keys of its class, as a diffusers `from_config` takes it. */
export function schedulerJson(config: SchedulerConfig): Record<string, unknown> {
  const json: Record<string, unknown> = {
    _class_name: config._class_name,
    _diffusers_version: DIFFUSERS_VERSION,
  };
  for (const key of KEYS[config._class_name]) json[key] = config[key];
  if (config._class_name === "DPMSolverMultistepScheduler") json.algorithm_type = "dpmsolver++";
  return json;
}

/** Writes a file that diffusers loads. */
export async function writeSchedulerFile(path: string, config: SchedulerConfig): Promise<void> {
  await writeFileAtomic(path, JSON.stringify(schedulerJson(config), null, 2) + "\n");
}
