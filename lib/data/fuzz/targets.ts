/** What is fed damaged files: each reader of untrusted input, with good files to start from. */

import { rejection } from "../dicom/accept.ts";
import { frameReader } from "../dicom/frames.ts";
import { type ParsedDicom, parseHeader } from "../dicom/header.ts";
import type { MaskGrid } from "../dicom/mask_grid.ts";
import { isMaskObject, parseMaskObject } from "../dicom/mask_object.ts";
import { frameHeaders, isMultiFrameCt } from "../dicom/multiframe.ts";
import { decodePixels, toHu } from "../dicom/pixels.ts";
import { annotate } from "../lidc/consensus.ts";
import { parseMetadata } from "../lidc/metadata.ts";
import { parseLidcXml } from "../lidc/xml.ts";
import { parseMetaImage } from "../metaimage.ts";
import { parseNifti, parsePair } from "../nifti.ts";
import { parseNrrd } from "../nrrd.ts";
import { bytesSource } from "../volume_source.ts";
import { InputError } from "../../errors.ts";
import { parseNpy } from "../../io/npy.ts";
import { parseJsonFile } from "../../io/json.ts";
import { decodePng } from "../../io/png.ts";
import { parseSafetensors } from "../../io/safetensors.ts";
import { parseTorch } from "../../io/torch_pickle.ts";

/** Reads the bytes as far as the importer would. */
export type Target = (bytes: Uint8Array, name: string) => unknown | Promise<unknown>;

async function dicom(bytes: Uint8Array, name: string) {
  const parsed = parseHeader(bytes, name), { sopClass } = parsed.header;
  if (isMaskObject(sopClass)) return await maskObject(bytes, name);
  if (isMultiFrameCt(sopClass)) return await multiFrame(parsed, name);
  if (rejection(parsed.header)) return;
  const raw = await decodePixels(parsed);
  toHu(raw, parsed.header, new Int16Array(raw.length));
}

/** The grid of the CT series among the fixtures. */
const GRID: MaskGrid = {
  rows: 17,
  columns: 19,
  pixelSpacing: [0.8, 0.7],
  sliceSpacing: 2.5,
  row: [1, 0, 0],
  column: [0, 1, 0],
  normal: [0, 0, 1],
  slices: [0, 1, 2, 3, 4].map((n) => ({
    file: "",
    sopInstance: `1.2.826.0.1.3680043.8.498.2.${n + 1}`,
    instanceNumber: n + 1,
    z: 40 + 2.5 * n,
    position: [-6, -7, 40 + 2.5 * n],
  })),
};

async function maskObject(bytes: Uint8Array, name: string) {
  const { regions } = await parseMaskObject(bytes, name);
  for (const region of regions) {
    try {
      region.draw(GRID, new Uint8Array(5 * 17 * 19));
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error;
      throw new InputError(`Cannot use "${name}": ${error}`);
    }
  }
}

async function multiFrame(parsed: ParsedDicom, name: string) {
  const headers = frameHeaders(parsed);
  let read: ReturnType<typeof frameReader>;
  try {
    read = frameReader(parsed);
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw error;
    throw new InputError(`Cannot read "${name}": ${error}`);
  }
  for (const header of headers) {
    if (!rejection(header)) await decodePixels(read(header.frame!));
  }
}

function xml(bytes: Uint8Array, name: string) {
  const file = parseLidcXml(bytes, name);
  if (file.kind !== "ct") return;
  // Every mark is laid upon the slice that the first one names.
  const sops = new Set(
    file.readers.flatMap((r) => r.nodules.flatMap((n) => n.rois.map((roi) => roi.sopInstance))),
  );
  annotate(file.readers, {
    rows: 512,
    columns: 512,
    pixelSpacing: [0.7, 0.7],
    sliceSpacing: 2,
    slices: [...sops].slice(0, 50).map((sopInstance, i) => ({
      file: "",
      sopInstance,
      instanceNumber: i,
      z: 2 * i,
      position: [0, 0, 2 * i],
    })),
  });
}

/** By a file's ending. */
export const TARGETS: Readonly<Record<string, Target>> = {
  dcm: dicom,
  xml,
  csv: parseMetadata,
  npy: parseNpy,
  nii: parseNifti,
  gz: parseNifti,
  mha: (bytes, name) => parseMetaImage(bytesSource(bytes, name)),
  nrrd: (bytes, name) => parseNrrd(bytesSource(bytes, name)),
  // The voxels of the fixtures' pairs: 6 × 5 × 4 of two bytes.
  hdr: (bytes, name) => parsePair(bytes, [new Uint8Array(240)], name),
  png: decodePng,
  safetensors: parseSafetensors,
  pth: parseTorch,
  json: parseJsonFile,
};

export interface Finding {
  what: string;
  number: number;
}

/**
 * Feeds one damaged file to its reader.
 * @returns what is wrong, or null where it was read or refused as it should be.
 */
export async function probe(
  target: Target,
  bytes: Uint8Array,
  name: string,
  maxSeconds: number,
): Promise<{ problem: string | null; seconds: number; refused: boolean }> {
  const start = performance.now();
  let problem: string | null = null, refused = false;
  try {
    await target(bytes, name);
  } catch (error) {
    refused = true;
    if (!(error instanceof InputError)) {
      problem = `not a typed error: ${error instanceof Error ? error.stack : error}`;
    } else if (!error.message.includes(name)) {
      problem = `the error does not name the file: ${error.message}`;
    }
  }
  const seconds = (performance.now() - start) / 1000;
  if (seconds > maxSeconds) problem = `took ${seconds.toFixed(1)} s`;
  return { problem, seconds, refused };
}
