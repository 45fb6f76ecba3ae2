/** From a folder of CT data to training slices: plan, run, and sum up. */

import { join } from "node:path";
import { InputError } from "../../errors.ts";
import { writeFileAtomic } from "../../io/atomic.ts";
import { parseJsonFile } from "../../io/json.ts";
import { MIN_NODULE_PIXELS } from "../dataset.ts";
import { writeContactSheet } from "./contact_sheet.ts";
import { readRecord, sumRecords, type Totals, writeManifest } from "./manifest.ts";
import { type Plan, planDicom, type PlanOptions } from "./plan.ts";
import { planLuna16 } from "./plan_luna16.ts";
import { planNifti } from "./plan_nifti.ts";
import { runJobs } from "./pool.ts";
import { RECORDS } from "./series_job.ts";
import { splitPatients, type Splits } from "./splits.ts";
import type { SeriesRecord, SeriesSettings } from "./types.ts";
import { unreadKinds } from "./unread.ts";

export interface PrepareOptions {
  /** The folder of sources, and what is in it. */
  input: string;
  kind: "dicom" | "nifti" | "luna16";
  out: string;
  lungMasks?: string;
  settings: SeriesSettings;
  seed: number;
  /** Shares of the patients that validate and test. */
  val: number;
  test: number;
  jobs: number;
  contactSheet: number;
  onFile?: (count: number) => void;
  /** Called once the series are known: how many there are, and how many of them are done already. */
  onStart?: (series: number, done: number) => void;
  onSeries?: (record: SeriesRecord) => void;
}

export interface PrepareResult {
  totals: Totals;
  splits: Splits;
  notes: string[];
  /** Series that an earlier run had finished. */
  resumed: number;
  /** What the user should know of single series, a line each. */
  told: string[];
  /** Files of kinds that are not read, with advice. */
  unread: string[];
  /** Why series could not be used, by UID. */
  failures: { seriesUid: string; reason: string }[];
}

/**
 * Prepares everything below `input`. What an earlier run finished with the same sources and settings
 * is kept, so that an interrupted run goes on where it was.
 * @throws InputError if there is nothing to prepare, or nothing of it could be used.
 */
export async function prepare(options: PrepareOptions): Promise<PrepareResult> {
  const { input, out, seed, val, test } = options;
  const planOptions = { ...options, dicom: input };
  const plan = await PLANS[options.kind](planOptions);
  await Deno.mkdir(join(out, RECORDS), { recursive: true });
  await dropStrays(out, new Set(plan.jobs.map((job) => job.id)));
  const todo = [];
  const failures: PrepareResult["failures"] = [];
  const told: string[] = [];
  const noteFailure = ({ seriesUid, patient, scan, failure, told: own }: SeriesRecord) => {
    if (failure) failures.push({ seriesUid, reason: failure });
    for (const note of own) told.push(`${patient}${scan > 1 ? ` scan ${scan}` : ""}: ${note}`);
  };
  for (const job of plan.jobs) {
    const record = await readRecord(job);
    if (record) noteFailure(record);
    else todo.push(job);
  }
  const resumed = plan.jobs.length - todo.length;
  options.onStart?.(plan.jobs.length, resumed);
  await runJobs(todo, options.jobs, (record) => {
    noteFailure(record);
    options.onSeries?.(record);
  });
  const totals = await sumRecords(plan.jobs, plan.rejected);
  if (totals.written === 0) throw nothingWritten(input, totals, failures);
  const splits = splitPatients(totals.patientNames, seed, { val, test });
  const notes = [...plan.notes];
  if (totals.positive === 0) {
    notes.push(
      `no slice has a nodule of ${MIN_NODULE_PIXELS} pixels or more: ${totals.nodules} nodules in ` +
        `${totals.annotation.read.series} series that were read`,
    );
  }
  if (splits.val.length === 0) notes.push(`${totals.patients} patients: all are for training`);
  for (const [name, patients] of Object.entries(splits) as [string, string[]][]) {
    await writeFileAtomic(
      join(out, `${name}_patients.txt`),
      patients.map((p) => `${p}\n`).join(""),
    );
  }
  await writeManifest(out, input, plan.jobs, {
    settings: { ...options.settings, seed, val, test },
    totals,
    splits,
    rejected: plan.rejected,
    notes,
  });
  if (options.contactSheet > 0) await writeContactSheet(out, plan.jobs, options.contactSheet);
  return { totals, splits, notes, told, unread: unreadKinds(plan.others), resumed, failures };
}

function nothingWritten(
  input: string,
  { series, slices, leftOut, values }: Totals,
  failures: PrepareResult["failures"],
): InputError {
  const reasons = Object.entries(leftOut).filter(([, count]) => count > 0)
    .map(([why, count]) => `${count} ${why}`);
  if (leftOut["not annotated"] > 0) {
    reasons.push("no annotation does not mean no nodule: --unannotated negative takes it so");
  }
  if (values) reasons.push(`values ${values[0]} … ${values[1]}`);
  const [first] = failures;
  if (first) {
    reasons.push(`${failures.length} of ${series} series failed: ${first.reason}`);
  }
  return new InputError(
    `No slice of "${input}" could be used: ${slices} read; ${reasons.join("; ")}`,
  );
}

const PLANS: Record<PrepareOptions["kind"], (options: PlanOptions) => Plan | Promise<Plan>> = {
  dicom: planDicom,
  nifti: planNifti,
  luna16: planLuna16,
};

/** Removes unfinished work, and series whose sources are gone, that an earlier run left. */
async function dropStrays(out: string, wanted: ReadonlySet<string>) {
  const folder = join(out, RECORDS);
  for (const entry of [...Deno.readDirSync(folder)]) {
    const path = join(folder, entry.name);
    if (entry.isDirectory && entry.name.startsWith("tmp-")) {
      await Deno.remove(path, { recursive: true });
    } else if (entry.name.endsWith(".json") && !wanted.has(entry.name.slice(0, -5))) {
      try {
        const record = parseJsonFile(await Deno.readTextFile(path), path) as SeriesRecord;
        const { patient, scan } = record;
        if (typeof patient !== "string" || /[/\\_]/.test(patient) || !(scan > 0)) continue;
        await Deno.remove(join(out, "slices", patient, `scan${scan}`), { recursive: true });
      } catch (error) {
        if (!(error instanceof InputError || error instanceof Deno.errors.NotFound)) throw error;
      }
      await Deno.remove(path);
    }
  }
}
