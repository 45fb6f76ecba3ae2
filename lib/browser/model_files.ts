/** A model as the page takes it: diffusers' own files, and what else samplers must know of it. */

import { join } from "node:path";
import type { SamplingModel } from "../diffusion/sampling_model.ts";
import { CONFIG_NAME, WEIGHTS_NAME, weightsFile } from "../nn/pretrained.ts";

/** @returns name → content, below `model/`. @param provenance SHA-256 of the run's provenance. */
export async function modelFiles(
  model: SamplingModel,
  name: string,
  provenance?: string,
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const { folder, scheduler, schedulerKnown, preparation, preparationKnown } = model;
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  files.set(`model/${CONFIG_NAME}`, await Deno.readFile(join(folder, CONFIG_NAME)));
  // As they were read and checked, in one file, whatever form they have in the folder.
  files.set(`model/${WEIGHTS_NAME}`, weightsFile(model));
  const described = {
    ...{ name, provenance: provenance ?? null },
    ...{ scheduler, schedulerKnown, preparation, preparationKnown },
  };
  const json = new TextEncoder().encode(JSON.stringify(described, null, 2) + "\n");
  return files.set("model/model.json", json);
}
