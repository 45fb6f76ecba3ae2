/** `scheduler_config.json` as diffusers reads and writes it. */

import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import type { ReadBytes } from "../io/checked.ts";
import { parseJsonFile } from "../io/json.ts";
import { readFileBounded } from "../io/read.ts";
import { CLASS_KEYS, type SchedulerConfig } from "./scheduler_config.ts";

/** The version whose files these are; diffusers only prints it. */
const DIFFUSERS_VERSION = "0.40.0";

/**
 * Reads a scheduler's configuration, unchecked: see `schedulerConfig`. Python's JSON writes
 * −Infinity bare (`lambda_min_clipped` of DPM-Solver++), which is read as the text "-Infinity".
 *
 * @throws InputError naming the file if it is no JSON object.
 */
export async function readSchedulerFile(
  path: string,
  read: ReadBytes = readFileBounded,
): Promise<Record<string, unknown>> {
  const text = new TextDecoder().decode(await read(path, 2 ** 20));
  // A string without its end is taken to the end of the text: looked for once, not from each quote.
  const plain = text.replace(
    /("(?:[^"\\]|\\.)*(?:"|$))|-?\bInfinity\b|\bNaN\b/gs,
    (token, quoted) => quoted ?? `"${token}"`,
  );
  const value = parseJsonFile(plain, path);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError(`Cannot read "${path}": it is not a JSON object`);
  }
  return value as Record<string, unknown>;
}

/**
 * The configuration with the keys of its class, as a diffusers `from_config` takes it.
 *
 * @param notes of the model (`_null_class` and the like), which diffusers passes over; written too.
 */
export function schedulerJson(
  config: SchedulerConfig,
  notes: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const own = { _class_name: config._class_name, _diffusers_version: DIFFUSERS_VERSION };
  const kept = Object.entries(notes).filter(([key]) => key.startsWith("_"));
  const json: Record<string, unknown> = { ...own, ...Object.fromEntries(kept), ...own };
  for (const key of CLASS_KEYS[config._class_name]) json[key] = config[key];
  if (config._class_name === "DPMSolverMultistepScheduler") json.algorithm_type = "dpmsolver++";
  return json;
}

/** Writes a file that diffusers loads. */
export async function writeSchedulerFile(
  path: string,
  config: SchedulerConfig,
  notes?: Readonly<Record<string, unknown>>,
): Promise<void> {
  await writeFileAtomic(path, JSON.stringify(schedulerJson(config, notes), null, 2) + "\n");
}
