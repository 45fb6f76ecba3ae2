/** What the importer needs of a DICOM file's header, on dicom-parser, safe on any bytes. */

import { InputError } from "../../errors.ts";
import { LIMITS } from "../../io/limits.ts";
import type { DataSet as FullDataSet } from "dicom-parser";
import { parseDicomBounded } from "./bounded.ts";
import { withPreamble } from "./preamble.ts";
import type { Vec3 } from "../geometry.ts";
import { TRANSFER_SYNTAXES } from "./transfer_syntax.ts";

export type { Vec3 };

export interface DicomHeader {
  file: string;
  /** Of a multi-frame file: which frame, from 0. */
  frame?: number;
  transferSyntax: string;
  sopClass: string;
  sopInstance: string;
  studyUid: string;
  seriesUid: string;
  patientId: string;
  modality: string;
  imageType: string[];
  /** Pixels; 0 where the tag is missing, like every number below unless said otherwise. */
  rows: number;
  columns: number;
  samplesPerPixel: number;
  photometric: string;
  frames: number;
  bitsAllocated: number;
  bitsStored: number;
  highBit: number;
  signed: boolean;
  /** HU = raw · slope + intercept; 1 and 0 where missing. */
  slope: number;
  intercept: number;
  /** What is wrong with taking that for HU: no RescaleIntercept, another RescaleType. */
  rescale: "HU" | "missing" | "other";
  rescaleType: string;
  /** It has a Modality LUT Sequence in the place of slope and intercept. */
  hasModalityLut: boolean;
  /** Stored values, first and last, that are no measurement: PixelPaddingValue and …RangeLimit. */
  padding: [number, number] | null;
  instanceNumber: number;
  /** Of {@link VOLUME_TAGS}, in their order: equal within one volume. */
  tells: string[];
  /** AcquisitionDate and -Time, ContentDate and -Time: digits that sort by time; "" where missing. */
  times: [string, string];
  /** Stands for the patient where PatientID is missing: name, birth date, sex. Never written. */
  person: string;
  /** Centre of the first pixel; null where missing or unreadable. */
  position: Vec3 | null;
  /** Direction of increasing column, then of increasing row. */
  row: Vec3 | null;
  column: Vec3 | null;
  /** Millimetres between rows, then between columns. */
  pixelSpacing: [number, number] | null;
  /** Where the pixel data starts and its length in bytes; -1 when encapsulated; null when absent. */
  pixelData: { offset: number; length: number } | null;
}

/** Attributes that differ between volumes which share one SeriesInstanceUID. */
export const VOLUME_TAGS = {
  AcquisitionNumber: "x00200012",
  TemporalPositionIdentifier: "x00200100",
  NominalPercentageOfCardiacPhase: "x00209241",
  EchoNumbers: "x00180086",
  ConvolutionKernel: "x00181210",
  FilterType: "x00181160",
  SeriesNumber: "x00200011",
  SeriesDescription: "x0008103e",
  FrameOfReferenceUID: "x00200052",
  ImageType: "x00080008",
  ContrastBolusAgent: "x00180010",
  KVP: "x00180060",
  SliceThickness: "x00180050",
  ReconstructionDiameter: "x00181100",
  SeriesTime: "x00080031",
} as const;

/** A header with the bytes its offsets point into (inflated, if the file was deflated). */
export interface ParsedDicom {
  header: DicomHeader;
  bytes: Uint8Array;
  /** All elements before the pixel data. */
  data?: FullDataSet;
}

interface Element {
  tag: string;
  length: number;
  dataOffset: number;
  hadUndefinedLength?: boolean;
}
interface DataSet {
  elements: Record<string, Element>;
  string(tag: string): string | undefined;
  uint16(tag: string): number | undefined;
}

/** 1.2.840.10008.1.2 … : digits and dots, at most 64 characters (PS3.5 section 9). */
const UID = /^[0-9.]{1,64}$/;

/**
 * Parses everything before the pixel data. `bytes` may end anywhere after the start of the pixel
 * data; {@link parseHeader} of a shorter piece throws.
 * @param file the file's name, for messages.
 * @throws InputError naming `file` and the reason, whatever the bytes are.
 */
export function parseHeader(bytes: Uint8Array, file: string): ParsedDicom {
  const fail = (why: string) => new InputError(`Cannot read "${file}": ${why}`);
  const whole = withPreamble(bytes);
  if (!whole) throw fail("not a DICOM file (no DICM marker)");
  try {
    const parsed = parseDicomBounded(whole, {
      untilTag: "x7fe00010",
      header: LIMITS.dicom.header,
    });
    return { header: headerOf(parsed.data, file), bytes: parsed.bytes, data: parsed.data };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`Cannot read "${file}": damaged DICOM header: ${reason}`, {
      cause: error,
    });
  }
}

export function headerOf(data: DataSet, file: string): DicomHeader {
  const text = (tag: string): string => {
    const element = data.elements[tag];
    if (!element || element.length === 0) return "";
    if (element.length > LIMITS.dicom.value) {
      throw new Error(`${tag} is ${element.length} bytes long`);
    }
    return (data.string(tag) ?? "").trim();
  };
  const uid = (tag: string): string => {
    const value = text(tag);
    if (value !== "" && !UID.test(value)) throw new Error(`${tag} is not a UID`);
    return value;
  };
  const numbers = (tag: string, count: number): number[] | null => {
    const value = text(tag);
    if (value === "") return null;
    const parts = value.split("\\").map(decimal);
    return parts.length === count && parts.every(Number.isFinite) ? parts : null;
  };
  const short = (tag: string): number => {
    const element = data.elements[tag];
    return element && element.length >= 2 ? data.uint16(tag) ?? 0 : 0;
  };
  const scalar = (tag: string, missing: number): number => {
    const value = text(tag);
    if (value === "") return missing;
    const number = decimal(value.split("\\")[0]);
    if (!Number.isFinite(number)) throw new Error(`${tag} "${value}" is not a number`);
    return number;
  };
  const orientation = numbers("x00200037", 6);
  const pixels = data.elements.x7fe00010;
  const isSigned = short("x00280103") === 1;
  const stored = (tag: string): number | null => {
    const element = data.elements[tag];
    if (!element || element.length !== 2) return null;
    return isSigned ? short(tag) << 16 >> 16 : short(tag);
  };
  const padding = stored("x00280120"), paddingLimit = stored("x00280121") ?? padding;
  // Of a damaged file no text is worth a refusal here.
  const loose = (tag: string): string => {
    const element = data.elements[tag];
    return element && element.length <= LIMITS.dicom.value ? (data.string(tag) ?? "").trim() : "";
  };
  const rescaleType = text("x00281054").toUpperCase();
  const bitsAllocated = short("x00280100");
  const bitsStored = short("x00280101") || bitsAllocated;
  return {
    file,
    transferSyntax: uid("x00020010"),
    sopClass: uid("x00080016"),
    sopInstance: uid("x00080018"),
    studyUid: uid("x0020000d"),
    seriesUid: uid("x0020000e"),
    patientId: text("x00100020"),
    modality: text("x00080060"),
    imageType: text("x00080008").split("\\").map((part) => part.trim().toUpperCase())
      .filter((part) => part !== ""),
    rows: short("x00280010"),
    columns: short("x00280011"),
    samplesPerPixel: short("x00280002") || 1,
    photometric: text("x00280004"),
    frames: scalar("x00280008", 1),
    bitsAllocated,
    bitsStored,
    highBit: data.elements.x00280102 ? short("x00280102") : bitsStored - 1,
    signed: isSigned,
    slope: scalar("x00281053", 1),
    intercept: scalar("x00281052", 0),
    rescale: text("x00281052") === ""
      ? "missing"
      : rescaleType === "" || rescaleType === "HU" || rescaleType === "US"
      ? "HU"
      : "other",
    rescaleType,
    hasModalityLut: data.elements.x00283000 !== undefined,
    padding: padding === null
      ? null
      : [Math.min(padding, paddingLimit!), Math.max(padding, paddingLimit!)],
    instanceNumber: scalar("x00200013", 0),
    tells: Object.values(VOLUME_TAGS).map(loose),
    times: [
      loose("x00080022") + loose("x00080032"),
      loose("x00080023") + loose("x00080033"),
    ],
    person: ["x00100010", "x00100030", "x00100040"].map(loose).join("^"),
    position: numbers("x00200032", 3) as Vec3 | null,
    row: orientation && orientation.slice(0, 3) as Vec3,
    column: orientation && orientation.slice(3) as Vec3,
    pixelSpacing: numbers("x00280030", 2) as [number, number] | null,
    pixelData: pixels
      ? {
        offset: pixels.dataOffset,
        length: pixels.hadUndefinedLength ? -1 : pixels.length,
      }
      : null,
  };
}

/** A DS or IS value. Number() alone would take "" and "0x10". */
function decimal(text: string): number {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(text) ? Number(text) : NaN;
}

/** Does the header's transfer syntax keep the data set after the meta group deflated? */
export function isDeflated(uid: string): boolean {
  return TRANSFER_SYNTAXES[uid]?.deflated === true;
}
