/** `manifest.json`: everything that was done, written piece by piece however many series there are. */

import { join, relative } from "node:path";
import { asWriteError, InputError, shown } from "../../errors.ts";
import { parseJsonFile } from "../../io/json.ts";
import { boundedNotes } from "../../io/notes.ts";
import { temporaryIn } from "../../io/atomic.ts";
import type { Rejected } from "../dicom/series.ts";
import { recordPath } from "./series_job.ts";
import type { Splits } from "./splits.ts";
import {
  type AnnotationState,
  LEFT_OUT,
  type LeftOut,
  RECORD_VERSION,
  type SeriesJob,
  type SeriesRecord,
  type SeriesSettings,
} from "./types.ts";

export interface Totals {
  patients: number;
  series: number;
  /** Series of which nothing could be used. */
  failedSeries: number;
  /** Slices read, and how many of them were written. */
  slices: number;
  written: number;
  positive: number;
  /** Slices left out, by reason. */
  leftOut: Record<LeftOut, number>;
  /** Series, without failed ones, and their slices by annotation. */
  annotation: Record<AnnotationState, { series: number; slices: number }>;
  /** Least and largest value of all series that were read. */
  values: [number, number] | null;
  /** Marks on nodules of 3 mm or more, and the nodules they cluster to. */
  marks: number;
  nodules: number;
  smallMarks: number;
  nonNodules: number;
  rejectedFiles: number;
  /** Patients that at least one slice was written of. */
  patientNames: string[];
}

/** The record of a series, or null where there is none that belongs to this job as it is now. */
export async function readRecord(job: SeriesJob): Promise<SeriesRecord | null> {
  try {
    const path = recordPath(job);
    const record = parseJsonFile(await Deno.readTextFile(path), path) as SeriesRecord;
    if (record.version !== RECORD_VERSION || record.key !== job.key) return null;
    // A user may have deleted slices to save room: then the series is made anew.
    for (const { output } of record.slices) if (output) Deno.statSync(join(job.out, output));
    return record;
  } catch (error) {
    if (error instanceof InputError || error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Sums over the records, one in memory at a time. */
export async function sumRecords(
  jobs: readonly SeriesJob[],
  rejected: readonly Rejected[],
): Promise<Totals> {
  const totals: Totals = {
    patients: 0,
    series: jobs.length,
    failedSeries: 0,
    slices: 0,
    written: 0,
    positive: 0,
    leftOut: Object.fromEntries(LEFT_OUT.map((why) => [why, 0])) as Totals["leftOut"],
    annotation: {
      read: { series: 0, slices: 0 },
      none: { series: 0, slices: 0 },
      unreadable: { series: 0, slices: 0 },
    },
    values: null,
    marks: 0,
    nodules: 0,
    smallMarks: 0,
    nonNodules: 0,
    rejectedFiles: rejected.length,
    patientNames: [],
  };
  const names = new Set<string>();
  for (const job of jobs) {
    const record = await recordOf(job);
    if (record.failure) totals.failedSeries++;
    else {
      const state = totals.annotation[record.annotation];
      state.series++;
      state.slices += record.slices.length;
    }
    const [low, high] = record.values ?? [Infinity, -Infinity], all = totals.values;
    if (low <= high) {
      totals.values = all ? [Math.min(all[0], low), Math.max(all[1], high)] : [low, high];
    }
    for (const slice of record.slices) {
      totals.slices++;
      if (slice.output) {
        totals.written++;
        totals.positive += slice.label;
        names.add(record.patient);
      } else totals.leftOut[slice.leftOut!]++;
    }
    totals.marks += record.marks;
    totals.nodules += record.nodules.length;
    totals.smallMarks += record.smallMarks;
    totals.nonNodules += record.nonNodules;
    totals.rejectedFiles += record.rejected.length;
  }
  totals.patientNames = [...names].sort();
  totals.patients = names.size;
  return totals;
}

async function recordOf(job: SeriesJob): Promise<SeriesRecord> {
  const record = await readRecord(job);
  if (!record) throw new InputError(`The record of series ${job.seriesUid} is gone: run it again`);
  return record;
}

/** Of the whole folder, of which each annotation file may give one. */
const MAX_NOTES = 2000;

export interface ManifestHead {
  settings: SeriesSettings & { seed: number; val: number; test: number };
  totals: Totals;
  splits: Splits;
  rejected: Rejected[];
  notes: string[];
}

/** Writes `manifest.json` below the output folder, whole or not at all. */
export async function writeManifest(
  out: string,
  root: string,
  jobs: readonly SeriesJob[],
  head: ManifestHead,
): Promise<void> {
  const temporary = temporaryIn(out);
  const encoder = new TextEncoder();
  try {
    const file = await Deno.open(temporary, { write: true, createNew: true });
    const write = async (text: string) => {
      const bytes = encoder.encode(text);
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    };
    try {
      const { patientNames: _, ...totals } = head.totals;
      const strip = (text: string) => text.replaceAll(root, "…");
      const fields = {
        version: RECORD_VERSION,
        settings: head.settings,
        totals,
        splits: head.splits,
        notes: boundedNotes(head.notes.map(strip), MAX_NOTES),
        rejected: head.rejected.map(({ file, reason }) => ({
          file: relative(root, file),
          reason: shown(strip(reason)),
        })),
      };
      for (const [key, value] of Object.entries(fields)) {
        await write(
          `${key === "version" ? "{" : ","}\n"${key}": ${JSON.stringify(value, null, 1)}`,
        );
      }
      await write(`,\n"series": [`);
      for (const [index, job] of jobs.entries()) {
        const { version: _, key: __, ...record } = await recordOf(job);
        await write(`${index > 0 ? "," : ""}\n${JSON.stringify(record)}`);
      }
      await write("\n]}\n");
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, join(out, "manifest.json"));
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw asWriteError(error, `Cannot write ${join(out, "manifest.json")}`);
  }
}
