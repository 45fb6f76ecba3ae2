/** What is fed damaged files: each reader of untrusted input, with good files to start from. */

import { rejection } from "../dicom/accept.ts";
import { parseHeader } from "../dicom/header.ts";
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
  const parsed = parseHeader(bytes, name);
  if (rejection(parsed.header)) return;
  const raw = await decodePixels(parsed);
  toHu(raw, parsed.header, new Int16Array(raw.length));
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
