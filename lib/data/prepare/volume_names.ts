/**
 * Which volume is an image and which its mask, by the names that data sets use: the Medical
 * Segmentation Decathlon, nnU-Net, TotalSegmentator, COVID-19-CT-Seg, and pairs `NAME`, `NAME_mask`.
 */

import { VOLUME_ENDING } from "../volume.ts";

export interface Image {
  /** Relative to the folder of sources. */
  path: string;
  /** Without ending, channel and the word for an image: what a mask's name has too. */
  name: string;
  /** Folder, without a last part that only says "images". */
  home: string;
  /** Every patient's file has this name: the folder tells them apart. */
  isGeneric: boolean;
  nodules: string | null;
  lungs: { right: string[]; left: string[]; both: string[] } | null;
}

export interface Volumes {
  images: Image[];
  notes: string[];
}

const MASK_FOLDER = /^(labels?|masks?|seg(mentations?)?|nodules?)(Tr|Ts|Val)?$/i;
const IMAGE_FOLDER = /^(images?|ct|volumes?|scans?)(Tr|Ts|Val)?$/i;
const LUNG_FOLDER = /^lungs?[_-]?(masks?|labels?|seg(mentations?)?)?$/i;
/** Of findings that are no nodules. */
const OTHER_FOLDER = /^(lung_and_)?infections?[_-]?masks?$/i;
const MASK_NAME = /[._-](label|mask|seg|segmentation|nodules?|tumou?r)$/i;
const NODULES = /(nodules?|tumou?rs?|lesions?)$/i;
/** Whole names, each patient's the same. */
const MASK_ONLY =
  /^(label|mask|seg|segmentation(\.seg)?|nodules?|tumou?rs?|lesions?|lung_nodules?)$/i;
const IMAGE_ONLY = /^(ct|image|img|volume|scan|chest_ct)$/i;
/** TotalSegmentator's classes that count here. */
const LOBES = {
  right: ["lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"],
  left: ["lung_upper_lobe_left", "lung_lower_lobe_left"],
};
const STRUCTURES = "segmentations";

interface Entry {
  path: string;
  folder: string;
  name: string;
}

/** @param paths relative ones of volumes, `/` between parts. */
export function sortVolumes(paths: readonly string[]): Volumes {
  const entries = paths.toSorted().map((path): Entry => {
    const cut = path.lastIndexOf("/");
    return {
      path,
      folder: path.slice(0, Math.max(cut, 0)),
      name: path.slice(cut + 1).replace(VOLUME_ENDING, ""),
    };
  });
  const notes: string[] = [];
  const subjects = new Set(entries.filter((e) => e.name === "ct").map((e) => e.folder));
  const structures = new Map<string, Map<string, string>>();
  const images: Image[] = [], masks: Entry[] = [], lungs: Entry[] = [];
  let unused = 0, channels = 0, infections = 0;
  for (const entry of entries) {
    const { path, folder, name } = entry, subject = subjectOf(entry, subjects);
    if (subject !== null) {
      const own = structures.get(subject) ?? new Map<string, string>();
      structures.set(subject, own.set(name, path));
    } else if (OTHER_FOLDER.test(last(folder)) || isCovidLesion(entry)) infections++;
    else if (LUNG_FOLDER.test(last(folder)) || /[_-]lungs?([_-]mask)?$/i.test(name)) {
      lungs.push(entry);
    } else if (MASK_FOLDER.test(last(folder)) || MASK_NAME.test(name) || MASK_ONLY.test(name)) {
      masks.push(entry);
    } else if (isImages(folder) && /_000[1-9]$/.test(name)) channels++;
    else {
      images.push({
        path,
        name: imageName(entry),
        home: homeOf(folder),
        isGeneric: IMAGE_ONLY.test(name),
        nodules: null,
        lungs: null,
      });
    }
  }
  for (const image of images) {
    const own = structures.get(image.path.slice(0, Math.max(image.path.lastIndexOf("/"), 0)));
    if (own && image.name === "ct") unused += takeStructures(image, own);
  }
  const second = ({ path }: Entry, image: Image) =>
    notes.push(`"${path}" is a second mask of "${image.path}": not used`);
  // Of several masks, the one that says what it is of.
  masks.sort((a, b) => Number(NODULES.test(b.name)) - Number(NODULES.test(a.name)));
  const taken = pair(images, masks, MASK_NAME, (image, mask) => {
    if (image.nodules) second(mask, image);
    else image.nodules = mask.path;
  });
  const breathing = pair(images, lungs, /[_-]lungs?([_-]mask)?$/i, (image, mask) => {
    if (image.lungs) second(mask, image);
    else image.lungs = { right: [], left: [], both: [mask.path] };
  });
  for (const mask of [...masks, ...lungs]) {
    if (!taken.has(mask) && !breathing.has(mask)) {
      notes.push(`"${mask.path}" is the mask of no volume found`);
    }
  }
  if (unused > 0) notes.push(`${unused} structures of TotalSegmentator are not used`);
  if (infections > 0) notes.push(`${infections} masks of infections are no nodules: not used`);
  if (channels > 0) notes.push(`${channels} files of a second channel or more: not used`);
  return { images, notes };
}

function last(folder: string): string {
  return folder.slice(folder.lastIndexOf("/") + 1);
}

function isImages(folder: string): boolean {
  return IMAGE_FOLDER.test(last(folder));
}

/** The folder of the `ct` whose structure this volume is, or null. */
function subjectOf({ folder, name }: Entry, subjects: ReadonlySet<string>): string | null {
  if (!/^ct([_-]|$)/.test(name) && subjects.has(folder)) return folder;
  if (last(folder) !== STRUCTURES) return null;
  const parent = folder.slice(0, Math.max(folder.lastIndexOf("/"), 0));
  return subjects.has(parent) ? parent : null;
}

/** Lobes, or the whole lung, and nodules where they were asked for; how many structures are left. */
function takeStructures(image: Image, own: Map<string, string>): number {
  const all = (names: string[]) => names.flatMap((name) => own.get(name) ?? []);
  const right = all(LOBES.right), left = all(LOBES.left), whole = all(["lung", "lungs"]);
  if (right.length === LOBES.right.length && left.length === LOBES.left.length) {
    image.lungs = { right, left, both: [] };
  } else if (whole.length > 0) image.lungs = { right: [], left: [], both: whole };
  const [nodules] = [...own].filter(([name]) => MASK_ONLY.test(name)).map(([, path]) => path);
  image.nodules = nodules ?? null;
  const used = image.lungs
    ? image.lungs.right.length + image.lungs.left.length +
      image.lungs.both.length
    : 0;
  return own.size - used - (nodules ? 1 : 0);
}

/** The COVID-19 Lung CT Lesion Segmentation Challenge (COVID-19-20): lesions, no nodules. */
function isCovidLesion({ name }: Entry): boolean {
  return /covid/i.test(name) && /_seg$/i.test(name);
}

function imageName({ folder, name }: Entry): string {
  const single = isImages(folder) ? name.replace(/_0000$/, "") : name;
  return single.replace(/.[_-]ct$/i, (end) => end[0]);
}

function homeOf(folder: string): string {
  const part = last(folder);
  const isPart = IMAGE_FOLDER.test(part) || MASK_FOLDER.test(part) || LUNG_FOLDER.test(part) ||
    part === STRUCTURES;
  return isPart ? folder.slice(0, Math.max(folder.lastIndexOf("/"), 0)) : folder;
}

/**
 * Masks to images of their name: of the same folder (or one beside it), else the only one of that
 * name anywhere. A mask that has only a word for a name is of the only image of its folder.
 */
function pair(
  images: readonly Image[],
  masks: readonly Entry[],
  ending: RegExp,
  give: (image: Image, mask: Entry) => void,
): Set<Entry> {
  const taken = new Set<Entry>();
  const at = (home: string, name: string) => `${home}\0${name}`;
  const near = Map.groupBy(images, ({ home, name }) => at(home, name));
  const far = Map.groupBy(images, ({ name }) => name);
  const homes = Map.groupBy(images, ({ home }) => home);
  const names = new Map<string, number>();
  const nameOf = ({ name }: Entry) => name.replace(ending, "").replace(/.[_-]ct$/i, (e) => e[0]);
  for (const mask of masks) names.set(nameOf(mask), (names.get(nameOf(mask)) ?? 0) + 1);
  for (const mask of masks) {
    const name = nameOf(mask), home = homeOf(mask.folder);
    const only = MASK_ONLY.test(mask.name) ? homes.get(home) : undefined;
    const found = near.get(at(home, name)) ?? near.get(at(home, mask.name)) ??
      (names.get(name) === 1 ? far.get(name) : undefined) ?? only;
    if (found?.length !== 1) continue;
    give(found[0], mask);
    taken.add(mask);
  }
  return taken;
}
