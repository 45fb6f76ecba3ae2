/** Enhanced multi-frame CT: each frame's header, from the functional groups (PS3.3 C.7.6.16). */

import { InputError } from "../../errors.ts";
import { LIMITS } from "../../io/limits.ts";
import { CT_IMAGE } from "./accept.ts";
import type { DicomHeader, ParsedDicom, Vec3 } from "./header.ts";
import { decimalsOf, itemOf, itemsOf, textOf } from "./nested.ts";

const ENHANCED = ["1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"];

/** Enhanced, or converted to it from single slices. */
export function isMultiFrameCt(sopClass: string): boolean {
  return ENHANCED.includes(sopClass);
}

/**
 * A header for each frame, as a CT slice of its own would have it; its `frame` counts from 0.
 * @throws InputError naming the file and the reason.
 */
export function frameHeaders({ header, data }: ParsedDicom): DicomHeader[] {
  const fail = (why: string) => new InputError(`Cannot read "${header.file}": ${why}`);
  const { frames } = header, most = LIMITS.dicomObject.frames;
  if (!(Number.isInteger(frames) && frames >= 1 && frames <= most)) {
    throw fail(`${frames} frames, at most ${most} are accepted`);
  }
  const groups = itemsOf(data, "x52009230"), shared = itemOf(data, "x52009229");
  if (groups.length !== frames) {
    throw fail(`${groups.length} functional groups for ${frames} frames`);
  }
  try {
    return groups.map((group, frame): DicomHeader => {
      const either = (tag: string) => itemOf(group, tag) ?? itemOf(shared, tag);
      const orientation = decimalsOf(either("x00209116"), "x00200037", 6);
      const transform = either("x00289145");
      const slope = decimalsOf(transform, "x00281053", 1);
      const intercept = decimalsOf(transform, "x00281052", 1);
      const rescaleType = textOf(transform, "x00281054").toUpperCase();
      const type = textOf(either("x00189329"), "x00089007").toUpperCase();
      return {
        ...header,
        frame,
        frames: 1,
        sopClass: CT_IMAGE,
        sopInstance: `${header.sopInstance}.${frame + 1}`,
        instanceNumber: frame + 1,
        imageType: type === "" ? header.imageType : type.split("\\").map((part) => part.trim()),
        position: decimalsOf(either("x00209113"), "x00200032", 3) as Vec3 | null,
        row: orientation && orientation.slice(0, 3) as Vec3,
        column: orientation && orientation.slice(3) as Vec3,
        pixelSpacing: decimalsOf(either("x00289110"), "x00280030", 2) as [number, number] | null,
        slope: slope ? slope[0] : 1,
        intercept: intercept ? intercept[0] : 0,
        rescale: !intercept ? "missing" : /^(HU|US|)$/.test(rescaleType) ? "HU" : "other",
        rescaleType,
      };
    });
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
}
