/** Opens a folder of the user's, whichever of the known layouts it has. */

import { join } from "node:path";
import { asInputError } from "../io/read.ts";
import type { Dataset } from "./dataset.ts";
import { openNpyDataset } from "./npy_dataset.ts";
import { openPairs } from "./pairs.ts";
import { type HuWindow, LUNG_WINDOW } from "./window.ts";

/**
 * Slices in the .npy layout, or else images and masks that belong together by name.
 *
 * @throws InputError naming the file or folder and the reason.
 */
export async function openFolder(data: string, window: HuWindow = LUNG_WINDOW): Promise<Dataset> {
  for await (const path of files(data)) {
    if (/_slice_[^/]*\.npy$/.test(path)) return await openNpyDataset(data);
  }
  return await openPairs(data, window);
}

async function* files(folder: string): AsyncGenerator<string> {
  let entries: Deno.DirEntry[];
  try {
    entries = await Array.fromAsync(Deno.readDir(folder));
  } catch (error) {
    throw asInputError(error, folder);
  }
  for (const { name, isDirectory } of entries) {
    if (isDirectory) yield* files(join(folder, name));
    else yield join(folder, name);
  }
}
