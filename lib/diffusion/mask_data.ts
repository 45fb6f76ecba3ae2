/** Slices whose lung masks a model is asked to fill: as it was trained, whole ones or patches. */

import { cropDataset } from "../data/crops.ts";
import { type Dataset, openPhantomDataset } from "../data/dataset.ts";
import { openFolder } from "../data/open_folder.ts";
import { PHANTOM_FIELD_MM } from "../data/phantom.ts";
import type { Size } from "../data/resize.ts";
import type { SlicePreparation } from "./sampling_model.ts";

export interface MaskDataOptions {
  readonly data?: string;
  readonly split?: "train" | "val" | "test";
  /** How many masks are wanted; all when absent. */
  readonly count?: number;
  readonly seed: number;
  readonly size: Size;
  readonly preparation: SlicePreparation;
  /** mm from left to right of slices of which nothing says it. */
  readonly fieldMm?: number | null;
  readonly onCrop?: (done: number, total: number) => void;
}

/** Undefined where whole slices of the built-in phantom are meant. */
export async function openMaskData(options: MaskDataOptions): Promise<Dataset | undefined> {
  const { data, count, seed, size, fieldMm, onCrop } = options;
  const { spacing, window } = options.preparation;
  const whole = data ? await openFolder(data, window) : undefined;
  if (spacing === undefined) return whole;
  const dataset = whole ?? openPhantomDataset({
    seed,
    count: Math.max(8, count ?? 4),
    size: Math.round(PHANTOM_FIELD_MM / spacing),
  });
  // Only slices of the split that is used are read.
  const split = options.split ?? (dataset.val.length ? "val" : "train");
  const used = { ...dataset, train: [], val: [], test: [], [split]: dataset[split] };
  const [pixels, perSlice] = [size.width, Math.ceil((count ?? 1) / dataset[split].length)];
  return await cropDataset(used, { pixels, spacing, perSlice, seed, fieldMm, onDone: onCrop });
}
