/** Masks that DICOM keeps in objects of their own (SEG, RTSTRUCT), laid upon a CT volume. */

import { InputError } from "../../errors.ts";
import { readFileBounded } from "../../io/read.ts";
import { LIMITS } from "../../io/limits.ts";
import { parseDicomBounded } from "./bounded.ts";
import type { Region } from "./mask_grid.ts";
import { itemsOf, textOf } from "./nested.ts";
import { parseSeg } from "./seg.ts";
import { parseStructureSet } from "./structure_set.ts";

export const SEG = "1.2.840.10008.5.1.4.1.1.66.4";
export const RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3";

export function isMaskObject(sopClass: string): boolean {
  return sopClass === SEG || sopClass === RTSTRUCT;
}

export interface MaskObject {
  file: string;
  kind: "SEG" | "RTSTRUCT";
  /** SeriesInstanceUIDs of the images that it was made on. */
  series: string[];
  regions: Region[];
}

/** @throws InputError naming the file and the reason. */
export async function readMaskObject(path: string): Promise<MaskObject> {
  return await parseMaskObject(await readFileBounded(path, LIMITS.dicom.file), path);
}

/** Of which series' images, or at least of which study, an object is. */
export interface References {
  series: string[];
  studyUid: string;
}

/** @throws InputError naming the file and the reason. */
export async function readReferences(path: string): Promise<References> {
  const bytes = await readFileBounded(path, LIMITS.dicom.file);
  try {
    const { data } = parseDicomBounded(bytes, {
      untilTag: "x7fe00010",
      elements: LIMITS.dicomObject.elements,
    });
    return { series: seriesOf(data), studyUid: textOf(data, "x0020000d") };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`Cannot read "${path}": ${reason}`);
  }
}

/** @throws InputError naming `name` and the reason, whatever the bytes are. */
export async function parseMaskObject(bytes: Uint8Array, name: string): Promise<MaskObject> {
  try {
    const { data, bytes: whole } = parseDicomBounded(bytes, {
      elements: LIMITS.dicomObject.elements,
    });
    const sopClass = textOf(data, "x00080016");
    if (!isMaskObject(sopClass)) throw new Error(`SOP class ${sopClass}`);
    const regions = sopClass === SEG ? await parseSeg(data, whole, name) : parseStructureSet(data);
    return {
      file: name,
      kind: sopClass === SEG ? "SEG" : "RTSTRUCT",
      series: seriesOf(data),
      regions,
    };
  } catch (error) {
    if (error instanceof InputError || error instanceof Deno.errors.NotCapable) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`Cannot read "${name}": ${reason}`);
  }
}

/** Of SEG: ReferencedSeriesSequence. Of RTSTRUCT: three sequences deep. */
function seriesOf(data: Parameters<typeof itemsOf>[0]): string[] {
  const direct = itemsOf(data, "x00081115");
  const nested = itemsOf(data, "x30060010").flatMap((frame) =>
    itemsOf(frame, "x30060012").flatMap((study) => itemsOf(study, "x30060014"))
  );
  const uids = [...direct, ...nested].map((item) => textOf(item, "x0020000e"));
  return [...new Set(uids)].filter((uid) => uid !== "");
}
