/** Opens a folder of the user's, whichever of the known layouts it has. */

import { walk } from "../io/walk.ts";
import type { Dataset } from "./dataset.ts";
import { type LoadChecks, openNpyDataset } from "./npy_dataset.ts";
import { openPairs } from "./pairs.ts";
import { type HuWindow, LUNG_WINDOW } from "./window.ts";

/**
 * Slices in the .npy layout, or else images and masks that belong together by name.
 *
 * @throws InputError naming the file or folder and the reason.
 */
export async function openFolder(
  data: string,
  window: HuWindow = LUNG_WINDOW,
  checks: LoadChecks = {},
): Promise<Dataset> {
  for (const path of walk(data)) {
    if (/_slice_[^/]*\.npy$/.test(path)) return await openNpyDataset(data, checks);
  }
  return await openPairs(data, window, checks);
}
