/**
 * LUNA16 as downloaded (luna16.grand-challenge.org): `subset0` … `subset9` of `.mhd` volumes named by
 * series UID, `annotations.csv` with nodules of 3 mm or more that three of four readers marked,
 * perhaps `annotations_excluded.csv` with all other marks, and `seg-lungs-LUNA16`.
 */

import { basename } from "node:path";
import { InputError } from "../../errors.ts";
import { parseCsv } from "../../io/csv.ts";
import { LIMITS } from "../../io/limits.ts";
import { readFileBounded } from "../../io/read.ts";
import { linkNotes, walk } from "../../io/walk.ts";
import { VOLUME_ENDING, VOXELS_ENDING } from "../volume.ts";
import { findLungMasks } from "./lung_mask_files.ts";
import { fileSafe, folderName, type Plan, type PlanOptions, volumeName, withKey } from "./plan.ts";
import type { SeriesJob, Sphere } from "./types.ts";

const LUNGS = /^seg-lungs/i;
const IGNORED = /^(candidates.*|sampleSubmission)\.csv$/i;

/** @throws InputError if there is no volume, or `annotations.csv` is missing or damaged. */
export async function planLuna16(options: PlanOptions): Promise<Plan> {
  const volumes: string[] = [], lungs = new Map<string, string>(), notes: string[] = [];
  const links: string[] = [], tables = new Map<string, string>();
  const others: string[] = [];
  let count = 0;
  for (const path of walk(options.dicom, { onSkippedLink: (path) => links.push(path) })) {
    options.onFile?.(++count);
    const name = basename(path).toLowerCase();
    if (VOLUME_ENDING.test(path)) {
      if (LUNGS.test(folderName(path))) lungs.set(volumeName(path), path);
      else volumes.push(path);
    } else if (/^annotations(_excluded)?\.csv$/.test(name)) {
      const other = tables.get(name);
      if (other) throw new InputError(`Two tables of one name: "${other}" and "${path}"`);
      tables.set(name, path);
    } else if (!VOXELS_ENDING.test(path) && !IGNORED.test(name)) others.push(path);
  }
  notes.push(...linkNotes(links));
  if (volumes.length === 0) throw new InputError(`No .mhd volumes in "${options.dicom}"`);
  const list = tables.get("annotations.csv");
  if (!list) {
    throw new InputError(
      `Cannot prepare "${options.dicom}" as LUNA16: no annotations.csv in it, which has its nodules`,
    );
  }
  const nodules = await readSpheres(list, true);
  const excluded = tables.get("annotations_excluded.csv");
  const doubtful = excluded ? await readSpheres(excluded, false) : new Map<string, Sphere[]>();
  if (!excluded) {
    notes.push(
      "no annotations_excluded.csv: nodules that fewer than three readers marked count as none",
    );
  }
  const given = options.lungMasks ? findLungMasks(options.lungMasks).byName : null;
  const seen = new Map<string, string>();
  const jobs = volumes.map((volume): SeriesJob => {
    const uid = volumeName(volume), patient = fileSafe(uid), other = seen.get(patient);
    if (other) throw new InputError(`Two volumes of one series: "${other}" and "${volume}"`);
    seen.set(patient, volume);
    const own = given?.get(uid), lung = lungs.get(uid), spheres = nodules.get(uid) ?? [];
    nodules.delete(uid);
    return withKey({
      id: patient,
      source: { kind: "nifti", volume, nodules: null, spheres, doubtful: doubtful.get(uid) ?? [] },
      seriesUid: uid,
      studyUid: "",
      patient,
      scan: 1,
      annotations: [],
      unreadable: [],
      lungMasks: own ? { volume: own } : lung ? { luna16: lung } : null,
      settings: options.settings,
      out: options.out,
      root: options.dicom,
      key: "",
      notes: [],
    });
  });
  if (nodules.size > 0) {
    notes.push(`annotations.csv names ${nodules.size} series that are not in the folder`);
  }
  return { jobs, rejected: [], notes, others };
}

/** Nodules by series UID. World coordinates of the volumes' files: LPS mm. */
async function readSpheres(path: string, needsSize: boolean): Promise<Map<string, Sphere[]>> {
  const fail = (why: string) => new InputError(`Cannot read "${path}": ${why}`);
  const rows = parseCsv(await readFileBounded(path, LIMITS.csv.bytes), path, true);
  const bySeries = new Map<string, Sphere[]>();
  for (const [index, row] of rows.entries()) {
    const number = (column: string) => {
      const text = row[column];
      if (text === undefined) throw fail(`it has no column "${column}"`);
      const value = text === "" ? NaN : Number(text);
      if (!Number.isFinite(value)) throw fail(`row ${index + 1}: ${column} "${text}" is no number`);
      return value;
    };
    const uid = row["seriesuid"];
    if (!uid) throw fail(`row ${index + 1} has no seriesuid`);
    const diameterMm = number("diameter_mm");
    if (needsSize && !(diameterMm > 0 && diameterMm <= 200)) {
      throw fail(`row ${index + 1}: a nodule of ${diameterMm} mm`);
    }
    const sphere: Sphere = {
      centre: [number("coordx"), number("coordy"), number("coordz")],
      diameterMm,
    };
    bySeries.set(uid, [...bySeries.get(uid) ?? [], sphere]);
  }
  return bySeries;
}
