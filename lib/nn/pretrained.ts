/** A model as a folder that diffusers reads and writes: config.json and safetensors weights. */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import { sameShape } from "../graph/tensor.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { readFileBounded } from "../io/read.ts";
import {
  readSafetensors,
  type SafeTensor,
  toFloat32,
  writeSafetensors,
} from "../io/safetensors.ts";
import { type UNet2DConfig, unet2DConfig } from "./config.ts";
import type { ParameterLayout } from "./parameters.ts";
import { unet2DParameters } from "./unet_2d.ts";

export const CONFIG_NAME = "config.json";
export const WEIGHTS_NAME = "diffusion_pytorch_model.safetensors";
/** The version whose files these are; diffusers only prints it. */
const DIFFUSERS_VERSION = "0.40.0";

export interface PretrainedModel {
  readonly config: UNet2DConfig;
  readonly layout: ParameterLayout;
  /** All parameters, flat. */
  readonly params: Float32Array<ArrayBuffer>;
}

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

/**
 * Places named tensors into one flat buffer.
 *
 * @param prefix that names carry in the file (`param.` in reference cases).
 * @throws InputError for a missing tensor, a wrong shape, or one that the model does not have.
 */
export function flattenParameters(
  layout: ParameterLayout,
  tensors: ReadonlyMap<string, SafeTensor>,
  file: string,
  prefix = "",
): Float32Array<ArrayBuffer> {
  const flat = new Float32Array(layout.size);
  for (const { name, shape } of layout.specs) {
    const tensor = tensors.get(prefix + name);
    if (!tensor) throw new InputError(`${file}: tensor "${prefix}${name}" is missing`);
    if (!sameShape(tensor.shape, shape)) {
      throw new InputError(
        `${file}: tensor "${prefix}${name}" is [${tensor.shape}], the ` +
          `configuration requires [${shape}]`,
      );
    }
    const values = toFloat32(tensor);
    if (values.some((v) => !Number.isFinite(v))) {
      throw new InputError(`${file}: tensor "${prefix}${name}" holds NaN or infinite values`);
    }
    layout.part(flat, name).set(values);
  }
  for (const name of tensors.keys()) {
    if (name.startsWith(prefix) && !layout.has(name.slice(prefix.length))) {
      throw new InputError(`${file}: tensor "${name}" is not of this model`);
    }
  }
  return flat;
}

/** The parameters as tensors under their state-dict names. */
export function* namedTensors(
  layout: ParameterLayout,
  flat: Float32Array,
  prefix = "",
): Generator<[string, SafeTensor]> {
  for (const { name, shape } of layout.specs) {
    const data = layout.part(flat, name).slice();
    yield [prefix + name, { dtype: "F32", shape: [...shape], data }];
  }
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
