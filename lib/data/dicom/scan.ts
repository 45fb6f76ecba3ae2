/** Finds the CT series below a folder, whatever its layout: files are matched by UID alone. */

import { InputError } from "../../errors.ts";
import { asInputError } from "../../io/read.ts";
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
  for (const path of walk(root)) {
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

/** Every file below `folder`, in a fixed order; links are followed, each folder once. */
export function* walk(folder: string, seen = new Set<string>()): Generator<string> {
  let entries: Deno.DirEntry[];
  try {
    const real = Deno.realPathSync(folder);
    if (seen.has(real)) return;
    seen.add(real);
    entries = [...Deno.readDirSync(folder)];
  } catch (error) {
    throw asInputError(error, folder);
  }
  entries.sort((a, b) => a.name < b.name ? -1 : 1);
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue; // our own records, .DS_Store and their like
    const path = `${folder.replace(/\/+$/, "")}/${entry.name}`;
    let { isFile, isDirectory } = entry;
    if (entry.isSymlink) {
      try {
        ({ isFile, isDirectory } = Deno.statSync(path));
      } catch {
        continue; // a link to nowhere
      }
    }
    if (isDirectory) yield* walk(path, seen);
    else if (isFile) yield path;
  }
}
