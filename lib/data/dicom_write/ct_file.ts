/** A CT image as a DICOM file: the CT Image Storage object of PS3.3 A.3, explicit little endian. */

import { createHash } from "node:crypto";
import { type Element, encodeElements, join } from "./element.ts";

export interface CtFile {
  patientId: string;
  studyUid: string;
  seriesUid: string;
  frameOfReferenceUid: string;
  sopInstance: string;
  instanceNumber: number;
  rows: number;
  columns: number;
  /** mm. */
  position: readonly [number, number, number];
  pixelSpacing: readonly [number, number];
  sliceThickness: number;
  /** Stored values; Int16Array makes PixelRepresentation 1. HU = stored + intercept. */
  pixels: Int16Array | Uint16Array;
  intercept: number;
  pixelPaddingValue?: number;
  /** Replace or, with a null value, remove elements; for files that are wrong on purpose. */
  changes?: ReadonlyMap<number, Element | null>;
}

const CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1";
/** Identifies this writer (PS3.10 section 7.1); of the UUID form, so that no root is needed. */
const IMPLEMENTATION = uidOf("lung-ddpm phantom writer");

/** A UID of the form 2.25.<number> (PS3.5 annex B.2) that stands for `name`. */
export function uidOf(name: string): string {
  const hex = createHash("sha256").update(name).digest("hex").slice(0, 31);
  return `2.25.${BigInt(`0x${hex}`)}`;
}

export function encodeCtFile(file: CtFile): Uint8Array<ArrayBuffer> {
  const signed = file.pixels instanceof Int16Array;
  const bytes = new Uint8Array(
    file.pixels.buffer,
    file.pixels.byteOffset,
    file.pixels.byteLength,
  );
  const elements: Element[] = [
    [0x00080005, "CS", "ISO_IR 100"],
    [0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"],
    [0x00080016, "UI", CT_IMAGE_STORAGE],
    [0x00080018, "UI", file.sopInstance],
    [0x00080020, "DA", "20000101"],
    [0x00080030, "TM", "000000"],
    [0x00080050, "SH", ""],
    [0x00080060, "CS", "CT"],
    [0x00080070, "LO", "Phantom"],
    [0x00080090, "PN", ""],
    [0x00100010, "PN", `Phantom^${file.patientId}`],
    [0x00100020, "LO", file.patientId],
    [0x00100030, "DA", ""],
    [0x00100040, "CS", ""],
    [0x00180015, "CS", "CHEST"],
    [0x00180050, "DS", file.sliceThickness],
    [0x00180060, "DS", 120],
    [0x00185100, "CS", "HFS"],
    [0x0020000d, "UI", file.studyUid],
    [0x0020000e, "UI", file.seriesUid],
    [0x00200010, "SH", "1"],
    [0x00200011, "IS", "1"],
    [0x00200012, "IS", "1"],
    [0x00200013, "IS", String(file.instanceNumber)],
    [0x00200032, "DS", file.position],
    [0x00200037, "DS", [1, 0, 0, 0, 1, 0]],
    [0x00200052, "UI", file.frameOfReferenceUid],
    [0x00201040, "LO", ""],
    [0x00280002, "US", 1],
    [0x00280004, "CS", "MONOCHROME2"],
    [0x00280010, "US", file.rows],
    [0x00280011, "US", file.columns],
    [0x00280030, "DS", file.pixelSpacing],
    [0x00280100, "US", 16],
    [0x00280101, "US", 16],
    [0x00280102, "US", 15],
    [0x00280103, "US", signed ? 1 : 0],
    [0x00281052, "DS", file.intercept],
    [0x00281053, "DS", 1],
    [0x00281054, "LO", "HU"],
    [0x7fe00010, "OW", bytes],
  ];
  if (file.pixelPaddingValue !== undefined) {
    elements.push([0x00280120, signed ? "SS" : "US", file.pixelPaddingValue]);
  }
  const data = new Map(elements.map((element) => [element[0], element]));
  for (const [tag, element] of file.changes ?? []) {
    if (element) data.set(tag, element);
    else data.delete(tag);
  }
  const all = [...data.values()];
  const isMeta = ([tag]: Element) => tag >>> 16 === 2;
  const text = (tag: number) => String(data.get(tag)?.[2] ?? "");
  return encodeFile(all.filter((e) => !isMeta(e)), {
    sopClass: text(0x00080016),
    sopInstance: text(0x00080018),
    transferSyntax: text(0x00020010) || EXPLICIT_LITTLE_ENDIAN,
  });
}

/** A DICOM file (PS3.10) of these elements, which are encoded explicit little endian. */
export function encodeFile(
  elements: readonly Element[],
  meta: { sopClass: string; sopInstance: string; transferSyntax: string },
): Uint8Array<ArrayBuffer> {
  const group = encodeElements([
    [0x00020001, "OB", new Uint8Array([0, 1])],
    [0x00020002, "UI", meta.sopClass],
    [0x00020003, "UI", meta.sopInstance],
    [0x00020010, "UI", meta.transferSyntax],
    [0x00020012, "UI", IMPLEMENTATION],
    [0x00020013, "SH", "LUNG-DDPM"],
  ]);
  const preamble = new Uint8Array(132);
  preamble.set(new TextEncoder().encode("DICM"), 128);
  const length = encodeElements([[0x00020000, "UL", group.length]]);
  return join([preamble, length, group, encodeElements(elements)]);
}
