/** Choosing kernels the first time that a GPU is used, for a short while. */

import type { Gpu } from "../gpu/device.ts";
import { choicesPath, writeChoices } from "./choice_files.ts";
import type { Choices } from "./choices.ts";
import { tune, type TunedStep, tuneJobs, type TuneResult } from "./tune.ts";

/** Seconds that a first use may take at most. */
export const FIRST_USE_SECONDS = 20;

/**
 * Measures what takes most of a step's time, and stores the choices, where nothing was ever stored for
 * this adapter and driver. Not on software devices: what is shipped was measured there; not where
 * only locked kernels may run, nothing can be timed, or nothing stored.
 *
 * @param steps called only if they are needed.
 * @param onStart told before the first measurement.
 */
export async function tuneOnFirstUse(
  gpu: Gpu,
  steps: () => readonly TunedStep[],
  { seconds = FIRST_USE_SECONDS, isStopped, onStart = () => {}, onProgress }: {
    readonly seconds?: number;
    readonly isStopped?: () => boolean;
    readonly onStart?: (path: string, shapes: number) => void;
    readonly onProgress?: (done: number, total: number, what: string) => void;
  } = {},
): Promise<TuneResult | undefined> {
  const { profile, name, accept } = gpu;
  if (profile.software || accept || !profile.features.includes("timestamp-query")) return;
  const path = choicesPath(profile, name);
  if (!path || await Deno.stat(path).then(() => true, () => false)) return;
  const save = (choices: Choices) => writeChoices(path, name, choices);
  try {
    await save({}); // The next use is not the first, whatever becomes of this one.
  } catch {
    return; // A folder that cannot be written to must not keep anybody from training.
  }
  const jobs = tuneJobs(gpu, steps());
  onStart(path, jobs.length);
  return await tune(gpu, jobs, { seconds, isStopped, onProgress, save });
}
