/** One series of DICOM files as a volume: which slices belong together, in which order. */

import { InputError } from "../../errors.ts";
import { contentExcess } from "../../io/disk.ts";
import { rejection } from "./accept.ts";
import { cross } from "../geometry.ts";
import type { DicomHeader, Vec3 } from "./header.ts";
import { decodePixels, toHu } from "./pixels.ts";
import { readHeader, readWhole } from "./read_header.ts";

/** A file that is not used, and why. */
export interface Rejected {
  file: string;
  reason: string;
}

export interface CtSlice {
  file: string;
  sopInstance: string;
  instanceNumber: number;
  /** Position along the stacking direction, mm; for an untilted scan the z of the patient. */
  z: number;
  /** Centre of the first pixel in patient coordinates, mm. */
  position: Vec3;
}

export interface CtVolume {
  patientId: string;
  studyUid: string;
  seriesUid: string;
  rows: number;
  columns: number;
  /** mm between rows, between columns. */
  pixelSpacing: [number, number];
  /** Median distance of neighbouring slices, mm; 0 for a single slice. */
  sliceSpacing: number;
  /** Directions of increasing column, of increasing row, and of stacking. */
  row: Vec3;
  column: Vec3;
  normal: Vec3;
  /** In geometric order. */
  slices: CtSlice[];
  /** Hounsfield units, slices × rows × columns. */
  hu: Int16Array;
  rejected: Rejected[];
  /** What the user should know of: gaps, dropped duplicates, mixed sizes. */
  notes: string[];
}

/** Positions closer than this, mm, are the same slice twice. */
const SAME_POSITION = 0.01;
/** A distance this many times the median is a gap. */
const GAP = 1.5;

/**
 * Reads the series that `files` belong to. Only one file's bytes and the volume are held at a time.
 * @throws InputError where no slice is left; its message says why the files were rejected.
 */
export async function loadSeries(files: readonly string[]): Promise<CtVolume> {
  const plan = planSeries(files);
  const { first, chosen, rejected, notes } = plan;
  const { rows, columns } = first;
  const area = rows * columns;
  const excess = contentExcess(chosen.length * area, chosen.map(({ file }) => file));
  if (excess) {
    const slices = `${chosen.length} slices of ${columns}×${rows}`;
    throw new InputError(`Cannot read series ${first.seriesUid}: ${slices}: ${excess}`);
  }
  const hu = new Int16Array(chosen.length * area);
  const slices: CtSlice[] = [];
  for (const slice of chosen) {
    try {
      const dicom = readWhole(slice.file);
      const { slope, intercept } = dicom.header;
      const at = slices.length * area;
      toHu(await decodePixels(dicom), slope, intercept, hu.subarray(at, at + area));
      slices.push(slice);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      rejected.push({ file: slice.file, reason: error.message });
    }
  }
  if (slices.length === 0) throw nothingLeft(rejected);
  const sliceSpacing = describeSpacing(slices, notes);
  return {
    patientId: first.patientId,
    studyUid: first.studyUid,
    seriesUid: first.seriesUid,
    rows,
    columns,
    pixelSpacing: first.pixelSpacing!,
    sliceSpacing,
    row: first.row!,
    column: first.column!,
    normal: cross(first.row!, first.column!),
    slices,
    hu: hu.subarray(0, slices.length * area),
    rejected,
    notes,
  };
}

function nothingLeft(rejected: Rejected[]): InputError {
  const [example] = rejected;
  return new InputError(
    example
      ? `no usable slice among ${rejected.length} files; the first is "${example.file}": ` +
        example.reason
      : "no usable slice: no files were given",
  );
}

interface SeriesPlan {
  first: DicomHeader;
  chosen: CtSlice[];
  rejected: Rejected[];
  notes: string[];
}

/** Which files make the volume, in order, by their headers alone. @throws InputError if none. */
export function planSeries(files: readonly string[]): SeriesPlan {
  const rejected: Rejected[] = [], notes: string[] = [];
  const groups = new Map<string, DicomHeader[]>();
  for (const file of [...files].sort()) {
    let header: DicomHeader;
    try {
      const parsed = readHeader(file);
      if (!parsed) throw new InputError("not a DICOM file");
      header = parsed.header;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      rejected.push({ file, reason: error.message });
      continue;
    }
    const reason = rejection(header);
    if (reason) {
      rejected.push({ file, reason });
      continue;
    }
    const key = consistencyKey(header);
    groups.set(key, [...groups.get(key) ?? [], header]);
  }
  // The largest group wins; of equals the first in file order, so that a rerun agrees.
  const [largest, ...others] = [...groups.values()].sort((a, b) => b.length - a.length);
  if (!largest) throw nothingLeft(rejected);
  for (const group of others) {
    const difference = describeDifference(group[0], largest[0]);
    notes.push(`${group.length} slices left out: ${difference} (kept ${largest.length})`);
    for (const h of group) rejected.push({ file: h.file, reason: `inconsistent: ${difference}` });
  }
  const chosen = withoutDuplicates(largest, rejected, notes);
  return { first: largest[0], chosen, rejected, notes };
}

function consistencyKey(h: DicomHeader): string {
  const round = (value: number) => Math.round(value * 1000);
  return [
    h.rows,
    h.columns,
    ...h.pixelSpacing!.map(round),
    ...h.row!.map(round),
    ...h.column!.map(round),
    h.seriesUid,
  ].join(" ");
}

function describeDifference(h: DicomHeader, kept: DicomHeader): string {
  if (h.rows !== kept.rows || h.columns !== kept.columns) {
    return `${h.columns}×${h.rows} pixels among ${kept.columns}×${kept.rows}`;
  }
  if (h.seriesUid !== kept.seriesUid) return "another series";
  const a = h.pixelSpacing!.join("\\"), b = kept.pixelSpacing!.join("\\");
  return a !== b ? `pixel spacing ${a} mm among ${b} mm` : "another orientation";
}

function withoutDuplicates(
  headers: DicomHeader[],
  rejected: Rejected[],
  notes: string[],
): CtSlice[] {
  const normal = cross(headers[0].row!, headers[0].column!);
  const bySop = new Set<string>();
  const slices: CtSlice[] = [];
  for (const h of headers) {
    if (bySop.has(h.sopInstance)) {
      rejected.push({ file: h.file, reason: `a copy: SOP instance ${h.sopInstance} came before` });
      continue;
    }
    bySop.add(h.sopInstance);
    const p = h.position!;
    slices.push({
      file: h.file,
      sopInstance: h.sopInstance,
      instanceNumber: h.instanceNumber,
      z: p[0] * normal[0] + p[1] * normal[1] + p[2] * normal[2],
      position: p,
    });
  }
  slices.sort((a, b) => a.z - b.z || a.instanceNumber - b.instanceNumber);
  const kept: CtSlice[] = [];
  for (const slice of slices) {
    const before = kept.at(-1);
    if (!before || slice.z - before.z > SAME_POSITION) {
      kept.push(slice);
      continue;
    }
    // Positions a hair apart may come in either order of InstanceNumber.
    const isLower = slice.instanceNumber < before.instanceNumber;
    const [stays, goes] = isLower ? [slice, before] : [before, slice];
    kept[kept.length - 1] = stays;
    const reason = `a second slice at ${slice.z.toFixed(3)} mm: instance ${goes.instanceNumber}, ` +
      `kept ${stays.instanceNumber}`;
    rejected.push({ file: goes.file, reason });
    notes.push(`duplicate position: ${reason}`);
  }
  return kept;
}

function describeSpacing(slices: CtSlice[], notes: string[]): number {
  const distances = slices.slice(1).map((slice, i) => slice.z - slices[i].z);
  if (distances.length === 0) return 0;
  const median = distances.toSorted((a, b) => a - b)[distances.length >> 1];
  distances.forEach((distance, i) => {
    if (distance > GAP * median) {
      notes.push(
        `gap of ${distance.toFixed(3)} mm between z = ${slices[i].z.toFixed(3)} and ` +
          `${slices[i + 1].z.toFixed(3)} (slices are ${median.toFixed(3)} mm apart)`,
      );
    }
  });
  return median;
}
