/** Finds the CT series below a folder, whatever its layout: files are matched by UID alone. */

import { InputError } from "../../errors.ts";
import { walk } from "../../io/walk.ts";
import { rejection } from "./accept.ts";
import type { DicomHeader } from "./header.ts";
import { readHeader } from "./read_header.ts";
import type { Rejected } from "./series.ts";

/** A series as found: only names are kept, so a scan of many thousand files stays small. */
export interface FoundSeries {
  seriesUid: string;
  studyUid: string;
  patientId: string;
  /** Files that look like axial CT slices, sorted. */
  files: string[];
}

export interface Found {
  /** Sorted by patient, study and series. */
  series: FoundSeries[];
  /** DICOM files that are no axial CT slices, with the reason. */
  rejected: Rejected[];
  xmlFiles: string[];
  /** Files named metadata.csv. */
  csvFiles: string[];
  /** Files that are none of the above. */
  others: number;
}

/**
 * @param onFile called for each file seen, with the count so far.
 * @throws InputError if `root` cannot be read or is no folder.
 */
export function scanFolder(root: string, onFile?: (count: number) => void): Found {
  const series = new Map<string, FoundSeries>();
  const found: Found = { series: [], rejected: [], xmlFiles: [], csvFiles: [], others: 0 };
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
    let header: DicomHeader;
    try {
      const parsed = readHeader(path);
      if (!parsed) {
        found.others++;
        continue;
      }
      header = parsed.header;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      found.rejected.push({ file: path, reason: error.message });
      continue;
    }
    const reason = rejection(header);
    if (reason) {
      found.rejected.push({ file: path, reason });
      continue;
    }
    const { seriesUid, studyUid, patientId } = header;
    const entry = series.get(seriesUid) ?? { seriesUid, studyUid, patientId, files: [] };
    entry.files.push(path);
    series.set(seriesUid, entry);
  }
  const order = (s: FoundSeries) => `${s.patientId}\0${s.studyUid}\0${s.seriesUid}`;
  found.series = [...series.values()].sort((a, b) => order(a) < order(b) ? -1 : 1);
  return found;
}
