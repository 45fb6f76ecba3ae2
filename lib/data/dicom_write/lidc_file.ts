/** An LIDC-IDRI annotation file. */

import type { Characteristics } from "../lidc/xml.ts";

export interface RoiText {
  sopInstance: string;
  z: number;
  inclusion?: boolean;
  /** x0, y0, x1, y1, … */
  points: readonly number[];
}

export interface NoduleText {
  id: string;
  characteristics: Characteristics | null;
  rois: readonly RoiText[];
}

export interface ReaderText {
  nodules: readonly NoduleText[];
  nonNodules: readonly { id: string; sopInstance: string; z: number; x: number; y: number }[];
}

const element = (name: string, content: string | number) => `<${name}>${content}</${name}>`;

function points(name: string, values: readonly number[]): string {
  let out = "";
  for (let i = 0; i < values.length; i += 2) {
    out += element(name, element("xCoord", values[i]) + element("yCoord", values[i + 1]));
  }
  return out;
}

export function encodeLidcXml(
  studyUid: string,
  seriesUid: string,
  readers: readonly ReaderText[],
): string {
  const sessions = readers.map(({ nodules, nonNodules }) => {
    const marks = nodules.map(({ id, characteristics, rois }) => {
      const ratings = characteristics
        ? element(
          "characteristics",
          Object.entries(characteristics).map(([name, value]) => element(name, value)).join(""),
        )
        : "";
      const outlines = rois.map(({ sopInstance, z, inclusion = true, points: edge }) =>
        element(
          "roi",
          element("imageZposition", z) + element("imageSOP_UID", sopInstance) +
            element("inclusion", inclusion ? "TRUE" : "FALSE") + points("edgeMap", edge),
        )
      );
      const body = element("noduleID", id) + ratings + outlines.join("\n");
      return element("unblindedReadNodule", body);
    });
    const others = nonNodules.map(({ id, sopInstance, z, x, y }) =>
      element(
        "nonNodule",
        element("nonNoduleID", id) + element("imageZposition", z) +
          element("imageSOP_UID", sopInstance) + points("locus", [x, y]),
      )
    );
    return element(
      "readingSession",
      element("annotationVersion", "3.12") +
        element("servicingRadiologistID", "anonymous") + [...marks, ...others].join("\n"),
    );
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n` +
    `<LidcReadMessage uid="1.3.6.1.4.1.14519.5.2.1.6279.6001.1307390687803.0" ` +
    `xmlns="http://www.nih.gov">\n` +
    element(
      "ResponseHeader",
      element("Version", "1.8.1") + element("SeriesInstanceUid", seriesUid) +
        element("StudyInstanceUID", studyUid),
    ) + "\n" + sessions.join("\n") + "\n</LidcReadMessage>\n";
}
