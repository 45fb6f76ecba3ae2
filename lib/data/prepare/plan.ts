/** From what was found on disk to a list of series to prepare. */

import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { InputError } from "../../errors.ts";
import { LIMITS } from "../../io/limits.ts";
import { readFileBounded } from "../../io/read.ts";
import { type Found, type FoundSeries, scanFolder } from "../dicom/scan.ts";
import { readReferences } from "../dicom/mask_object.ts";
import type { Rejected } from "../dicom/series.ts";
import { type MetadataRow, parseMetadata } from "../lidc/metadata.ts";
import { MAX_XML_BYTES, parseLidcXml, seriesUidIn } from "../lidc/xml.ts";
import { filesOf, VOLUME_ENDING } from "../volume.ts";
import { findLungMasks, type LungMaskIndex } from "./lung_mask_files.ts";
import { unreadKinds } from "./unread.ts";
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
  others: string[];
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
  const found = scanFolder(options.dicom, options.onFile, options.settings.derived);
  const { rejected } = found;
  const notes = [...found.notes];
  const readings = await indexAnnotations(found, notes);
  const objects = await indexObjects(found, notes);
  const metadata = await readMetadata(found, notes);
  const masks = options.lungMasks ? findLungMasks(options.lungMasks) : null;
  if (found.series.length === 0) {
    const example = rejected[0];
    throw new InputError(
      `No CT series in "${options.dicom}": ${rejected.length} DICOM files rejected, ` +
        `${found.others.length} other files` +
        (example ? `; the first is "${example.file}": ${example.reason}` : "") +
        unreadKinds(found.others).map((line) => `; ${line}`).join(""),
    );
  }
  const named = namePatients(found.series, metadata);
  const jobs = named.map(({ series, patient, scan }): SeriesJob => {
    const own: string[] = [];
    const row = metadata.get(series.seriesUid);
    if (row?.images != null && row.images !== series.files.length) {
      own.push(`metadata.csv says ${row.images} images, ${series.files.length} usable files found`);
    }
    const shared = named.filter((n) => n.series.seriesUid === series.seriesUid);
    const { annotations, unreadable } = readings.of(series, shared.length > 1);
    return withKey({
      id: shared.length === 1
        ? fileSafe(series.seriesUid)
        : `${hash(series.seriesUid).slice(0, 16)}-${
          shared.findIndex((n) => n.series === series) + 1
        }`,
      source: { kind: "dicom", files: series.files },
      seriesUid: series.seriesUid,
      studyUid: series.studyUid,
      patient,
      scan,
      annotations,
      objects: objects.get(series) ?? [],
      unreadable,
      lungMasks: masks
        ? masksFor(masks, series, named.filter((n) => n.patient === patient), shared.length)
        : null,
      settings: options.settings,
      out: options.out,
      root: options.dicom,
      key: "",
      notes: own,
    });
  });
  for (const { path, seriesUid } of readings.unused()) {
    notes.push(`"${path}" annotates series ${seriesUid || "(none)"}, which was not found`);
  }
  return { jobs, rejected, notes, others: found.others };
}

interface AnnotationFile {
  path: string;
  seriesUid: string;
  studyUid: string;
  /** Why it cannot be read. */
  fault: string | null;
}

/** The annotation files found, by the series that they are of. */
class Readings {
  readonly #files: AnnotationFile[];
  readonly #used = new Set<AnnotationFile>();

  constructor(files: AnnotationFile[]) {
    this.#files = files;
  }

  /**
   * Those that name the series; one that names none, and none of this folder's, is of the series
   * whose folder it lies in.
   * @param isShared another series has the same UID: then the study must agree as well.
   */
  of(series: FoundSeries, isShared: boolean): { annotations: string[]; unreadable: string[] } {
    const folders = new Set(series.files.map((file) => dirname(file)));
    const own = this.#files.filter(({ path, seriesUid, studyUid }) =>
      seriesUid
        ? seriesUid === series.seriesUid && (!isShared || !studyUid || studyUid === series.studyUid)
        : folders.has(dirname(path))
    );
    for (const file of own) this.#used.add(file);
    return {
      annotations: own.filter((file) => !file.fault).map((file) => file.path),
      unreadable: own.flatMap((file) => file.fault ?? []),
    };
  }

  unused(): AnnotationFile[] {
    return this.#files.filter((file) => !this.#used.has(file) && !file.fault);
  }
}

async function indexAnnotations(found: Found, notes: string[]): Promise<Readings> {
  const files: AnnotationFile[] = [];
  let xrays = 0;
  for (const path of found.xmlFiles) {
    let bytes: Uint8Array | undefined;
    try {
      bytes = await readFileBounded(path, MAX_XML_BYTES);
      const file = parseLidcXml(bytes, path);
      if (file.kind === "xray") xrays++;
      else if (file.kind === "other") found.others.push(path);
      else {
        const { seriesUid, studyUid } = file;
        files.push({ path, seriesUid, studyUid, fault: null });
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      found.rejected.push({ file: path, reason: error.message });
      const seriesUid = bytes ? seriesUidIn(bytes) : "";
      files.push({ path, seriesUid, studyUid: "", fault: error.message });
    }
  }
  if (xrays > 0) notes.push(`${xrays} annotation files are of chest X-rays: skipped`);
  return new Readings(files);
}

/** SEG and RTSTRUCT by the series that they name, else by the only series of their study. */
async function indexObjects(found: Found, notes: string[]): Promise<Map<FoundSeries, string[]>> {
  const bySeries = new Map<FoundSeries, string[]>();
  for (const path of found.objects) {
    try {
      const { series, studyUid } = await readReferences(path);
      const named = found.series.filter((s) => series.includes(s.seriesUid));
      const study = found.series.filter((s) => s.studyUid === studyUid);
      const own = named.length > 0 ? named : series.length === 0 && study.length === 1 ? study : [];
      for (const s of own) bySeries.set(s, [...bySeries.get(s) ?? [], path]);
      if (own.length === 0) {
        notes.push(`"${path}" is of series ${series[0] ?? "(none)"}, which was not found`);
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      found.rejected.push({ file: path, reason: error.message });
      notes.push(error.message);
    }
  }
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
    const identity = subject || `study ${series.studyUid || series.seriesUid}${series.person}`;
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

function masksFor(
  index: LungMaskIndex,
  series: FoundSeries,
  ofPatient: NamedSeries[],
  sharing: number,
) {
  // A UID that several series share names none of them.
  const names = sharing === 1 ? [series.seriesUid] : [];
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
  const state = [...sources, ...job.annotations, ...job.objects ?? [], ...masks].map((path) => {
    const { size, mtime } = Deno.statSync(path);
    return [path, size, mtime?.getTime() ?? 0];
  });
  const { settings, patient, scan, notes, unreadable } = job;
  const folder = job.lungMasks && "state" in job.lungMasks ? job.lungMasks.state : "";
  const text = JSON.stringify([
    RECORD_VERSION,
    state,
    folder,
    settings,
    patient,
    scan,
    notes,
    unreadable,
  ]);
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
