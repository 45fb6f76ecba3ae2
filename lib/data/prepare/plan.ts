/** From what was found on disk to a list of series to prepare. */

import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { InputError } from "../../errors.ts";
import { LIMITS } from "../../io/limits.ts";
import { readFileBounded } from "../../io/read.ts";
import { type Found, type FoundSeries, scanFolder } from "../dicom/scan.ts";
import type { Rejected } from "../dicom/series.ts";
import { type MetadataRow, parseMetadata } from "../lidc/metadata.ts";
import { MAX_XML_BYTES, parseLidcXml } from "../lidc/xml.ts";
import { findLungMasks, type LungMaskIndex } from "./lung_mask_files.ts";
import { filesOf, VOLUME_ENDING } from "../volume.ts";
import {
  type LungMaskFiles,
  RECORD_VERSION,
  type SeriesJob,
  type SeriesSettings,
} from "./types.ts";

export interface Plan {
  jobs: SeriesJob[];
  rejected: Rejected[];
  notes: string[];
  /** Files that are neither DICOM nor annotations. */
  others: number;
}

export interface PlanOptions {
  dicom: string;
  out: string;
  lungMasks?: string;
  settings: SeriesSettings;
  onFile?: (count: number) => void;
}

/** @throws InputError if the folder cannot be read or holds no CT series. */
export async function planDicom(options: PlanOptions): Promise<Plan> {
  const found = scanFolder(options.dicom, options.onFile);
  const { rejected } = found;
  const notes: string[] = [];
  const annotations = await indexAnnotations(found, notes);
  const metadata = await readMetadata(found, notes);
  const masks = options.lungMasks ? findLungMasks(options.lungMasks) : null;
  if (found.series.length === 0) {
    const example = rejected[0];
    throw new InputError(
      `No CT series in "${options.dicom}": ${rejected.length} DICOM files rejected, ` +
        `${found.others} other files` +
        (example ? `; the first is "${example.file}": ${example.reason}` : ""),
    );
  }
  const named = namePatients(found.series, metadata);
  const jobs = named.map(({ series, patient, scan }): SeriesJob => {
    const own: string[] = [];
    const row = metadata.get(series.seriesUid);
    if (row?.images != null && row.images !== series.files.length) {
      own.push(`metadata.csv says ${row.images} images, ${series.files.length} usable files found`);
    }
    const xml = annotations.get(series.seriesUid) ?? [];
    annotations.delete(series.seriesUid);
    return withKey({
      id: fileSafe(series.seriesUid),
      source: { kind: "dicom", files: series.files },
      seriesUid: series.seriesUid,
      studyUid: series.studyUid,
      patient,
      scan,
      annotations: xml,
      lungMasks: masks ? masksFor(masks, series, named.filter((n) => n.patient === patient)) : null,
      settings: options.settings,
      out: options.out,
      root: options.dicom,
      key: "",
      notes: own,
    });
  });
  for (const [uid, files] of annotations) {
    notes.push(`"${files[0]}" annotates series ${uid || "(none)"}, which was not found`);
  }
  return { jobs, rejected, notes, others: found.others };
}

async function indexAnnotations(found: Found, notes: string[]): Promise<Map<string, string[]>> {
  const bySeries = new Map<string, string[]>();
  let xrays = 0;
  for (const path of found.xmlFiles) {
    try {
      const file = parseLidcXml(await readFileBounded(path, MAX_XML_BYTES), path);
      if (file.kind === "xray") xrays++;
      else if (file.kind === "other") found.others++;
      else bySeries.set(file.seriesUid, [...bySeries.get(file.seriesUid) ?? [], path]);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      found.rejected.push({ file: path, reason: error.message });
    }
  }
  if (xrays > 0) notes.push(`${xrays} annotation files are of chest X-rays: skipped`);
  return bySeries;
}

async function readMetadata(found: Found, notes: string[]): Promise<Map<string, MetadataRow>> {
  const all = new Map<string, MetadataRow>();
  for (const path of found.csvFiles) {
    try {
      for (const [uid, row] of parseMetadata(await readFileBounded(path, LIMITS.csv.bytes), path)) {
        all.set(uid, row);
      }
    } catch (error) {
      // It only adds what the files themselves mostly say.
      if (!(error instanceof InputError)) throw error;
      notes.push(error.message);
    }
  }
  return all;
}

interface NamedSeries {
  series: FoundSeries;
  patient: string;
  scan: number;
}

/**
 * Names for files: PatientID, else the archive's subject, else the study. Two patients whose names
 * differ only in what a file name cannot hold are kept apart by a hash.
 */
export function namePatients(
  found: readonly FoundSeries[],
  metadata: ReadonlyMap<string, MetadataRow>,
): NamedSeries[] {
  const owners = new Map<string, string>(), scans = new Map<string, number>();
  return found.map((series) => {
    const subject = series.patientId || metadata.get(series.seriesUid)?.subject || "";
    const identity = subject || `study ${series.studyUid || series.seriesUid}`;
    let patient = subject ? fileSafe(subject) : `study-${hash(identity).slice(0, 12)}`;
    if ((owners.get(patient) ?? identity) !== identity) {
      patient = `${patient}-${hash(identity).slice(0, 8)}`;
    }
    owners.set(patient, identity);
    const scan = (scans.get(patient) ?? 0) + 1;
    scans.set(patient, scan);
    return { series, patient, scan };
  });
}

/** The layout ends a patient's name at the first `_`, so none may be in it. */
export function fileSafe(text: string): string {
  const safe = text.replace(/[^A-Za-z0-9.-]+/g, "-").replace(/^[.-]+|[.-]+$/g, "");
  return safe.length > 0 && safe.length <= 80 ? safe : `x${hash(text).slice(0, 16)}`;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function masksFor(index: LungMaskIndex, series: FoundSeries, ofPatient: NamedSeries[]) {
  const names = [series.seriesUid];
  if (ofPatient.length === 1) names.push(series.patientId, ofPatient[0].patient);
  for (const name of names) {
    const volume = name ? index.byName.get(name) : undefined;
    if (volume) return { volume };
  }
  // Slice masks are found by SOP instance UID when the series is read.
  return { folder: index.folder, state: index.state };
}

/** Adds the key: of every source's name, size and time, of the settings and of the program. */
export function withKey(job: SeriesJob): SeriesJob {
  const sources = job.source.kind === "dicom"
    ? job.source.files
    : [job.source.volume, job.source.nodules ?? []].flat().flatMap(filesOf);
  const masks = maskFiles(job.lungMasks);
  const state = [...sources, ...job.annotations, ...masks].map((path) => {
    const { size, mtime } = Deno.statSync(path);
    return [path, size, mtime?.getTime() ?? 0];
  });
  const { settings, patient, scan, notes } = job;
  const folder = job.lungMasks && "state" in job.lungMasks ? job.lungMasks.state : "";
  const { spheres, doubtful } = job.source.kind === "nifti" ? job.source : {};
  const text = JSON.stringify(
    [RECORD_VERSION, state, folder, settings, patient, scan, notes, spheres, doubtful],
  );
  return { ...job, key: hash(text) };
}

function maskFiles(masks: LungMaskFiles | null): string[] {
  if (!masks) return [];
  if ("volume" in masks) return filesOf(masks.volume);
  if ("luna16" in masks) return filesOf(masks.luna16);
  return "parts" in masks ? Object.values(masks.parts).flat().flatMap(filesOf) : [];
}

/** `…/imagesTr/lung_001.nii.gz` → `lung_001`. */
export function volumeName(path: string): string {
  return basename(path).replace(VOLUME_ENDING, "").replace(/\.(npy|png)$/i, "");
}

/** The last folder of a path. */
export function folderName(path: string): string {
  return basename(dirname(path));
}
