/** A folder of NIfTI volumes, with masks of their nodules, as a list of series to prepare. */

import { createHash } from "node:crypto";
import { InputError } from "../../errors.ts";
import { linkNotes, walk } from "../../io/walk.ts";
import { findLungMasks } from "./lung_mask_files.ts";
import { fileSafe, folderName, type Plan, type PlanOptions, volumeName, withKey } from "./plan.ts";
import type { SeriesJob } from "./types.ts";

/** Names and folders that say "mask, not image": the Medical Segmentation Decathlon's and others. */
const MASK_FOLDER = /^(labels?|masks?|seg(mentations?)?|nodules?)(Tr|Ts|Val)?$/i;
const MASK_NAME = /[_-](label|mask|seg|segmentation|nodules?|tumou?r)$/i;

/**
 * Volumes below `dicom` (here: any folder), each paired with the mask of its name in a folder
 * `labelsTr`, `masks`, … or with an ending `_mask`, `_seg`, …; without one it has no nodules.
 * @throws InputError if there is no volume.
 */
export function planNifti(options: PlanOptions): Plan {
  const volumes: string[] = [], masks = new Map<string, string>(), notes: string[] = [];
  let others = 0, count = 0;
  const links: string[] = [];
  for (const path of walk(options.dicom, { onSkippedLink: (path) => links.push(path) })) {
    options.onFile?.(++count);
    if (!/\.nii(\.gz)?$/i.test(path)) {
      others++;
      continue;
    }
    const name = volumeName(path);
    if (MASK_FOLDER.test(folderName(path)) || MASK_NAME.test(name)) {
      masks.set(name.replace(MASK_NAME, ""), path);
    } else volumes.push(path);
  }
  notes.push(...linkNotes(links));
  if (volumes.length === 0) throw new InputError(`No NIfTI volumes in "${options.dicom}"`);
  const lungs = options.lungMasks ? findLungMasks(options.lungMasks) : null;
  const seen = new Map<string, string>();
  const jobs = volumes.map((volume): SeriesJob => {
    const name = volumeName(volume), patient = fileSafe(name);
    const other = seen.get(patient);
    if (other) throw new InputError(`Two volumes of one name: "${other}" and "${volume}"`);
    seen.set(patient, volume);
    const nodules = masks.get(name) ?? null;
    masks.delete(name);
    if (!nodules) notes.push(`"${volume}" has no nodule mask: taken as without nodules`);
    const lung = lungs?.byName.get(name);
    // A volume has no UID of its own: one of the form 2.25.<number> stands for its name.
    const digits = createHash("sha256").update(name).digest("hex").slice(0, 24);
    return withKey({
      id: patient,
      source: { kind: "nifti", volume, nodules },
      seriesUid: `2.25.${BigInt(`0x${digits}`)}`,
      studyUid: "",
      patient,
      scan: 1,
      annotations: [],
      lungMasks: lung ? { volume: lung } : null,
      settings: options.settings,
      out: options.out,
      root: options.dicom,
      key: "",
      notes: [],
    });
  });
  for (const path of masks.values()) notes.push(`"${path}" is the mask of no volume found`);
  return { jobs, rejected: [], notes, others };
}
