/** A model as a folder that diffusers reads and writes: config.json and safetensors weights. */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { readFileBounded } from "../io/read.ts";
import { readSafetensors, writeSafetensors } from "../io/safetensors_file.ts";
import { unet2DConfig } from "./config.ts";
import { flattenParameters, namedTensors, type PretrainedModel } from "./state_dict.ts";
import { unet2DParameters } from "./unet_2d.ts";

export const CONFIG_NAME = "config.json";
export const WEIGHTS_NAME = "diffusion_pytorch_model.safetensors";
/** The version whose files these are; diffusers only prints it. */
const DIFFUSERS_VERSION = "0.40.0";

/** Reads a JSON object of at most 1 MiB. @throws InputError naming the file. */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  const text = new TextDecoder().decode(await readFileBounded(path, 2 ** 20));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InputError(`Cannot read "${path}": ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError(`Cannot read "${path}": it is not a JSON object`);
  }
  return value as Record<string, unknown>;
}

/** Loads a folder written by `UNet2DModel.save_pretrained` or by {@link savePretrained}. */
export async function loadPretrained(folder: string): Promise<PretrainedModel> {
  const configPath = join(folder, CONFIG_NAME);
  const config = unet2DConfig(await readJsonObject(configPath), configPath);
  const layout = unet2DParameters(config);
  const weightsPath = join(folder, WEIGHTS_NAME);
  const { tensors } = await readSafetensors(weightsPath);
  return { config, layout, params: flattenParameters(layout, tensors, weightsPath) };
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
