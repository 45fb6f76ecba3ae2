/** Are a series' values Hounsfield units? */

import { relative } from "node:path";
import { InputError } from "../../errors.ts";
import { HU_FLOOR } from "../dicom/pixels.ts";
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

/** HU of tissue and denser; of lung and air, padding aside. Less than this share is no chest. */
const TISSUE_HU = -300, AIR_HU = [HU_FLOOR + 1, -200], MIN_SHARE = 0.005;

/** @throws InputError with the range found, where the values are no HU. */
export function requireValues(job: SeriesJob, volume: CtVolume, mask: Uint8Array | null) {
  const { hu } = volume;
  let fault = huFault(hu, mask ?? undefined);
  if (!fault) {
    let tissue = 0, air = 0, floor = 0;
    for (let i = 0; i < hu.length; i++) {
      if (hu[i] > TISSUE_HU) tissue++;
      if (hu[i] >= AIR_HU[0] && hu[i] <= AIR_HU[1]) air++;
      if (hu[i] === HU_FLOOR) floor++;
    }
    const [least, most] = rangeOf(hu), range = `the values are ${least} … ${most}`;
    if (tissue < MIN_SHARE * hu.length) {
      fault = `${range}: nearly none is tissue (above ${TISSUE_HU} HU)`;
    } else if (air < MIN_SHARE * (hu.length - floor)) {
      fault = `${range}: nearly none is lung or air (${AIR_HU.join(" … ")} HU) but padding`;
    }
  }
  if (!fault) return;
  throw new InputError(
    `Cannot use "${relative(job.root, volume.slices[0].file)}" as HU: ${fault}; convert it to ` +
      "Hounsfield units, or give --any-values",
  );
}
