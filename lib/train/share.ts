/**
 * A run's model without the run: what may be handed on. Everything that is written is made anew from
 * checked values (numbers, and words of fixed lists), so nothing that a file of the run says beside
 * them, such as a path, a name or a picture, gets through.
 */

import { basename, dirname, join } from "node:path";
import { loadRunModel, type WhichCheckpoint } from "../diffusion/model_folder.ts";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { readJsonObject, savePretrained } from "../nn/pretrained.ts";
import { CARD_NAME, hashOf } from "./checkpoint.ts";
import { type RunConfig, runConfig } from "./config.ts";
import { modelCard } from "./model_card.ts";
import { RUN_CONFIG_NAME } from "./run.ts";
import { trainingScheduler } from "./training_step.ts";

export interface ShareOptions {
  /** The averaged weights, or the plain ones. */
  readonly ema: boolean;
  readonly checkpoint: WhichCheckpoint;
}

/** What {@link shareRun} writes, below its folder. */
export const SHARED_FILES = [
  "unet/config.json",
  "unet/diffusion_pytorch_model.safetensors",
  "scheduler/scheduler_config.json",
  RUN_CONFIG_NAME,
  CARD_NAME,
] as const;

/**
 * Writes weights, scheduler and settings of a run to `out`, as a diffusers folder: `unet/`,
 * `scheduler/`, and the run's configuration without the place of its data.
 *
 * @returns the checkpoint's folder that the weights are of.
 * @throws InputError where `run` holds no run, or `out` holds anything.
 *
 * @example
 * await shareRun("runs/demo", "out/demo-model", { ema: true, checkpoint: "best" });
 */
export async function shareRun(run: string, out: string, options: ShareOptions): Promise<string> {
  const entries = await Array.fromAsync(Deno.readDir(out)).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  });
  if (entries.length > 0) {
    throw new InputError(`--out ${out}: it holds files already, and what is shared must be known`);
  }
  const path = join(run, RUN_CONFIG_NAME);
  const { data, ...raw } = await readJsonObject(path);
  const config: RunConfig = runConfig(raw, path);
  const model = await loadRunModel(run, options.ema, options.checkpoint);
  await savePretrained(join(out, "unet"), model);
  const json = (value: unknown) => JSON.stringify(value, null, 2) + "\n";
  await writeFileAtomic(
    join(out, "scheduler", "scheduler_config.json"),
    json(trainingScheduler(config)),
  );
  await writeFileAtomic(join(out, RUN_CONFIG_NAME), json({ data: null, ...config }));
  const sha256: Record<string, string> = {};
  for (const file of SHARED_FILES) {
    if (file !== CARD_NAME) sha256[file] = await hashOf(join(out, file));
  }
  const card = modelCard(config, {
    step: Number(basename(dirname(model.folder)).slice("step-".length)),
    parameters: model.layout.count,
    data: data === null
      ? "The built-in phantom: no patients."
      : "CT slices; not part of this folder.",
    sha256,
  });
  await writeFileAtomic(join(out, CARD_NAME), card);
  return model.folder;
}
