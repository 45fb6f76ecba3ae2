/** Images small enough for float64 references, on which the kernels of large ones run. */

import type { UNet2DConfig } from "../nn/config.ts";
import type { RunConfig } from "../train/config.ts";

/** Pixels of a small image: float64 references take some milliseconds each. */
const SMALL_PIXELS = 1024;

/**
 * As wide as [height, width] and as low as the levels of the model allow: kernels are chosen by widths,
 * so a step on such an image runs those of the large one.
 */
export function smallImage(
  unet: Pick<UNet2DConfig, "block_out_channels">,
  [height, width]: readonly number[],
): [height: number, width: number] {
  const unit = 2 ** (unet.block_out_channels.length - 1);
  const rows = Math.max(unit, Math.floor(SMALL_PIXELS / width / unit) * unit);
  return [Math.min(height, rows), width];
}

/** One such image instead of the config's batch. */
export const smallConfig = (config: RunConfig): RunConfig => ({
  ...config,
  train_batch_size: 1,
  resolution: smallImage(config.unet, config.resolution),
});
