/** Several folders as one data set: real slices, and synthetic ones to train on beside them. */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import type { Dataset, SliceRecord } from "./dataset.ts";
import { IMAGE_LIST, readImageList } from "./image_list.ts";

/** A folder, and how often its slices are trained on: 0.5 is half as often as those of weight 1. */
export interface DataSource {
  readonly folder: string;
  readonly weight: number;
}

const MOST_WEIGHT = 100;

/**
 * `FOLDER` or `FOLDER:WEIGHT`. A folder whose name ends so is meant itself where it exists.
 *
 * @throws InputError for a weight that is none.
 */
export function parseSource(text: string): DataSource {
  const [, folder, number] = /^(.+):([\d.]+)$/s.exec(text) ?? [];
  if (folder === undefined || isFolder(text)) return { folder: text, weight: 1 };
  const weight = Number(number);
  if (!(weight > 0 && weight <= MOST_WEIGHT)) {
    throw new InputError(`--data ${text}: a weight above 0, up to ${MOST_WEIGHT} needed`);
  }
  return { folder, weight };
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** The reverse of {@link parseSource}. */
export const sourceText = ({ folder, weight }: DataSource): string =>
  weight === 1 && !/:[\d.]+$/.test(folder) ? folder : `${folder}:${weight}`;

/** What a run's config.json says of its data: null, a folder, or a list. @throws InputError. */
export function savedSources(data: unknown, name: string): DataSource[] | undefined {
  if (data === null || data === undefined) return undefined;
  const list = Array.isArray(data) ? data : [data];
  if (list.length === 0 || !list.every((text) => typeof text === "string")) {
    throw new InputError(`${name}: data is ${JSON.stringify(data)}, folders needed`);
  }
  return list.map(parseSource);
}

const SPLITS = ["train", "val", "test"] as const;

/**
 * Opens all folders as one data set. Each keeps its own splits. Slices that `sample` made (its
 * images.csv lists them) are for training alone: those in another split are left out, and so are those
 * made in the lungs of a patient whom another folder has for validation or tests.
 *
 * @throws InputError where two folders have a slice of one name, or one patient is trained on in one
 * and validated on in the other.
 */
export async function openSources(
  sources: readonly DataSource[],
  open: (folder: string) => Promise<Dataset>,
): Promise<Dataset> {
  const joined: Dataset = { train: [], val: [], test: [], notes: [] };
  const folderOf = new Map<string, string>();
  const splitOf = new Map<string, { split: "train" | "held out"; folder: string }>();
  const made: { record: SliceRecord; source: string }[] = [];
  let strays = 0;
  for (const { folder, weight } of sources) {
    const dataset = await open(folder), list = await imagesOf(folder);
    const many = sources.length > 1;
    joined.notes.push(...dataset.notes.map((note) => many ? `${folder}: ${note}` : note));
    for (const split of SPLITS) {
      for (const found of dataset[split]) {
        const record = weight === 1 ? found : { ...found, weight };
        const other = folderOf.get(record.id);
        if (other) {
          throw new InputError(
            `Cannot join --data: ${record.id} is in both ${other} and ${folder}`,
          );
        }
        folderOf.set(record.id, folder);
        const source = list.get(record.id);
        if (source !== undefined) {
          if (split === "train") made.push({ record, source });
          else strays++;
          continue;
        }
        joined[split].push(record);
        const place = { split: split === "train" ? "train" : "held out", folder } as const;
        const earlier = splitOf.get(record.patient);
        if (earlier && earlier.split !== place.split) {
          throw new InputError(
            `Cannot join --data: patient ${record.patient} is ${earlier.split} in ` +
              `${earlier.folder} and ${place.split} in ${folder}`,
          );
        }
        splitOf.set(record.patient, place);
      }
    }
  }
  const heldOut = new Set([...joined.val, ...joined.test].map(({ patient }) => patient));
  const patientOf = new Map(
    SPLITS.flatMap((split) => joined[split].map(({ id, patient }) => [id, patient])),
  );
  // A patch is named after its slice.
  const isHeldOut = (source: string) => {
    const own = patientOf.get(source) ?? patientOf.get(source.replace(/_(nodule|lung)\d+$/, ""));
    return own !== undefined && heldOut.has(own);
  };
  const kept = made.filter(({ source }) => !isHeldOut(source));
  joined.train.push(...kept.map(({ record }) => record));
  if (kept.length < made.length) {
    joined.notes.push(
      `${made.length - kept.length} synthetic slices are of lungs of patients held out for ` +
        "validation or tests: left out",
    );
  }
  if (strays) joined.notes.push(`${strays} synthetic slices are in no training split: left out`);
  if (kept.length) {
    joined.notes.push(`${kept.length} of ${joined.train.length} training slices are synthetic`);
  }
  if (joined.train.length === 0) throw new InputError("Cannot train: no slice to train on is left");
  if (sources.length > 1 && joined.val.length === 0) {
    joined.notes.push(
      "no validation split in any of the folders: none is taken from the training slices",
    );
  }
  return joined;
}

/** Of slices that `sample` made, whose lungs they have. */
async function imagesOf(folder: string): Promise<Map<string, string>> {
  const images = new Map<string, string>();
  for (const { name } of await Array.fromAsync(Deno.readDir(folder))) {
    if (!IMAGE_LIST.test(name)) continue;
    for (const { slice, source } of await readImageList(join(folder, name))) {
      images.set(slice, source);
    }
  }
  return images;
}
