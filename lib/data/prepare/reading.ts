/** From a series' annotation files to its nodules: has anybody looked, and what was found? */

import { relative } from "node:path";
import { InputError } from "../../errors.ts";
import { readFileBounded } from "../../io/read.ts";
import type { CtVolume } from "../dicom/series.ts";
import { annotate, type Nodule, nodulePlane } from "../lidc/consensus.ts";
import { type LidcFile, MAX_XML_BYTES, parseLidcXml, type Reader } from "../lidc/xml.ts";
import { type Findings, noFindings } from "./findings.ts";
import type { AnnotationState, SeriesJob, SeriesSettings } from "./types.ts";

export interface Reading {
  state: AnnotationState;
  readers: Reader[];
  /** SOP instance UIDs of outlines that could not be read. */
  broken: string[];
}

/** What the series' annotation files say, before anything is laid on its slices. */
export async function readReading(
  job: SeriesJob,
  notes: string[],
  told: string[],
): Promise<Reading> {
  const unreadable = [...job.unreadable];
  let used: LidcFile | undefined;
  for (const path of job.annotations) {
    try {
      const file = parseLidcXml(await readFileBounded(path, MAX_XML_BYTES), path);
      if (file.kind !== "ct") continue;
      if (used) told.push(`a second annotation file, "${relative(job.root, path)}", is not used`);
      used ??= file;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      unreadable.push(error.message);
    }
  }
  told.push(...unreadable);
  if (used?.kind === "ct") {
    notes.push(...used.notes);
    if (used.broken.length > 0) {
      const [first] = used.notes.filter((note) => /outline/.test(note));
      told.push(`${used.broken.length} outlines could not be used, the first: ${first}`);
    }
    return { state: "read", readers: used.readers, broken: used.broken };
  }
  return { state: unreadable.length > 0 ? "unreadable" : "none", readers: [], broken: [] };
}

/** The reading on the slices of its volume, as they are stored. */
export function findingsOn(
  volume: CtVolume,
  { state, readers, broken }: Reading,
  { consensus, tolerance, minReaders }: SeriesSettings,
  notes: string[],
  told: string[],
): Findings {
  if (state !== "read") return noFindings(state, volume.rows * volume.columns);
  const found = annotate(readers, volume, { threshold: consensus, tolerance });
  notes.push(...found.notes);
  if (found.outlines > 0 && found.placed === 0) {
    told.push(`none of the ${found.outlines} outlines of its annotation lies on a slice of it`);
    return noFindings("unreadable", volume.rows * volume.columns);
  }
  if (found.unrated > 0) {
    told.push(
      `${found.unrated} marks without ratings are nodules of 3 mm or more by their outlines`,
    );
  }
  const sure: Nodule[] = [], { smallSlices, doubtfulSlices } = found;
  const lost = new Set(broken);
  volume.slices.forEach(({ sopInstance }, i) => {
    if (lost.has(sopInstance)) doubtfulSlices.add(i);
  });
  for (const nodule of found.nodules) {
    if (nodule.readers >= minReaders) sure.push(nodule);
    else for (const slice of nodule.patches.keys()) smallSlices.add(slice);
  }
  return {
    state,
    nodules: sure.map(({ patches, readers, volumeMm3, diameterMm, characteristics }) => ({
      entry: { readers, volumeMm3, diameterMm, slices: patches.size, characteristics },
      slices: new Set(patches.keys()),
    })),
    plane: (slice) => nodulePlane(sure, slice, volume),
    smallSlices,
    doubtfulSlices,
    smallMarks: found.smallMarks,
    nonNodules: found.nonNodules,
    marks: found.marks,
  };
}
