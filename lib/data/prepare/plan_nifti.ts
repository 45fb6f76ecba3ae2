/** A folder of volumes, with masks of their nodules and lungs, as a list of series to prepare. */

import { createHash } from "node:crypto";
import { relative } from "node:path";
import { InputError } from "../../errors.ts";
import { linkNotes, walk } from "../../io/walk.ts";
import { VOLUME_ENDING, VOXELS_ENDING } from "../volume.ts";
import { findLungMasks } from "./lung_mask_files.ts";
import { fileSafe, type Plan, type PlanOptions, volumeName, withKey } from "./plan.ts";
import type { LungMaskFiles, SeriesJob } from "./types.ts";
import { unreadKinds } from "./unread.ts";
import { sortVolumes, type Volumes } from "./volume_names.ts";

/**
 * Volumes below `dicom` (here: any folder), each with the masks that lib/data/prepare/volume_names.ts
 * finds for it. Where names repeat in several folders, the folder is the patient.
 * @throws InputError if there is no volume.
 */
export function planNifti(options: PlanOptions): Plan {
  const root = options.dicom, paths: string[] = [], links: string[] = [];
  const others: string[] = [];
  let count = 0;
  for (const path of walk(root, { onSkippedLink: (path) => links.push(path) })) {
    options.onFile?.(++count);
    if (VOLUME_ENDING.test(path)) paths.push(relative(root, path).replaceAll("\\", "/"));
    else if (!VOXELS_ENDING.test(path)) others.push(path);
  }
  if (paths.some((path) => /(^|\/)seg-lungs-luna16\//i.test(path))) {
    throw new InputError(`"${root}" holds LUNA16 (seg-lungs-LUNA16): give it to --luna16`);
  }
  const found = sortVolumes(paths), notes = [...linkNotes(links), ...found.notes];
  if (found.images.length === 0) {
    throw new InputError(
      `No volumes (NIfTI, NRRD, MetaImage, Analyze) in "${root}"` +
        (paths.length > 0 ? `: ${paths.length} masks without an image` : "") +
        unreadKinds(others).map((line) => `; ${line}`).join(""),
    );
  }
  const given = options.lungMasks ? findLungMasks(options.lungMasks) : null;
  const patients = patientsOf(found.images), scans = new Map<string, number>();
  const absolute = (path: string) => `${root}/${path}`;
  const unmasked: string[] = [];
  const jobs = found.images.map((image, index): SeriesJob => {
    const { patient, identity } = patients[index];
    const scan = (scans.get(patient) ?? 0) + 1;
    scans.set(patient, scan);
    if (!image.nodules) unmasked.push(image.path);
    const own = given?.byName.get(volumeName(image.path)) ?? given?.byName.get(patient);
    const lungMasks: LungMaskFiles | null = own ? { volume: own } : image.lungs && {
      parts: {
        right: image.lungs.right.map(absolute),
        left: image.lungs.left.map(absolute),
        both: image.lungs.both.map(absolute),
      },
    };
    // A volume has no UID of its own: one of the form 2.25.<number> stands for its name.
    const digits = createHash("sha256").update(identity).digest("hex").slice(0, 24);
    return withKey({
      id: scan === 1 ? patient : `${patient}.${scan}`,
      source: {
        kind: "nifti",
        volume: absolute(image.path),
        nodules: image.nodules && absolute(image.nodules),
      },
      seriesUid: `2.25.${BigInt(`0x${digits}`)}`,
      studyUid: "",
      patient,
      scan,
      annotations: [],
      unreadable: [],
      lungMasks,
      settings: options.settings,
      out: options.out,
      root,
      key: "",
      notes: [],
    });
  });
  const example = unmasked[0];
  if (example) {
    notes.push(
      `${unmasked.length} of ${jobs.length} volumes have no nodule mask; the first is "${example}"`,
    );
  }
  return { jobs, rejected: [], notes, others };
}

/** Names for files, and what each volume's UID is made of. @throws InputError where two are alike. */
function patientsOf(images: Volumes["images"]): { patient: string; identity: string }[] {
  const repeated = new Set<string>(), seen = new Set<string>(), isFolder = new Set<string>();
  for (const { name } of images) (seen.has(name) ? repeated : seen).add(name);
  for (const { name, home, isGeneric } of images) {
    if (repeated.has(name) || isGeneric) isFolder.add(home);
  }
  const homes = [...isFolder], last = (home: string) => home.slice(home.lastIndexOf("/") + 1);
  const owners = new Map<string, string>();
  return images.map(({ path, name, home }) => {
    if (!isFolder.has(home) || home === "") {
      const patient = fileSafe(name), owner = `name ${name}`;
      return { patient: unique(patient, owner, path), identity: name };
    }
    const isAlone = homes.filter((other) => last(other) === last(home)).length === 1;
    const patient = fileSafe(isAlone ? last(home) : home);
    return { patient: unique(patient, `folder ${home}`, path), identity: `${home}/${name}` };
  });

  function unique(patient: string, owner: string, path: string): string {
    const isVolume = owner.startsWith("name ");
    const other = owners.get(patient);
    if (other !== undefined && (isVolume || other !== owner)) {
      throw new InputError(`Two volumes of one name, "${patient}": the second is "${path}"`);
    }
    owners.set(patient, owner);
    return patient;
  }
}
