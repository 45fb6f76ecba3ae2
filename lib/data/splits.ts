/** Which slice is of which patient, and in which split, by the patients' files of a data folder. */

import { InputError } from "../errors.ts";
import type { Dataset, SliceRecord } from "./dataset.ts";
import { readPatients } from "./split_file.ts";

export const SPLITS = ["train", "val", "test"] as const;
export type Split = (typeof SPLITS)[number];

/** Names in a message. */
const MOST_NAMED = 3;

const ID = /^(.+?)_slice_[^_]*$/;
/** `LIDC_0001` of `LIDC_0001_slice_3`; of other names all. */
const nameOf = ({ id }: SliceRecord) => ID.exec(id)?.[1] ?? id;

/** `a`, `a_b`, `a_b_c` of `a_b_c`. */
function beginnings(name: string): string[] {
  const parts = name.split("_");
  return parts.map((_, i) => parts.slice(0, i + 1).join("_"));
}

function some(names: Iterable<string>): string {
  const all = [...new Set(names)];
  const more = all.length > MOST_NAMED ? `, … (${all.length})` : "";
  return all.slice(0, MOST_NAMED).map((name) => JSON.stringify(name)).join(", ") + more;
}

/**
 * Puts records into splits. A record's patient is the part of its name, ending before a `_`, that a
 * split file has; the longest, where it has several. Without split files it is the part before the
 * first `_`, and all are for training.
 *
 * @param files of the splits that have one. @param notes are added to.
 * @throws InputError where a file cannot be read, a patient is in two splits, or none is to train on.
 */
export async function splitRecords(
  records: readonly SliceRecord[],
  files: ReadonlyMap<Split, string>,
  notes: string[],
): Promise<Pick<Dataset, Split>> {
  const out: Record<Split, SliceRecord[]> = { train: [], val: [], test: [] };
  if (files.size === 0) {
    notes.push("no {train,val,test}_patients.txt: all slices are used for training");
    const patients = new Set(records.map(({ patient }) => patient));
    const names = new Set(records.map(nameOf));
    if (patients.size === 1 && names.size > 1 && records.some((r) => ID.test(r.id))) {
      notes.push(
        `all slices count as one patient, "${
          [...patients][0]
        }" (the name up to the first "_", of ` +
          `${some(names)}): a train_patients.txt with longer names tells them apart`,
      );
    }
    return { ...out, train: [...records] };
  }
  const splitOf = new Map<string, Split>();
  for (const split of SPLITS) {
    const path = files.get(split);
    if (!path) continue;
    for (const patient of await readPatients(path)) {
      const other = splitOf.get(patient);
      if (other && other !== split) {
        throw new InputError(
          `Cannot split by "${path}": patient ${patient} is in ${other}_patients.txt too`,
        );
      }
      splitOf.set(patient, split);
    }
  }
  const left: SliceRecord[] = [];
  for (const record of records) {
    const known = beginnings(nameOf(record)).filter((name) => splitOf.has(name));
    const patient = known.at(-1);
    if (patient === undefined) {
      left.push(record);
      continue;
    }
    const split = splitOf.get(patient)!;
    const other = known.find((name) => splitOf.get(name) !== split);
    if (other) {
      throw new InputError(
        `Cannot split: ${record.id} is of "${other}" in ${
          splitOf.get(other)
        }_patients.txt and of ` +
          `"${patient}" in ${split}_patients.txt`,
      );
    }
    out[split].push({ ...record, patient });
  }
  const rule = 'the name before _slice_, or its part before a "_"';
  if (left.length > 0) {
    notes.push(
      `${left.length} slices are of patients in no split file: left out, such as ` +
        `${some(left.map(nameOf))} (${rule})`,
    );
  }
  if (out.train.length === 0) {
    const path = files.get("train");
    if (!path) {
      const beside = [...files.values()][0];
      throw new InputError(`Cannot train: train_patients.txt is missing beside "${beside}"`);
    }
    const listed = [...splitOf].flatMap(([name, split]) => split === "train" ? [name] : []);
    throw new InputError(
      `Cannot train: no slice is of a patient in "${path}": it names ` +
        `${some(listed) || "nobody"}, the slices are of ${some(records.map(nameOf))} (${rule})`,
    );
  }
  return out;
}
