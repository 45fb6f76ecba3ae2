/** A model as the page takes it: diffusers' own files, and what else samplers must know of it. */

import { join } from "node:path";
import type { SamplingModel } from "../diffusion/sampling_model.ts";
import { CONFIG_NAME, WEIGHTS_NAME } from "../nn/pretrained.ts";

/** @returns name → content, below `model/`. @param provenance SHA-256 of the run's provenance. */
export async function modelFiles(
  { folder, scheduler, schedulerKnown, preparation }: SamplingModel,
  name: string,
  provenance?: string,
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const file of [CONFIG_NAME, WEIGHTS_NAME]) {
    files.set(`model/${file}`, await Deno.readFile(join(folder, file)));
  }
  const described = {
    ...{ name, provenance: provenance ?? null },
    ...{ scheduler, schedulerKnown, preparation },
  };
  const json = new TextEncoder().encode(JSON.stringify(described, null, 2) + "\n");
  return files.set("model/model.json", json);
}
