/** One series from its sources to the files of its slices, all of them or none. */

import { join, relative } from "node:path";
import { InputError } from "../../errors.ts";
import { writeFileAtomic } from "../../io/atomic.ts";
import { encodeNpy } from "../../io/npy.ts";
import { boundedNotes } from "../../io/notes.ts";
import { readFileBounded } from "../../io/read.ts";
import { loadSeries } from "../dicom/series.ts";
import type { CtVolume } from "../dicom/series.ts";
import { MIN_NODULE_PIXELS } from "../dataset.ts";
import { annotate, nodulePlane } from "../lidc/consensus.ts";
import type { Nodule } from "../lidc/consensus.ts";
import { MAX_XML_BYTES, parseLidcXml, type Reader } from "../lidc/xml.ts";
import { LEFT, RIGHT, segmentLungs } from "../lung_mask.ts";
import { loadLungMask } from "./lung_mask_files.ts";
import type { Findings } from "./findings.ts";
import { loadNiftiSeries } from "./nifti_series.ts";
import {
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
    if (!(error instanceof InputError)) throw error;
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
  const notes = [...job.notes];
  let volume: CtVolume, findings: Findings;
  if (job.source.kind === "dicom") {
    volume = await loadSeries(job.source.files);
    findings = await readFindings(job, volume, notes);
  } else {
    ({ volume, findings } = await loadNiftiSeries(job.source, job.seriesUid, job.patient));
  }
  notes.push(...volume.notes);
  const given = job.lungMasks ? await loadLungMask(job.lungMasks, volume) : null;
  if (job.lungMasks && !given) notes.push("no lung mask was given for it: found by rules");
  const labels = given ?? segmentLungs(
    { ...volume, slices: volume.slices.length, patientX: patientX(volume) },
    { closingMm: job.settings.closing },
  ).labels;
  const counts = [0, 0, 0];
  for (let i = 0; i < labels.length; i++) counts[labels[i]]++;
  const [dy, dx] = volume.pixelSpacing;
  const voxelMl = dy * dx * (volume.sliceSpacing || 1) / 1000;
  return {
    version: RECORD_VERSION,
    key: job.key,
    patient: job.patient,
    scan: job.scan,
    seriesUid: job.seriesUid,
    studyUid: job.studyUid,
    rows: volume.rows,
    columns: volume.columns,
    pixelSpacing: volume.pixelSpacing,
    sliceSpacing: volume.sliceSpacing,
    lungMasks: given ? "given" : "rules",
    rightLungMl: counts[RIGHT] * voxelMl,
    leftLungMl: counts[LEFT] * voxelMl,
    slices: volume.slices.map((_, index) =>
      writeSlice(job, volume, labels, findings, index, folder)
    ),
    nodules: findings.nodules.map(({ entry }) => entry),
    smallMarks: findings.smallMarks,
    nonNodules: findings.nonNodules,
    marks: findings.marks,
    rejected: volume.rejected.map(({ file, reason }) => ({
      file: relative(job.root, file),
      reason: reason.replaceAll(job.root, "…"),
    })),
    notes: boundedNotes(notes),
    failure: null,
  };
}

function patientX({ slices, row, column, pixelSpacing: [dy, dx] }: CtVolume) {
  return { origin: slices[0].position[0], column: row[0] * dx, row: column[0] * dy };
}

async function readFindings(job: SeriesJob, volume: CtVolume, notes: string[]): Promise<Findings> {
  const readers: Reader[] = [];
  for (const path of job.annotations) {
    const file = parseLidcXml(await readFileBounded(path, MAX_XML_BYTES), path);
    if (file.kind !== "ct") continue;
    if (readers.length > 0) {
      notes.push(`a second annotation file, "${relative(job.root, path)}", is not used`);
      continue;
    }
    readers.push(...file.readers);
    notes.push(...file.notes);
  }
  const { consensus, tolerance, minReaders } = job.settings;
  const found = annotate(readers, volume, { threshold: consensus, tolerance });
  notes.push(...found.notes);
  const sure: Nodule[] = [], smallSlices = found.smallSlices;
  for (const nodule of found.nodules) {
    if (nodule.readers >= minReaders) sure.push(nodule);
    else for (const slice of nodule.patches.keys()) smallSlices.add(slice);
  }
  return {
    nodules: sure.map(({ patches, readers, volumeMm3, diameterMm, characteristics }) => ({
      entry: { readers, volumeMm3, diameterMm, slices: patches.size, characteristics },
      slices: new Set(patches.keys()),
    })),
    plane: (slice) => nodulePlane(sure, slice, volume),
    smallSlices,
    smallMarks: found.smallMarks,
    nonNodules: found.nonNodules,
    marks: found.marks,
  };
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
    lungMasks: "rules",
    rightLungMl: 0,
    leftLungMl: 0,
    slices: [],
    nodules: [],
    smallMarks: 0,
    nonNodules: 0,
    marks: 0,
    rejected: [],
    notes: job.notes,
    failure: reason.replaceAll(job.root, "…"),
  };
}
