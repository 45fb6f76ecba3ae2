/** Finds the CT series below a folder, whatever its layout: patient, study and series by UID alone. */

import { InputError } from "../../errors.ts";
import { walk } from "../../io/walk.ts";
import { rejection } from "./accept.ts";
import type { DicomHeader } from "./header.ts";
import { frameHeaders, isMultiFrameCt } from "./multiframe.ts";
import { isMaskObject } from "./mask_object.ts";
import { readHeader } from "./read_header.ts";
import { MOST_LOST, type Rejected } from "./series.ts";
import { type Placed, placedOf, splitVolumes } from "./split.ts";

/** A series as found: only names are kept, so a scan of many thousand files stays small. */
export interface FoundSeries {
  seriesUid: string;
  studyUid: string;
  patientId: string;
  /** What tells patients without PatientID apart: a name. Never written. */
  person: string;
  /** Which of several volumes of one SeriesInstanceUID it is, from 1; 0 where it is the only one. */
  part: number;
  /** Files that look like axial CT slices, sorted. */
  files: string[];
}

export interface Found {
  /** Sorted by patient, study and series. */
  series: FoundSeries[];
  /** DICOM files that are no axial CT slices, with the reason. */
  rejected: Rejected[];
  xmlFiles: string[];
  /** SEG and RTSTRUCT. */
  objects: string[];
  /** Files named metadata.csv. */
  csvFiles: string[];
  /** Files that are none of the above. */
  others: string[];
  /** What the user should know: series that were split. */
  notes: string[];
}

/**
 * @param onFile called for each file seen, with the count so far.
 * @param derived take DERIVED and SECONDARY slices too.
 * @throws InputError if `root` cannot be read or is no folder.
 */
export function scanFolder(
  root: string,
  onFile?: (count: number) => void,
  derived = false,
): Found {
  const series = new Map<string, (Placed & { studyUid: string })[]>();
  const found: Found = {
    series: [],
    rejected: [],
    xmlFiles: [],
    objects: [],
    csvFiles: [],
    others: [],
    notes: [],
  };
  const multiFrame: FoundSeries[] = [];
  /** Files of a series that are no slices, with the last reason. */
  const lost = new Map<string, { count: number; reason: string }>();
  const texts = new Map<string, string>();
  const same = (text: string) => {
    if (!texts.has(text)) texts.set(text, text);
    return texts.get(text)!;
  };
  let count = 0;
  const onSkippedLink = (file: string) =>
    found.rejected.push({ file, reason: "a link that leads out of the folder, not followed" });
  for (const path of walk(root, { onSkippedLink })) {
    onFile?.(++count);
    const lower = path.toLowerCase();
    if (lower.endsWith(".xml")) {
      found.xmlFiles.push(path);
      continue;
    }
    if (lower.endsWith("/metadata.csv") || lower.endsWith("\\metadata.csv")) {
      found.csvFiles.push(path);
      continue;
    }
    let header: DicomHeader, frames: DicomHeader[] | undefined;
    try {
      const parsed = readHeader(path);
      if (!parsed) {
        found.others.push(path);
        continue;
      }
      header = parsed.header;
      if (isMultiFrameCt(header.sopClass)) frames = frameHeaders(parsed);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      found.rejected.push({ file: path, reason: error.message });
      continue;
    }
    if (isMaskObject(header.sopClass)) {
      found.objects.push(path);
      continue;
    }
    const reasons = (frames ?? [header]).map((h) => rejection(h, derived));
    const reason = reasons.includes(null) ? null : reasons[0];
    if (reason) {
      found.rejected.push({ file: path, reason });
      const before = lost.get(header.seriesUid);
      lost.set(header.seriesUid, { count: (before?.count ?? 0) + 1, reason });
      continue;
    }
    const { seriesUid, studyUid, patientId, person } = header;
    if (frames) {
      multiFrame.push({
        seriesUid,
        studyUid,
        patientId,
        person: patientId ? "" : header.person,
        part: 0,
        files: [path],
      });
      continue;
    }
    const key = JSON.stringify([seriesUid, patientId, patientId ? "" : person]);
    const entry = series.get(key), placed = { ...placedOf(header, same), studyUid: same(studyUid) };
    if (entry) entry.push(placed);
    else series.set(key, [placed]);
  }
  for (const [key, files] of series) {
    const [seriesUid, patientId, person] = JSON.parse(key) as string[];
    const studies = [...Map.groupBy(files, (f) => f.studyUid).values()];
    // Some anonymisers give each file a study of its own: that is no study.
    const isSound = 2 * studies.length <= files.length;
    if (!isSound && studies.length > 1) {
      found.notes.push(
        `series ${seriesUid} has ${studies.length} StudyInstanceUIDs on ${files.length} slices: ` +
          "taken as one study",
      );
    }
    for (const of of isSound ? studies : [files]) {
      found.series.push(
        ...volumesOf({ seriesUid, studyUid: of[0].studyUid, patientId, person }, of, found.notes),
      );
    }
  }
  // Each multi-frame file is a volume of its own.
  for (const own of Map.groupBy(multiFrame, (s) => `${s.patientId}\0${s.seriesUid}`).values()) {
    found.series.push(...own.map((s, n) => ({ ...s, part: own.length > 1 ? n + 1 : 0 })));
  }
  const order = (s: FoundSeries) => `${s.patientId}\0${s.studyUid}\0${s.seriesUid}\0${s.part}`;
  found.series.sort((a, b) => order(a) < order(b) ? -1 : 1);
  const uids = Map.groupBy(found.series, (s) => s.seriesUid);
  for (const [uid, all] of uids) {
    const { count, reason } = lost.get(uid) ?? { count: 0, reason: "" };
    const files = count + all.reduce((sum, s) => sum + s.files.length, 0);
    if (count > MOST_LOST * files) {
      found.notes.push(`${count} of ${files} files of series ${uid} are not used: ${reason}`);
    }
    const owners = new Set(all.map((s) => `${s.patientId}\0${s.person}\0${s.studyUid}`)).size;
    if (owners > 1) {
      found.notes.push(
        `series ${uid} is of ${owners} patients or studies: each has its own series here`,
      );
    }
  }
  return found;
}

function volumesOf(
  series: Pick<FoundSeries, "seriesUid" | "studyUid" | "patientId" | "person">,
  files: readonly Placed[],
  notes: string[],
): FoundSeries[] {
  const { groups, by } = splitVolumes(files);
  if (groups.length > 1) {
    notes.push(
      `series ${series.seriesUid} holds ${groups.length} volumes in one another, told apart by ${by}: ` +
        `${groups.map((group) => group.length).join(" + ")} slices`,
    );
  }
  return groups.map((group, n) => ({
    ...series,
    part: groups.length > 1 ? n + 1 : 0,
    files: group.map((f) => f.file).sort(),
  }));
}
