/** Are a series' values Hounsfield units? */

import { relative } from "node:path";
import { InputError } from "../../errors.ts";
import type { CtVolume } from "../dicom/series.ts";
import { huFault } from "../hu_range.ts";
import type { SeriesJob } from "./types.ts";

export function rangeOf(values: Int16Array): [number, number] {
  let least = values[0], most = values[0];
  for (let i = 1; i < values.length; i++) {
    if (values[i] < least) least = values[i];
    if (values[i] > most) most = values[i];
  }
  return [least, most];
}

/** HU of tissue and denser; less than this share of it is no body. */
const TISSUE_HU = -300, MIN_TISSUE = 0.005;

/** @throws InputError with the range found, where the values are no HU. */
export function requireValues(job: SeriesJob, volume: CtVolume, mask: Uint8Array | null) {
  let fault = huFault(volume.hu, mask ?? undefined);
  if (!fault) {
    let tissue = 0;
    for (let i = 0; i < volume.hu.length; i++) if (volume.hu[i] > TISSUE_HU) tissue++;
    if (tissue < MIN_TISSUE * volume.hu.length) {
      const [least, most] = rangeOf(volume.hu);
      fault = `the values are ${least} … ${most}: nearly none is tissue (above ${TISSUE_HU} HU)`;
    }
  }
  if (!fault) return;
  throw new InputError(
    `Cannot use "${relative(job.root, volume.slices[0].file)}" as HU: ${fault}; convert it to ` +
      "Hounsfield units, or give --any-values",
  );
}
