/** Which DICOM files are axial CT slices, and why the others are not. */

import { cross, MIN_AXIAL_COSINE } from "../geometry.ts";
import type { DicomHeader } from "./header.ts";
import { unreadable } from "./transfer_syntax.ts";

export const CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2";
const NAMED: Record<string, string> = {
  "1.2.840.10008.1.3.10": "a DICOMDIR",
  "1.2.840.10008.5.1.4.1.1.1": "a computed radiograph (CR)",
  "1.2.840.10008.5.1.4.1.1.1.1": "a digital X-ray (DX)",
  "1.2.840.10008.5.1.4.1.1.2.1": "an enhanced multi-frame CT",
  "1.2.840.10008.5.1.4.1.1.2.2": "a legacy converted enhanced multi-frame CT",
  "1.2.840.10008.5.1.4.1.1.7": "a secondary capture",
  "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation object",
  "1.2.840.10008.5.1.4.1.1.66.7": "a label map segmentation (convert it to a BINARY one)",
  "1.2.840.10008.5.1.4.1.1.88.22": "a structured report",
  "1.2.840.10008.5.1.4.1.1.88.33": "a structured report",
  "1.2.840.10008.5.1.4.1.1.88.34": "a structured report",
  "1.2.840.10008.5.1.4.1.1.481.3": "a structure set",
};
const MAX_SIDE = 4096;
const MIN_SIDE = 16;

/**
 * Why this file is no axial CT slice that can be read, or null where it is one.
 * @param derived take DERIVED and SECONDARY images too.
 */
export function rejection(h: DicomHeader, derived = false): string | null {
  if (h.sopClass !== CT_IMAGE) {
    const what = NAMED[h.sopClass] ?? `SOP class ${h.sopClass || "(none)"}`;
    return `${what}${h.modality ? `, modality ${h.modality}` : ""}, not a CT image`;
  }
  // Some real CT files have no Modality tag; their SOP class says what they are.
  if (h.modality !== "" && h.modality !== "CT") return `modality ${h.modality}, not CT`;
  if (h.imageType.some((part) => part.includes("LOCALIZER"))) return "a localizer";
  const syntax = unreadable(h.transferSyntax);
  if (syntax) return syntax;
  const origin = derivation(h, derived);
  if (origin) return origin;
  if (h.frames !== 1) return `${h.frames} frames, not one slice`;
  if (h.samplesPerPixel !== 1) return `${h.samplesPerPixel} samples per pixel, not 1`;
  if (h.photometric !== "" && h.photometric !== "MONOCHROME2") {
    return `photometric interpretation ${h.photometric}, not MONOCHROME2`;
  }
  for (const [name, size] of [["Rows", h.rows], ["Columns", h.columns]] as const) {
    if (size < MIN_SIDE || size > MAX_SIDE) {
      return `${name} is ${size}, not ${MIN_SIDE}…${MAX_SIDE}`;
    }
  }
  const bits = `BitsAllocated ${h.bitsAllocated}, BitsStored ${h.bitsStored}, HighBit ${h.highBit}`;
  const bitsFit = (h.bitsAllocated === 8 || h.bitsAllocated === 16) && h.bitsStored >= 1 &&
    h.bitsStored <= h.bitsAllocated && h.highBit >= h.bitsStored - 1 &&
    h.highBit < h.bitsAllocated;
  if (!bitsFit) return `${bits} do not describe a CT slice`;
  if (h.slope === 0) return "RescaleSlope is 0";
  if (h.hasModalityLut) {
    return "its values need a Modality LUT, which is not applied: export it with RescaleSlope and " +
      "RescaleIntercept";
  }
  if (h.rescale === "other") return `RescaleType ${h.rescaleType}, not HU`;
  if (!h.seriesUid || !h.sopInstance) return "no SeriesInstanceUID or no SOPInstanceUID";
  if (!h.position) return "no readable ImagePositionPatient";
  if (!h.row || !h.column) return "no readable ImageOrientationPatient";
  if (!h.pixelSpacing) return "no readable PixelSpacing";
  if (h.pixelSpacing.some((mm) => mm < 0.05 || mm > 10)) {
    return `PixelSpacing ${h.pixelSpacing.join("\\")} mm is not one of a CT`;
  }
  const normal = cross(h.row, h.column);
  const length = Math.hypot(...normal);
  if (Math.abs(length - 1) > 0.05) return "ImageOrientationPatient is not two unit vectors at 90°";
  if (Math.abs(normal[2]) < MIN_AXIAL_COSINE) return "not axial";
  return h.pixelData ? null : "no pixel data";
}

/** Values of ImageType that say what a slice was computed as: no attenuation of one slice. */
const PROJECTIONS =
  /^(MIP|MINIP|MAX_IP|MIN_IP|MEAN_IP|AVERAGE|PROJECTION IMAGE|SSD|VRT|RENDERING)$/;

/**
 * ImageType may say that this is not what the scanner reconstructed (PS3.3 C.7.6.1.1.2). It may also
 * mean no more than that a compressor or an archive passed it on: that is for the user to say.
 */
function derivation(h: DicomHeader, derived: boolean): string | null {
  const [pixels, patient] = h.imageType, type = h.imageType.join("\\");
  if (patient !== "SECONDARY" && pixels !== "DERIVED") return null;
  if (h.imageType.some((part) => PROJECTIONS.test(part))) return `a projection (${type})`;
  if (derived) return null;
  const what = patient === "SECONDARY" ? "secondary" : "derived";
  return `a ${what} image (${type}): --derived takes it`;
}
