/** Where things lie in a model's folder: in a pipeline of diffusers, a checkpoint of a run, or alone. */

import { basename, dirname, join } from "node:path";

export const SCHEDULER_NAME = "scheduler_config.json";

/** Names that a pipeline's or a checkpoint's network has in its folder. */
const PARTS = ["unet", "unet_ema"];

/**
 * Where a scheduler's configuration may be, first choice first: as `from_pretrained` has it in the
 * subfolder or at the root, of the folder itself or of the one whose part it is.
 *
 * @param folder what the user named. @param unet where the network is: the same, or a part of it.
 */
export function schedulerPlaces(folder: string, unet = folder): string[] {
  const of = (
    root: string,
  ) => [join(root, "scheduler", SCHEDULER_NAME), join(root, SCHEDULER_NAME)];
  const above = PARTS.includes(basename(unet)) ? of(dirname(unet)) : of(dirname(unet)).slice(0, 1);
  return [...new Set([...of(folder), ...of(unet), ...above])];
}
