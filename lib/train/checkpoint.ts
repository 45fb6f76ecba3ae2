/**
 * Checkpoints: one folder a step, written under a temporary name and renamed when whole.
 *
 *   step-00000400/
 *     unet/, unet_ema/          diffusers folders (config.json, safetensors)
 *     scheduler/scheduler_config.json
 *     optimizer.safetensors     AdamW's moments, flat
 *     state.json                where the run is, the SHA-256 of the files above and of itself, and
 *                               what provenance.json said
 *     README.md                 the model card
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { asWriteError, InputError } from "../errors.ts";
import type { SamplerState } from "../data/sampler.ts";
import { removeStrays, temporaryIn, writeFileAtomic } from "../io/atomic.ts";
import { checkedReader } from "../io/checked.ts";
import { asInputError, requireFile } from "../io/read.ts";
import { parseSafetensors, type SafeTensor, toFloat32 } from "../io/safetensors.ts";
import { MAX_BYTES, writeSafetensors } from "../io/safetensors_file.ts";
import { isLossScale, type LossScale } from "./loss_scale.ts";
import type { UNet2DConfig } from "../nn/config.ts";
import { canonical } from "../plan/hash.ts";
import type { ParameterLayout } from "../nn/parameters.ts";
import {
  CONFIG_NAME,
  loadPretrained,
  readJsonObject,
  savePretrained,
  WEIGHTS_NAME,
} from "../nn/pretrained.ts";

/** Where a run is: with the weights and moments, all that the rest of the run depends on. */
export interface Progress {
  /** Optimizer steps done. */
  readonly step: number;
  /** Micro-batches done: also the counter of noise and timesteps. */
  readonly microStep: number;
  /** Hash of the kernels that made it, see `Trainer.kernels`. */
  readonly kernels?: string;
  /** Of a run with precision f16. */
  readonly lossScale?: LossScale;
  readonly sampler: SamplerState;
}

export interface TrainingState {
  readonly progress: Progress;
  readonly params: Float32Array<ArrayBuffer>;
  readonly ema: Float32Array<ArrayBuffer>;
  readonly m: Float32Array<ArrayBuffer>;
  readonly v: Float32Array<ArrayBuffer>;
}

export const CHECKPOINTS = "checkpoints";
export const CARD_NAME = "README.md";
export const STATE_NAME = "state.json";
const OPTIMIZER_NAME = "optimizer.safetensors";
export const CHECKPOINT_FILES = [
  `unet/${CONFIG_NAME}`,
  `unet/${WEIGHTS_NAME}`,
  `unet_ema/${CONFIG_NAME}`,
  `unet_ema/${WEIGHTS_NAME}`,
  "scheduler/scheduler_config.json",
  OPTIMIZER_NAME,
];

/** SHA-256 of a file, read piece by piece. */
export async function hashOf(path: string): Promise<string> {
  try {
    await requireFile(path, MAX_BYTES);
    using file = await Deno.open(path);
    const hash = createHash("sha256");
    const piece = new Uint8Array(2 ** 20);
    for (let n; (n = await file.read(piece)) !== null;) hash.update(piece.subarray(0, n));
    return hash.digest("hex");
  } catch (error) {
    throw asInputError(error, path);
  }
}

export const checkpointName = (step: number) => `step-${String(step).padStart(8, "0")}`;

/**
 * Writes a checkpoint of a run, whole or not at all.
 *
 * @param card writes its model card, told the SHA-256 of each file.
 * @param provenance of the run: what its provenance.json says now.
 * @returns its folder.
 */
export async function saveCheckpoint(
  run: string,
  config: UNet2DConfig,
  layout: ParameterLayout,
  scheduler: Record<string, unknown>,
  state: TrainingState,
  card?: (sha256: Record<string, string>) => string,
  provenance?: unknown,
): Promise<string> {
  const root = join(run, CHECKPOINTS);
  const target = join(root, checkpointName(state.progress.step));
  const temporary = temporaryIn(root);
  await Deno.mkdir(temporary, { recursive: true });
  try {
    await savePretrained(join(temporary, "unet"), { config, layout, params: state.params });
    await savePretrained(join(temporary, "unet_ema"), { config, layout, params: state.ema });
    const json = JSON.stringify(scheduler, null, 2) + "\n";
    await writeFileAtomic(join(temporary, "scheduler", "scheduler_config.json"), json);
    const tensor = (data: Float32Array): SafeTensor => ({
      dtype: "F32",
      shape: [data.length],
      data,
    });
    const tensors: [string, SafeTensor][] = [
      ["m", tensor(state.m)],
      ["v", tensor(state.v)],
    ];
    await writeSafetensors(join(temporary, OPTIMIZER_NAME), tensors);
    const sha256: Record<string, string> = {};
    for (const file of CHECKPOINT_FILES) sha256[file] = await hashOf(join(temporary, file));
    if (card) await writeFileAtomic(join(temporary, CARD_NAME), card(sha256));
    const record = { ...state.progress, sha256, provenance };
    await writeFileAtomic(
      join(temporary, STATE_NAME),
      JSON.stringify(sealed(record), null, 2) + "\n",
    );
    // A folder cannot be renamed over another: one of the same step gives way first.
    await discard(target);
    await Deno.rename(temporary, target);
    await syncFolder(root);
  } catch (error) {
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
    const before = (await listCheckpoints(run))[0];
    throw asWriteError(
      error,
      `Cannot save the checkpoint of step ${state.progress.step} in ${root}`,
      before ? `${before} is intact` : "no checkpoint was made before",
    );
  }
  return target;
}

/** With the SHA-256 of its own content, keys sorted, as `digest`. */
export function sealed(record: Record<string, unknown>): Record<string, unknown> {
  const plain = JSON.parse(JSON.stringify(record));
  return { ...plain, digest: createHash("sha256").update(canonical(plain)).digest("hex") };
}

/** Whether a record's digest is its own. Those of before there were digests have none, and pass. */
export function isSealed({ digest, ...record }: Record<string, unknown>): boolean {
  return digest === undefined || sealed(record).digest === digest;
}

/** Removes a checkpoint so that a kill in the midst of it leaves nothing that looks like one. */
export async function discard(folder: string): Promise<void> {
  const away = temporaryIn(join(folder, ".."));
  try {
    await Deno.rename(folder, away);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  await Deno.remove(away, { recursive: true });
}

/** Brings a rename to the disk. Not all systems let a folder be opened for it. */
async function syncFolder(folder: string): Promise<void> {
  try {
    using handle = await Deno.open(folder);
    await handle.sync();
  } catch {
    // The rename has happened; only a power cut could undo it.
  }
}

/** Checkpoint folders of a run, newest first. */
export async function listCheckpoints(run: string): Promise<string[]> {
  const root = join(run, CHECKPOINTS);
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(root)) {
      if (/^step-\d{8}$/.test(entry.name)) names.push(entry.name);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  return names.sort().reverse().map((name) => join(root, name));
}

/** Removes what a run that was killed left half-written. */
export async function removeLeftovers(run: string): Promise<void> {
  for (const folder of ["", CHECKPOINTS, "samples"]) await removeStrays(join(run, folder));
}

/** Loads a checkpoint after checking every file against its SHA-256. @throws InputError. */
export async function loadCheckpoint(
  folder: string,
  layout: ParameterLayout,
): Promise<TrainingState> {
  const statePath = join(folder, STATE_NAME);
  const record = await readJsonObject(statePath);
  if (!isSealed(record)) {
    throw new InputError(
      `${statePath}: its digest is not that of what it says: changed or damaged`,
    );
  }
  const sha256 = (record.sha256 ?? {}) as Record<string, unknown>;
  const read = checkedReader(folder, sha256, STATE_NAME);
  const { step, microStep, sampler, kernels, lossScale } = record as unknown as Progress;
  if (!Number.isInteger(step) || !Number.isInteger(microStep) || typeof sampler !== "object") {
    throw new InputError(`${statePath}: step, microStep or sampler is missing`);
  }
  if (lossScale !== undefined && !isLossScale(lossScale)) {
    throw new InputError(`${statePath}: lossScale ${JSON.stringify(lossScale)} is damaged`);
  }
  const weights = async (part: string) => {
    const model = await loadPretrained(join(folder, part), read);
    if (model.layout.size !== layout.size) {
      throw new InputError(`${folder}/${part}: another model than the run's configuration says`);
    }
    return model.params;
  };
  const path = join(folder, OPTIMIZER_NAME);
  const { tensors } = parseSafetensors(await read(path, MAX_BYTES), path);
  const flat = (name: string): Float32Array<ArrayBuffer> => {
    const tensor = tensors.get(name);
    const values = tensor && toFloat32(tensor);
    if (values?.length !== layout.size) {
      throw new InputError(`${path}: tensor "${name}" must have ${layout.size} elements`);
    }
    return Float32Array.from(values);
  };
  await read(join(folder, "scheduler", "scheduler_config.json"), 2 ** 20);
  return {
    progress: { step, microStep, sampler, kernels, lossScale },
    params: await weights("unet"),
    ema: await weights("unet_ema"),
    m: flat("m"),
    v: flat("v"),
  };
}

/**
 * The newest checkpoint of a run that is whole; damaged ones are passed over and told to `onDamaged`.
 *
 * @throws InputError where there is none.
 */
export async function latestCheckpoint(
  run: string,
  layout: ParameterLayout,
  onDamaged: (reason: string) => void,
): Promise<TrainingState> {
  for (const folder of await listCheckpoints(run)) {
    try {
      return await loadCheckpoint(folder, layout);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      onDamaged(error.message);
    }
  }
  throw new InputError(`${join(run, CHECKPOINTS)}: there is no checkpoint to go on from`);
}
