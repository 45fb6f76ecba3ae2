/** One series of DICOM files as a volume: which slices belong together, in which order. */

import { InputError } from "../../errors.ts";
import { contentExcess } from "../../io/disk.ts";
import { rejection } from "./accept.ts";
import { cross, dot } from "../geometry.ts";
import { frameReader } from "./frames.ts";
import type { DicomHeader, ParsedDicom, Vec3 } from "./header.ts";
import { frameHeaders, isMultiFrameCt } from "./multiframe.ts";
import { readHu } from "./pixels.ts";
import { readHeader, readWhole } from "./read_header.ts";
import { gridOf, SAME_POSITION } from "./split.ts";

/** A file that is not used, and why. */
export interface Rejected {
  file: string;
  reason: string;
}

export interface CtSlice {
  file: string;
  /** Of a multi-frame file: which frame, from 0. */
  frame?: number;
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
  /** Each slice's own share of the height, mm, where slices are unevenly spaced. */
  thickness?: number[];
  /** What the user should know of: gaps, dropped duplicates, mixed sizes. */
  notes: string[];
  /** Those of the notes that are told on the screen. */
  told: string[];
}

/** A distance this many times the median is a gap; from this share of it on, spacing is uneven. */
const GAP = 1.5, UNEVEN = 0.05;
/** A series that loses more of its files than this is told on the screen. */
export const MOST_LOST = 0.1;

/**
 * Reads the series that `files` belong to. Only one file's bytes and the volume are held at a time.
 * @throws InputError where no slice is left; its message says why the files were rejected.
 */
export async function loadSeries(
  files: readonly string[],
  options: ReadOptions = {},
): Promise<CtVolume> {
  const plan = planSeries(files, options);
  const { first, chosen, rejected, notes } = plan;
  const { rows, columns } = first;
  const area = rows * columns;
  const excess = contentExcess(chosen.length * area, [...new Set(chosen.map((s) => s.file))]);
  if (excess) {
    const slices = `${chosen.length} slices of ${columns}×${rows}`;
    throw new InputError(`Cannot read series ${first.seriesUid}: ${slices}: ${excess}`);
  }
  const hu = new Int16Array(chosen.length * area);
  const slices: CtSlice[] = [];
  const read = sliceReader();
  for (const slice of chosen) {
    try {
      const dicom = read(slice);
      const at = slices.length * area;
      await readHu(dicom, hu.subarray(at, at + area));
      slices.push(slice);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      rejected.push({ file: slice.file, reason: error.message });
    }
  }
  if (slices.length === 0) throw nothingLeft(rejected);
  const lost = plan.own - slices.length, told = [...plan.told];
  if (lost > MOST_LOST * plan.own) {
    told.push(`${lost} of its ${plan.own} slices are not used: ${commonest(rejected)}`);
  }
  const { sliceSpacing, thickness } = describeSpacing(slices, notes, told);
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
    thickness,
    notes,
    told,
  };
}

/** Reads slices' files; a multi-frame one stays for its other frames. */
function sliceReader(): (slice: CtSlice) => ParsedDicom {
  let file = "", headers: DicomHeader[] = [], pixels: ((frame: number) => ParsedDicom) | undefined;
  return (slice) => {
    if (slice.frame === undefined) return readWhole(slice.file);
    if (slice.file !== file || !pixels) {
      const whole = readWhole(slice.file);
      headers = frameHeaders(whole);
      try {
        pixels = frameReader(whole);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new InputError(`Cannot read the pixels of "${slice.file}": ${reason}`);
      }
      file = slice.file;
    }
    const own = pixels(slice.frame), { pixelData } = own.header;
    return { bytes: own.bytes, header: { ...headers[slice.frame], pixelData } };
  };
}

/** The reason that most files share, without what is particular of one. */
function commonest(rejected: readonly Rejected[]): string {
  const kinds = Map.groupBy(rejected, ({ reason }) => reason.replace(/".*?"|[-0-9.]+/g, "#"));
  const [most] = [...kinds.values()].sort((a, b) => b.length - a.length);
  return most ? `${most.length} × ${most[0].reason}` : "no reason known";
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

export interface ReadOptions {
  /** Take DERIVED and SECONDARY slices too. */
  derived?: boolean;
}

interface SeriesPlan {
  first: DicomHeader;
  chosen: CtSlice[];
  rejected: Rejected[];
  notes: string[];
  told: string[];
  /** Files without their copies. */
  own: number;
}

/** Which files make the volume, in order, by their headers alone. @throws InputError if none. */
export function planSeries(files: readonly string[], { derived }: ReadOptions = {}): SeriesPlan {
  const rejected: Rejected[] = [], notes: string[] = [];
  const groups = new Map<string, DicomHeader[]>();
  let count = 0;
  for (const file of [...files].sort()) {
    let headers: DicomHeader[];
    try {
      const parsed = readHeader(file);
      if (!parsed) throw new InputError("not a DICOM file");
      headers = isMultiFrameCt(parsed.header.sopClass) ? frameHeaders(parsed) : [parsed.header];
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      rejected.push({ file, reason: error.message });
      continue;
    }
    for (const header of headers) {
      const reason = rejection(header, derived);
      if (reason) {
        rejected.push({ file, reason });
        continue;
      }
      const key = `${gridOf(header)} ${header.seriesUid}`, group = groups.get(key);
      if (group) group.push(header);
      else groups.set(key, [header]);
      count++;
    }
  }
  // The largest group wins; of equals the first in file order, so that a rerun agrees.
  const [largest, ...others] = [...groups.values()].sort((a, b) => b.length - a.length);
  if (!largest) throw nothingLeft(rejected);
  for (const group of others) {
    const difference = describeDifference(group[0], largest[0]);
    notes.push(`${group.length} slices left out: ${difference} (kept ${largest.length})`);
    for (const h of group) rejected.push({ file: h.file, reason: `inconsistent: ${difference}` });
  }
  const told: string[] = [];
  if (largest.some((h) => h.rescale === "missing")) {
    told.push("RescaleIntercept is missing: stored values are taken as HU");
  }
  const { chosen, copies } = withoutDuplicates(largest, rejected, notes);
  const sops = new Set(chosen.map((slice) => slice.sopInstance));
  if (sops.size < chosen.length) {
    told.push(`its ${chosen.length} slices have ${sops.size} SOP instance UIDs between them`);
  }
  return {
    first: largest[0],
    chosen,
    rejected,
    notes,
    told,
    own: Math.max(files.length, count) - copies,
  };
}

function describeDifference(h: DicomHeader, kept: DicomHeader): string {
  if (h.rows !== kept.rows || h.columns !== kept.columns) {
    return `${h.columns}×${h.rows} pixels among ${kept.columns}×${kept.rows}`;
  }
  if (h.seriesUid !== kept.seriesUid) return "another series";
  const a = h.pixelSpacing!.join("\\"), b = kept.pixelSpacing!.join("\\");
  return a !== b ? `pixel spacing ${a} mm among ${b} mm` : "another orientation";
}

/**
 * One slice for each position. A copy is equal in position and pixels, whatever its UID: files of
 * one SOPInstanceUID that differ are different slices.
 */
function withoutDuplicates(
  headers: DicomHeader[],
  rejected: Rejected[],
  notes: string[],
): { chosen: CtSlice[]; copies: number } {
  const normal = cross(headers[0].row!, headers[0].column!);
  const slices = headers.map((h): CtSlice => ({
    file: h.file,
    frame: h.frame,
    sopInstance: h.sopInstance,
    instanceNumber: h.instanceNumber,
    z: dot(h.position!, normal),
    position: h.position!,
  }));
  slices.sort((a, b) => a.z - b.z || a.instanceNumber - b.instanceNumber);
  const kept: CtSlice[] = [];
  let copies = 0;
  for (const slice of slices) {
    const before = kept.at(-1);
    if (!before || slice.z - before.z > SAME_POSITION) {
      kept.push(slice);
      continue;
    }
    if (slice.frame !== undefined) {
      throw new InputError(
        `Cannot read "${slice.file}": frames ${before.frame! + 1} and ${
          slice.frame + 1
        } are at one ` +
          "position: several volumes in one file; export each alone",
      );
    }
    if (equalPixels(slice.file, before.file)) {
      copies++;
      const reason = `a copy of SOP instance ${before.sopInstance}`;
      rejected.push({ file: slice.file, reason });
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
  return { chosen: kept, copies };
}

/** Are the pixel data of two files the same bytes? */
function equalPixels(a: string, b: string): boolean {
  try {
    const [one, other] = [a, b].map((file) => {
      const { header, bytes } = readWhole(file), { offset, length } = header.pixelData!;
      return bytes.subarray(offset, length < 0 ? undefined : offset + length);
    });
    return one.length === other.length && one.every((byte, i) => byte === other[i]);
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
}

function describeSpacing(
  slices: CtSlice[],
  notes: string[],
  told: string[],
): { sliceSpacing: number; thickness?: number[] } {
  const distances = slices.slice(1).map((slice, i) => slice.z - slices[i].z);
  if (distances.length === 0) return { sliceSpacing: 0 };
  const sorted = distances.toSorted((a, b) => a - b), median = sorted[distances.length >> 1];
  distances.forEach((distance, i) => {
    if (distance > GAP * median) {
      notes.push(
        `gap of ${distance.toFixed(3)} mm between z = ${slices[i].z.toFixed(3)} and ` +
          `${slices[i + 1].z.toFixed(3)} (slices are ${median.toFixed(3)} mm apart)`,
      );
    }
  });
  const [least, most] = [sorted[0], sorted[sorted.length - 1]];
  if (Math.max(median - least, most - median) < UNEVEN * median) return { sliceSpacing: median };
  told.push(
    `slices are unevenly spaced: ${least.toFixed(3)} to ${most.toFixed(3)} mm apart, median ` +
      `${median.toFixed(3)}; volumes use each slice's own`,
  );
  // Half of the way to either neighbour; at the ends the way to the only one.
  const thickness = slices.map((_, i) =>
    ((distances[i - 1] ?? distances[i]) + (distances[i] ?? distances[i - 1])) / 2
  );
  return { sliceSpacing: median, thickness };
}
