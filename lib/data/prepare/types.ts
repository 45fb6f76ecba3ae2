/** What the parts of `prepare` hand to each other; all of it plain JSON. */

import type { Rejected } from "../dicom/series.ts";
import type { Characteristics } from "../lidc/xml.ts";
import type { LabelChoice } from "./labels.ts";

/** What decides the content of a series' files; a change makes them anew. */
export interface SeriesSettings {
  /** Slices with less lung than this share of the image are left out. */
  minLung: number;
  /** Share of the marking readers who must agree on a nodule's pixel. */
  consensus: number;
  /** Nodules that fewer readers marked are taken as small ones: neither positive nor negative. */
  minReaders: number;
  /** mm within which outlines are of one nodule; 0: the slice spacing. */
  tolerance: number;
  /** Radius of the disc that closes the lung mask, mm. */
  closing: number;
  /** What becomes of series without a readable annotation: they do not say "no nodule". */
  unannotated: "leave-out" | "negative";
  /** Take values that are no HU as they are. */
  anyValues: boolean;
  /** Take mask files' voxels in order, whatever their affine says. */
  maskByIndex: boolean;
  noduleLabels: LabelChoice;
  lungLabels: LabelChoice;
  /** Names of the segments or regions that are nodules and lungs; null: those that are known. */
  noduleRois: string[] | null;
  lungRois: string[] | null;
  /** Take DERIVED and SECONDARY axial slices too. */
  derived: boolean;
}

export const DEFAULT_SETTINGS: SeriesSettings = {
  minLung: 0.15,
  consensus: 0.5,
  minReaders: 1,
  tolerance: 0,
  closing: 5,
  unannotated: "leave-out",
  anyValues: false,
  maskByIndex: false,
  noduleLabels: null,
  lungLabels: null,
  noduleRois: null,
  lungRois: null,
  derived: false,
};

/** A volume's file with what is known of its nodules. */
export interface VolumeSource {
  kind: "nifti";
  volume: string;
  /** Its nodules' mask. */
  nodules: string | null;
  /** Its nodules as spheres; an empty list: it was read, and has none. */
  spheres?: Sphere[];
  /** Findings that are neither nodules nor none. */
  doubtful?: Sphere[];
}

/** Centre in LPS mm. */
export interface Sphere {
  centre: [number, number, number];
  diameterMm: number;
}

/** Has somebody looked for nodules? `unreadable`: there is a reading, but it cannot be used. */
export type AnnotationState = "read" | "none" | "unreadable";

/** One series to prepare. */
export interface SeriesJob {
  /** Names the record and the temporary folder: letters, digits, dots and dashes. */
  id: string;
  source:
    | { kind: "dicom"; files: string[] }
    | VolumeSource;
  seriesUid: string;
  studyUid: string;
  /** As written in file names: no `_`. */
  patient: string;
  /** From 1: which scan of the patient. */
  scan: number;
  annotations: string[];
  /** DICOM SEG and RTSTRUCT that were made on it. */
  objects?: string[];
  /** Why annotation files that seem to be of this series cannot be read. */
  unreadable: string[];
  /** Lung masks made elsewhere: a volume's file, or a folder of slices by SOP instance UID. */
  lungMasks: LungMaskFiles | null;
  settings: SeriesSettings;
  out: string;
  /** Folder that source files are named relative to. */
  root: string;
  /** Of sources, their sizes and times, and settings. */
  key: string;
  notes: string[];
}

export type LungMaskFiles =
  | { volume: string }
  /** With LUNA16's values. */
  | { luna16: string }
  | { folder: string; state: string }
  /** A file for each part of a lung; `both` where left and right are not told apart. */
  | { parts: { right: string[]; left: string[]; both: string[] } };

export interface SliceEntry {
  /** Relative to the folder of sources. */
  source: string;
  sopInstance: string;
  z: number;
  /** Share of the image; right and left lung in pixels. */
  lung: number;
  rightPixels: number;
  leftPixels: number;
  label: 0 | 1;
  nodulePixels: number;
  /** Indices into the series' nodules. */
  nodules: number[];
  /** The CT file below the output folder; null where the slice is left out. */
  output: string | null;
  leftOut: LeftOut | null;
}

export const LEFT_OUT = [
  "little lung",
  "small nodules only",
  "not annotated",
  "annotation unreadable",
  "outline unreadable",
] as const;
export type LeftOut = (typeof LEFT_OUT)[number];

export interface NoduleEntry {
  readers: number;
  volumeMm3: number;
  diameterMm: number;
  slices: number;
  characteristics: Characteristics | null;
}

/** What is known of a prepared series: its part of the manifest. */
export interface SeriesRecord {
  version: number;
  key: string;
  patient: string;
  scan: number;
  seriesUid: string;
  studyUid: string;
  rows: number;
  columns: number;
  pixelSpacing: [number, number];
  sliceSpacing: number;
  annotation: AnnotationState;
  lungMasks: "rules" | "given";
  /** Least and largest value, before masks and labels; null where none was read. */
  values: [number, number] | null;
  rightLungMl: number;
  leftLungMl: number;
  slices: SliceEntry[];
  nodules: NoduleEntry[];
  smallMarks: number;
  nonNodules: number;
  marks: number;
  rejected: Rejected[];
  notes: string[];
  /** Those of the notes that are told on the screen. */
  told: string[];
  /** Why nothing of the series could be used; everything else is then empty. */
  failure: string | null;
}

/** Raised when the files written for a series change in form or meaning. */
export const RECORD_VERSION = 2;

/** Names of the files of one slice, without folder. */
export function sliceNames(patient: string, scan: number, index: number) {
  const prefix = scan === 1 ? patient : `${patient}_s${scan}`;
  const n = String(index).padStart(3, "0");
  return {
    ct: `${prefix}_slice_${n}.npy`,
    lung: `${prefix}_lung_mask_${n}.npy`,
    nodule: `${prefix}_nodule_mask_${n}.npy`,
    combined: `${prefix}_combined_mask_${n}.npy`,
  };
}

/** What a worker answers; an error travels as its message. */
export type Answer = { record: SeriesRecord } | { error: string; isInput?: boolean };
