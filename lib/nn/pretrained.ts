/** A model as a folder that diffusers reads and writes: config.json and safetensors weights. */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import type { ReadBytes } from "../io/checked.ts";
import { parseJsonFile } from "../io/json.ts";
import { readFileBounded } from "../io/read.ts";
import { encodeSafetensors } from "../io/safetensors.ts";
import { writeSafetensors } from "../io/safetensors_file.ts";
import { unet2DConfig } from "./config.ts";
import { flattenParameters, namedTensors, type PretrainedModel } from "./state_dict.ts";
import { unet2DParameters } from "./unet_2d.ts";
import { readWeights, renameOldAttention, WEIGHTS_NAME } from "./weights_files.ts";

export const CONFIG_NAME = "config.json";
export { WEIGHTS_NAME };
/** The version whose files these are; diffusers only prints it. */
const DIFFUSERS_VERSION = "0.40.0";

/** Reads a JSON object of at most 1 MiB. @throws InputError naming the file. */
export async function readJsonObject(
  path: string,
  read: ReadBytes = readFileBounded,
): Promise<Record<string, unknown>> {
  const value = parseJsonFile(await read(path, 2 ** 20), path);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError(`Cannot read "${path}": it is not a JSON object`);
  }
  return value as Record<string, unknown>;
}

/**
 * Loads a folder written by `UNet2DModel.save_pretrained` (weights whole or in shards, safetensors or
 * `.bin`, also of a half-float variant) or by {@link savePretrained}.
 *
 * @param read checks what it reads, where there is something to check it against.
 */
export async function loadPretrained(
  folder: string,
  read: ReadBytes = readFileBounded,
): Promise<PretrainedModel & { readonly weightsPath: string }> {
  const configPath = join(folder, CONFIG_NAME);
  const config = unet2DConfig(await readJsonObject(configPath, read), configPath);
  const layout = unet2DParameters(config);
  const { path, tensors } = await readWeights(folder, read);
  const params = flattenParameters(layout, renameOldAttention(tensors, path), path);
  return { config, layout, params, weightsPath: path };
}

/** The bytes of a model's weights as one safetensors file. */
export function weightsFile({ layout, params }: PretrainedModel): Uint8Array<ArrayBuffer> {
  return encodeSafetensors(namedTensors(layout, params), { format: "pt" });
}

/** Writes a folder that `UNet2DModel.from_pretrained` loads unchanged. */
export async function savePretrained(folder: string, model: PretrainedModel): Promise<void> {
  const config = { _class_name: "UNet2DModel", _diffusers_version: DIFFUSERS_VERSION };
  const json = JSON.stringify({ ...config, ...model.config }, null, 2);
  await writeFileAtomic(join(folder, CONFIG_NAME), json + "\n");
  await writeSafetensors(
    join(folder, WEIGHTS_NAME),
    namedTensors(model.layout, model.params),
    { format: "pt" },
  );
}
