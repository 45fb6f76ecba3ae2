/** Where the page's model comes from: the files beside the page, or a folder that the user picks. */

import {
  type SamplingModel,
  samplingModel,
  slicePreparation,
} from "../../lib/diffusion/sampling_model.ts";
import { InputError } from "../../lib/errors.ts";
import { parseSafetensors } from "../../lib/io/safetensors.ts";
import { unet2DConfig } from "../../lib/nn/config.ts";
import { flattenParameters } from "../../lib/nn/state_dict.ts";
import { unet2DParameters } from "../../lib/nn/unet_2d.ts";

export interface PageModel {
  readonly model: SamplingModel;
  /** For people: `runs/demo, step 400`. */
  readonly name: string;
  /** SHA-256 of the run's provenance.json. */
  readonly provenance?: string;
}

const WEIGHTS = "diffusion_pytorch_model.safetensors";

/** What `deno task browser` writes beside the model's own files. */
interface Description {
  readonly name: string;
  readonly provenance: string | null;
  readonly scheduler: Record<string, unknown>;
  readonly schedulerKnown: boolean;
  readonly preparation: SamplingModel["preparation"];
  readonly preparationKnown: boolean;
}

function assemble(
  folder: string,
  config: unknown,
  weights: Uint8Array,
  scheduler: Record<string, unknown>,
): SamplingModel {
  const unet = unet2DConfig(config, `${folder}/config.json`);
  const layout = unet2DParameters(unet);
  const file = `${folder}/${WEIGHTS}`;
  const params = flattenParameters(layout, parseSafetensors(weights, file).tensors, file);
  return samplingModel(folder, { config: unet, layout, params }, scheduler);
}

/**
 * The model in `model/` beside the page; undefined where there is none.
 *
 * @param onProgress called with the part of the weights that has come.
 */
export async function fetchModel(
  onProgress: (part: number) => void,
): Promise<PageModel | undefined> {
  const get = async (name: string) => {
    const response = await fetch(`model/${name}`);
    if (response.ok) return response;
    if (response.status === 404) return undefined;
    throw new InputError(`model/${name}: the server answers ${response.status}`);
  };
  const described = await get("model.json");
  if (!described) return undefined;
  const { name, provenance, scheduler, ...known }: Description = await described.json();
  const [config, weights] = [await get("config.json"), await get(WEIGHTS)];
  if (!config || !weights) throw new InputError(`model/ has no config.json or no ${WEIGHTS}`);
  const bytes = await readAll(weights, onProgress);
  const model = assemble("model", await config.json(), bytes, scheduler);
  return {
    model: {
      ...model,
      schedulerKnown: known.schedulerKnown,
      preparation: known.preparation,
      preparationKnown: known.preparationKnown,
    },
    name,
    provenance: provenance ?? undefined,
  };
}

async function readAll(response: Response, onProgress: (part: number) => void) {
  const total = Number(response.headers.get("content-length"));
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  const reader = response.body!.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    done += part.value.length;
    if (total) onProgress(done / total);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** @throws InputError where the bytes are not those that a run wrote. */
async function requireSum(bytes: Uint8Array<ArrayBuffer>, expected: unknown, file: string) {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  if (sum !== expected) {
    throw new InputError(`${file}: its SHA-256 is not the one in state.json: changed or damaged`);
  }
}

/**
 * A model in a folder that the user picked: the newest checkpoint of a training run, its averaged
 * weights, or a diffusers folder. Nothing leaves the browser.
 *
 * @throws InputError where there is none in it.
 */
export async function modelFromFiles(list: Iterable<File>): Promise<PageModel> {
  const files = new Map([...list].map((file) => [file.webkitRelativePath || file.name, file]));
  const json = async (path: string) => {
    const file = files.get(path);
    if (!file) return undefined;
    try {
      return JSON.parse(await file.text()) as Record<string, unknown>;
    } catch (error) {
      throw new InputError(`${path}: no JSON: ${(error as Error).message}`);
    }
  };
  const parent = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
  const beside = (folder: string, name: string) => folder ? `${folder}/${name}` : name;
  // Checkpoints are named by their step; among weights of one step the averaged ones are the best.
  const rank = (path: string) =>
    (path.match(/step-\d+/)?.[0] ?? "") + (/unet_ema\//.test(path) ? "b" : "a");
  const weights = [...files.keys()].filter((p) => p.endsWith(WEIGHTS))
    .sort((a, b) => rank(a) < rank(b) ? -1 : 1).at(-1);
  if (!weights) throw new InputError(`the folder holds no ${WEIGHTS}`);
  const folder = parent(weights);
  const config = await json(beside(folder, "config.json"));
  if (!config) throw new InputError(`${folder}: there is no config.json beside ${WEIGHTS}`);
  const places = [folder, parent(folder)].flatMap((root) => [
    beside(root, "scheduler/scheduler_config.json"),
    beside(root, "scheduler_config.json"),
  ]);
  const place = places.find((path) => files.has(path));
  const scheduler = place ? await json(place) : undefined;
  const bytes = new Uint8Array(await files.get(weights)!.arrayBuffer());
  const checkpoint = parent(folder);
  const sums = (await json(beside(checkpoint, "state.json")))?.sha256;
  if (sums) {
    const name = checkpoint ? weights.slice(checkpoint.length + 1) : weights;
    await requireSum(bytes, (sums as Record<string, unknown>)[name], weights);
  }
  const model = assemble(folder, config, bytes, scheduler ?? { _class_name: "DDPMScheduler" });
  const checkpoints = weights.search(/checkpoints\/step-\d+\//);
  const run = checkpoints < 0
    ? undefined
    : await json(weights.slice(0, checkpoints) + "config.json");
  const preparation = run && !model.preparationKnown ? slicePreparation(run) : model.preparation;
  return { model: { ...model, schedulerKnown: Boolean(scheduler), preparation }, name: folder };
}
