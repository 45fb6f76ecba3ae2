/** Weights beside a config.json, in the forms that diffusers writes: whole, in shards, as pickles. */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import type { ReadBytes } from "../io/checked.ts";
import { parseJsonFile } from "../io/json.ts";
import { LIMITS } from "../io/limits.ts";
import { parseSafetensors, type SafeTensor } from "../io/safetensors.ts";
import { requireDense } from "../io/disk.ts";
import { MAX_BYTES, requireSafetensors } from "../io/safetensors_file.ts";
import { parseTorch, type TorchTensor } from "../io/torch_pickle.ts";

export const WEIGHTS_NAME = "diffusion_pytorch_model.safetensors";

/** In the order in which diffusers' `from_pretrained` looks, then those of a half-float variant. */
const NAMES = [
  "diffusion_pytorch_model.safetensors.index.json",
  WEIGHTS_NAME,
  "diffusion_pytorch_model.bin.index.json",
  "diffusion_pytorch_model.bin",
  ...["fp16", "bf16"].flatMap((variant) => [
    `diffusion_pytorch_model.safetensors.index.${variant}.json`,
    `diffusion_pytorch_model.${variant}.safetensors`,
    `diffusion_pytorch_model.bin.index.${variant}.json`,
    `diffusion_pytorch_model.${variant}.bin`,
  ]),
];
const MAX_SHARDS = 1000;

export interface Weights {
  /** The file, or the index of its shards. */
  readonly path: string;
  readonly tensors: Map<string, SafeTensor>;
}

/** @throws InputError naming the file and the reason. */
export async function readWeights(folder: string, read: ReadBytes): Promise<Weights> {
  const name = await firstOf(folder);
  const path = join(folder, name);
  if (!name.endsWith(".json")) return { path, tensors: await tensorsOf(path, read) };
  const tensors = new Map<string, SafeTensor>();
  const from = new Map<string, string>();
  const shards = await shardsOf(path, read);
  for (const shard of shards.keys()) {
    for (const [key, tensor] of await tensorsOf(join(folder, shard), read)) {
      const before = from.get(key);
      if (before) throw new InputError(`${path}: tensor "${key}" is in ${before} and in ${shard}`);
      from.set(key, shard);
      tensors.set(key, tensor);
    }
  }
  for (const [shard, keys] of shards) {
    const lost = keys.find((key) => from.get(key) !== shard);
    if (lost) throw new InputError(`${path}: tensor "${lost}" is not in ${shard}`);
  }
  return { path, tensors };
}

async function firstOf(folder: string): Promise<string> {
  for (const name of NAMES) {
    const there = await Deno.stat(join(folder, name)).then(() => true, (error) => {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    });
    if (there) return name;
  }
  const found: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (/\.(safetensors|bin|pt|pth|ckpt|msgpack|onnx)$/.test(name)) found.push(name);
  }
  throw new InputError(
    `${folder}: no weights: ${WEIGHTS_NAME}, its shards, a .fp16 or .bf16 variant, or a .bin ` +
      `needed; ${found.length ? `found ${found.sort().slice(0, 5).join(", ")}` : "none is there"}`,
  );
}

/** File → names of the tensors that the index says are in it. */
async function shardsOf(path: string, read: ReadBytes): Promise<Map<string, string[]>> {
  const index = parseJsonFile(await read(path, LIMITS.json.bytes), path);
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null) {
    throw new InputError(`Cannot read "${path}": weight_map is missing`);
  }
  const shards = new Map<string, string[]>();
  for (const [key, shard] of Object.entries(map)) {
    // Only files of this folder: an index that comes with a model must not point elsewhere.
    if (typeof shard !== "string" || !/^\w[\w.-]*\.(safetensors|bin)$/.test(shard)) {
      throw new InputError(
        `Cannot read "${path}": ${JSON.stringify(shard)} is no name of a .safetensors or .bin file`,
      );
    }
    const keys = shards.get(shard);
    if (keys) keys.push(key);
    else shards.set(shard, [key]);
  }
  if (shards.size === 0 || shards.size > MAX_SHARDS) {
    throw new InputError(`Cannot read "${path}": ${shards.size} shards, 1 to ${MAX_SHARDS} needed`);
  }
  return shards;
}

async function tensorsOf(path: string, read: ReadBytes): Promise<Map<string, SafeTensor>> {
  requireDense(path);
  if (!path.endsWith(".bin")) {
    await requireSafetensors(path);
    const { tensors } = parseSafetensors(await read(path, MAX_BYTES), path);
    for (const [name, { dtype }] of tensors) {
      if (!/^B?F\d/.test(dtype)) {
        throw new InputError(`${path}: tensor "${name}" is ${dtype}, weights are floats`);
      }
    }
    return tensors;
  }
  const tensors = parseTorch(await read(path, LIMITS.torch.file), path);
  return new Map([...tensors].map(([name, tensor]) => [name, asSafeTensor(tensor, name, path)]));
}

/** Halves were widened by the reader. */
function asSafeTensor({ shape, data }: TorchTensor, name: string, path: string): SafeTensor {
  if (data instanceof Float32Array) return { dtype: "F32", shape, data };
  if (data instanceof Float64Array) return { dtype: "F64", shape, data };
  throw new InputError(`${path}: tensor "${name}" holds whole numbers, weights are floats`);
}

/**
 * Names of attention layers from before 2023, renamed as diffusers does on loading
 * (`_fix_state_dict_keys_on_load`).
 *
 * @throws InputError where a layer has both names.
 */
export function renameOldAttention(
  tensors: ReadonlyMap<string, SafeTensor>,
  file: string,
): Map<string, SafeTensor> {
  const NEW = { query: "to_q", key: "to_k", value: "to_v", proj_attn: "to_out.0" };
  const renamed = new Map<string, SafeTensor>();
  for (const [name, tensor] of tensors) {
    const now = name.replace(
      /(\battentions\.\d+\.)(query|key|value|proj_attn)(\.(?:weight|bias))$/,
      (_, block: string, old: keyof typeof NEW, part: string) => block + NEW[old] + part,
    );
    if (renamed.has(now) || now !== name && tensors.has(now)) {
      throw new InputError(`${file}: tensors "${name}" and "${now}" are the same layer`);
    }
    renamed.set(now, tensor);
  }
  return renamed;
}
