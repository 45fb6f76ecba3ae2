/** Makes small DICOM series, right or wrong in one point, for the tests of the importer. */

import { encodeCtFile, uidOf } from "../../lib/data/dicom_write/ct_file.ts";
import type { Element } from "../../lib/data/dicom_write/element.ts";

export interface SliceOptions {
  z?: number;
  instance?: number;
  size?: number;
  series?: string;
  patient?: string;
  /** Names the SOP instance; else z and instance do. */
  sop?: string;
  intercept?: number;
  pixels?: Int16Array | Uint16Array;
  spacing?: [number, number];
  changes?: [number, Element | null][];
}

/** A file of 20 × 20 pixels unless said otherwise; pixel values are 1024 + the z in mm. */
export function ctBytes(options: SliceOptions = {}): Uint8Array<ArrayBuffer> {
  const { z = 0, instance = 1, size = 20, series = "series", patient = "P1" } = options;
  return encodeCtFile({
    patientId: patient,
    studyUid: uidOf(`study ${patient}`),
    seriesUid: uidOf(series),
    frameOfReferenceUid: uidOf("frame"),
    sopInstance: sopOf(options),
    instanceNumber: instance,
    rows: size,
    columns: size,
    position: [0, 0, z],
    pixelSpacing: options.spacing ?? [1, 1],
    sliceThickness: 3,
    pixels: options.pixels ?? new Int16Array(size * size).fill(1024 + z),
    intercept: options.intercept ?? -1024,
    changes: new Map(options.changes),
  });
}

export function sopOf({ z = 0, instance = 1, series = "series", sop }: SliceOptions): string {
  return uidOf(sop ?? `${series} ${z} ${instance}`);
}

const made: string[] = [];
globalThis.addEventListener("unload", () => {
  for (const folder of made) Deno.removeSync(folder, { recursive: true });
});

/** A new temporary folder; it goes when the tests of the file end. */
export function newFolder(): string {
  const folder = Deno.makeTempDirSync();
  made.push(folder);
  return folder;
}

/** Writes files into a new temporary folder and returns it; names may hold folders. */
export function folderOf(files: Record<string, Uint8Array | string>): string {
  const folder = newFolder();
  for (const [name, content] of Object.entries(files)) {
    const path = `${folder}/${name}`;
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
  }
  return folder;
}
