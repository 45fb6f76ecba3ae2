/** One series from its sources to the files of its slices, all of them or none. */

import { join, relative } from "node:path";
import { asWriteError, InputError } from "../../errors.ts";
import { writeFileAtomic } from "../../io/atomic.ts";
import { encodeNpy } from "../../io/npy.ts";
import { boundedNotes } from "../../io/notes.ts";
import {
  type CtSlice,
  type CtVolume,
  loadSeries,
  planSeries,
  type Rejected,
} from "../dicom/series.ts";
import { MIN_NODULE_PIXELS } from "../dataset.ts";
import { LEFT, RIGHT, segmentLungs } from "../lung_mask.ts";
import type { Findings } from "./findings.ts";
import { findingsOn, readReading } from "./reading.ts";
import { loadLungMask } from "./lung_mask_files.ts";
import { loadNiftiSeries } from "./nifti_series.ts";
import { objectFindings, objectLungs, type ObjectMasks, readObjects } from "./object_masks.ts";
import { rangeOf, requireValues } from "./values.ts";
import { type Oriented, turnFindings, turnSeries } from "./turned.ts";
import {
  type AnnotationState,
  type LeftOut,
  RECORD_VERSION,
  type SeriesJob,
  type SeriesRecord,
  type SliceEntry,
  sliceNames,
} from "./types.ts";

/** Folder of records and unfinished work below the output folder. */
export const RECORDS = ".prepare";

/** Where the record of a series is. */
export function recordPath(job: SeriesJob): string {
  return join(job.out, RECORDS, `${job.id}.json`);
}

/** The folder of the slices of a series. */
export function seriesFolder(job: SeriesJob): string {
  return join(job.out, "slices", job.patient, `scan${job.scan}`);
}

/**
 * Prepares one series. Its slices are written to a temporary folder that is renamed when it is
 * whole; the record comes last. A series that cannot be used gives a record with the reason.
 */
export async function prepareSeries(job: SeriesJob): Promise<SeriesRecord> {
  const folder = seriesFolder(job), temporary = join(job.out, RECORDS, `tmp-${job.id}`);
  await removeFolder(temporary);
  await Deno.remove(recordPath(job)).catch(() => {});
  await removeFolder(folder);
  let record: SeriesRecord;
  try {
    await Deno.mkdir(temporary, { recursive: true });
    record = await writeSlices(job, temporary);
    if (record.slices.some((slice) => slice.output)) {
      await Deno.mkdir(join(folder, ".."), { recursive: true });
      await Deno.rename(temporary, folder);
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw asWriteError(error, `Cannot write ${folder}`);
    record = failed(job, error.message);
  } finally {
    await removeFolder(temporary);
  }
  await writeFileAtomic(recordPath(job), JSON.stringify(record));
  return record;
}

async function removeFolder(path: string) {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function writeSlices(job: SeriesJob, folder: string): Promise<SeriesRecord> {
  const { settings } = job, notes = [...job.notes], told: string[] = [];
  let oriented: Oriented, findings: Findings, objects: ObjectMasks | undefined;
  if (job.source.kind === "dicom") {
    const { files } = job.source, reading = await readReading(job, notes, told);
    objects = await readObjects(job, told);
    // Readings in XML have the ratings too; objects stand for them where there are none.
    const isByObjects = reading.state !== "read" && objects.state !== "none";
    const state = isByObjects ? objects.state : reading.state;
    if (state !== "read" && settings.unannotated === "leave-out") {
      return notRead(job, planSeries(files, settings), state, notes, told);
    }
    const volume = await loadSeries(files, settings);
    oriented = turnSeries(volume);
    findings = isByObjects && state === "read"
      ? objectFindings(oriented.volume, objects, settings, told)
      : turnFindings(findingsOn(volume, { ...reading, state }, settings, notes, told), oriented);
    told.push(...volume.told);
  } else {
    const nifti = await loadNiftiSeries(job.source, job);
    ({ oriented, findings } = nifti);
    notes.push(...nifti.notes);
    told.push(...nifti.told);
  }
  const { volume } = oriented;
  notes.push(...volume.notes);
  if (findings.state !== "read" && settings.unannotated === "leave-out") {
    return notRead(job, { ...volume, chosen: volume.slices }, findings.state, notes, told);
  }
  const given = job.lungMasks
    ? await loadLungMask(job.lungMasks, oriented, settings, notes)
    : objects && objectLungs(volume, objects, told);
  if (job.lungMasks && !given) told.push("no lung mask was given for it: found by rules");
  if (given && !given.some((label) => label > 0)) {
    throw new InputError("its lung mask is empty (0 everywhere): see --lung-label");
  }
  const values = rangeOf(volume.hu);
  if (!settings.anyValues) requireValues(job, volume, given ?? null);
  const patientX = xOf(volume);
  const labels = given ?? segmentLungs(
    { ...volume, slices: volume.slices.length, patientX },
    { closingMm: settings.closing },
  ).labels;
  if (given && areExchanged(labels, volume)) {
    for (let i = 0; i < labels.length; i++) if (labels[i]) labels[i] = labels[i] === 1 ? 2 : 1;
    told.push("label 1 of its lung mask is the left lung and 2 the right: exchanged");
  }
  const millilitres = lungVolumes(labels, volume);
  return {
    ...headOf(job),
    rows: volume.rows,
    columns: volume.columns,
    pixelSpacing: volume.pixelSpacing,
    sliceSpacing: volume.sliceSpacing,
    annotation: findings.state,
    lungMasks: given ? "given" : "rules",
    values,
    rightLungMl: millilitres[RIGHT],
    leftLungMl: millilitres[LEFT],
    slices: volume.slices.map((_, index) =>
      writeSlice(job, volume, labels, findings, index, folder)
    ),
    nodules: findings.nodules.map(({ entry }) => entry),
    smallMarks: findings.smallMarks,
    nonNodules: findings.nonNodules,
    marks: findings.marks,
    rejected: rejectedOf(job, volume.rejected),
    ...said(job, notes, told),
  };
}

/** Of a series whose annotation is missing or cannot be read: its slices, none of them written. */
function notRead(
  job: SeriesJob,
  { chosen, rejected }: { chosen: readonly CtSlice[]; rejected: readonly Rejected[] },
  state: AnnotationState,
  notes: string[],
  told: string[],
): SeriesRecord {
  return {
    ...headOf(job),
    annotation: state,
    slices: chosen.map(({ file, sopInstance, z }): SliceEntry => ({
      source: relative(job.root, file),
      sopInstance,
      z,
      lung: 0,
      rightPixels: 0,
      leftPixels: 0,
      label: 0,
      nodulePixels: 0,
      nodules: [],
      output: null,
      leftOut: state === "none" ? "not annotated" : "annotation unreadable",
    })),
    rejected: rejectedOf(job, rejected),
    ...said(job, notes, told),
  };
}

/** Bounded, without the folders of this machine. */
function said(job: SeriesJob, notes: string[], told: string[]) {
  const strip = (text: string) => text.replaceAll(job.root, "…");
  return {
    notes: boundedNotes([...told, ...notes.filter((note) => !told.includes(note))].map(strip)),
    told: boundedNotes(told.map(strip)),
  };
}

function rejectedOf(job: SeriesJob, rejected: readonly Rejected[]): Rejected[] {
  return rejected.map(({ file, reason }) => ({
    file: relative(job.root, file),
    reason: reason.replaceAll(job.root, "…"),
  }));
}

function xOf({ slices, row, column, pixelSpacing: [dy, dx] }: CtVolume) {
  return { origin: slices[0].position[0], column: row[0] * dx, row: column[0] * dy };
}

/** Millilitres by label; each slice counts with its own share of the height. */
function lungVolumes(labels: Uint8Array, volume: CtVolume): number[] {
  const { pixelSpacing: [dy, dx], sliceSpacing, thickness, rows, columns } = volume;
  const area = rows * columns, counts = [0, 0, 0];
  if (!thickness) {
    for (let i = 0; i < labels.length; i++) counts[labels[i]]++;
    const voxelMl = dy * dx * (sliceSpacing || 1) / 1000;
    return counts.map((count) => count * voxelMl);
  }
  for (let i = 0; i < labels.length; i++) {
    counts[labels[i]] += dy * dx * thickness[Math.floor(i / area)] / 1000;
  }
  return counts;
}

/** Does the left lung (+x) have label 1? Left and right are by position. */
function areExchanged(labels: Uint8Array, { columns }: CtVolume): boolean {
  const sums = [0, 0, 0], counts = [0, 0, 0];
  for (let i = 0; i < labels.length; i++) {
    sums[labels[i]] += i % columns;
    counts[labels[i]]++;
  }
  return counts[RIGHT] > 0 && counts[LEFT] > 0 &&
    sums[RIGHT] / counts[RIGHT] > sums[LEFT] / counts[LEFT];
}

function writeSlice(
  job: SeriesJob,
  volume: CtVolume,
  labels: Uint8Array,
  findings: Findings,
  index: number,
  folder: string,
): SliceEntry {
  const { rows, columns } = volume, area = rows * columns, slice = volume.slices[index];
  const lungs = labels.subarray(index * area, (index + 1) * area);
  const nodule = findings.plane(index);
  const mask = new Uint8Array(area), combined = new Uint8Array(area);
  const pixels = [0, 0, 0];
  let nodulePixels = 0;
  for (let i = 0; i < area; i++) {
    const label = lungs[i];
    pixels[label]++;
    if (label) mask[i] = 1;
    combined[i] = nodule[i] ? 255 : label;
    nodulePixels += nodule[i];
  }
  const lung = (pixels[RIGHT] + pixels[LEFT]) / area;
  const label = nodulePixels >= MIN_NODULE_PIXELS ? 1 : 0;
  let leftOut: LeftOut | null = null;
  if (lung < job.settings.minLung) leftOut = "little lung";
  else if (label === 0 && findings.doubtfulSlices.has(index)) leftOut = "outline unreadable";
  else if (label === 0 && findings.smallSlices.has(index)) leftOut = "small nodules only";
  let output: string | null = null;
  if (!leftOut) {
    const names = sliceNames(job.patient, job.scan, index), shape = [rows, columns];
    const put = (name: string, data: Int16Array | Uint8Array) =>
      Deno.writeFileSync(join(folder, name), encodeNpy(shape, data), { createNew: true });
    put(names.ct, volume.hu.subarray(index * area, (index + 1) * area));
    put(names.lung, mask);
    put(names.nodule, nodule);
    put(names.combined, combined);
    output = relative(job.out, join(seriesFolder(job), names.ct));
  }
  return {
    source: relative(job.root, slice.file),
    sopInstance: slice.sopInstance,
    z: slice.z,
    lung,
    rightPixels: pixels[RIGHT],
    leftPixels: pixels[LEFT],
    label,
    nodulePixels,
    nodules: findings.nodules.flatMap((nodule, i) => nodule.slices.has(index) ? [i] : []),
    output,
    leftOut,
  };
}

function failed(job: SeriesJob, reason: string): SeriesRecord {
  return { ...headOf(job), failure: reason.replaceAll(job.root, "…") };
}

/** What is known of a series before anything of it is read. */
function headOf(job: SeriesJob): SeriesRecord {
  return {
    version: RECORD_VERSION,
    key: job.key,
    patient: job.patient,
    scan: job.scan,
    seriesUid: job.seriesUid,
    studyUid: job.studyUid,
    rows: 0,
    columns: 0,
    pixelSpacing: [0, 0],
    sliceSpacing: 0,
    annotation: "none",
    lungMasks: "rules",
    values: null,
    rightLungMl: 0,
    leftLungMl: 0,
    slices: [],
    nodules: [],
    smallMarks: 0,
    nonNodules: 0,
    marks: 0,
    rejected: [],
    notes: job.notes,
    told: [],
    failure: null,
  };
}
