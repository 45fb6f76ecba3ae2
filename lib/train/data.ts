/** The slices that a run's configuration stands for, beside its data folder. */

import { cropDataset } from "../data/crops.ts";
import { type Dataset, openPhantomDataset } from "../data/dataset.ts";
import { PHANTOM_FIELD_MM } from "../data/phantom.ts";
import type { RunConfig } from "./config.ts";

/** The built-in phantom, at the spacing of patches or twice as fine as whole slices. */
export function phantomOf({ seed, phantom_slices, resolution, spacing }: RunConfig): Dataset {
  return openPhantomDataset({
    seed,
    count: phantom_slices,
    size: spacing === null
      ? 2 * Math.max(...resolution)
      : Math.max(8, Math.min(4096, Math.round(PHANTOM_FIELD_MM / spacing))),
  });
}

/** The data set as it is, or its patches where the run is trained on those. */
export async function cropsOf(
  dataset: Dataset,
  { crop, spacing, crops_per_slice, field_mm, seed }: RunConfig,
  onDone?: (done: number, total: number) => void,
): Promise<Dataset> {
  if (crop === null || spacing === null) return dataset;
  return await cropDataset(dataset, {
    pixels: crop,
    spacing,
    perSlice: crops_per_slice,
    seed,
    fieldMm: field_mm,
    onDone,
  });
}
