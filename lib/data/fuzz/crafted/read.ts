/** Crafted files, given to their readers as the program gives files to them. */

import process from "node:process";
import { readJsonObject } from "../../../nn/pretrained.ts";
import { InputError } from "../../../errors.ts";
import { LIMITS } from "../../../io/limits.ts";
import { readNpy, readNpyPlane } from "../../../io/npy_file.ts";
import { decodePng } from "../../../io/png.ts";
import { readFileBounded } from "../../../io/read.ts";
import { readSafetensors } from "../../../io/safetensors_file.ts";
import { readTorch } from "../../../io/torch_pickle.ts";
import { rejection } from "../../dicom/accept.ts";
import { readMaskObject, readReferences } from "../../dicom/mask_object.ts";
import { decodePixels } from "../../dicom/pixels.ts";
import { readHeader, readWhole } from "../../dicom/read_header.ts";
import { loadSeries } from "../../dicom/series.ts";
import { parseMetadata } from "../../lidc/metadata.ts";
import { MAX_XML_BYTES } from "../../lidc/xml.ts";
import { PackedCache } from "../../packed/reader.ts";
import { readPatients } from "../../split_file.ts";
import { readVolume } from "../../volume.ts";
import { TARGETS } from "../targets.ts";

async function readDicom(path: string) {
  const found = readHeader(path);
  if (!found) throw new InputError(`Cannot read "${path}": not a DICOM file`);
  if (!rejection(found.header)) await decodePixels(readWhole(path));
}

/** As `prepare` does: references first, then all regions on the grid of a series. */
async function readMasks(path: string) {
  await readReferences(path);
  const { regions } = await readMaskObject(path), side = 512, count = 4;
  const mask = new Uint8Array(count * side * side);
  for (const region of regions) {
    try {
      region.draw({
        rows: side,
        columns: side,
        pixelSpacing: [0.7, 0.7],
        sliceSpacing: 2,
        row: [1, 0, 0],
        column: [0, 1, 0],
        normal: [0, 0, 1],
        slices: Array.from({ length: count }, (_, n) => ({
          file: "",
          sopInstance: `2.25.${n}`,
          instanceNumber: n + 1,
          z: 2 * n,
          position: [0, 0, 2 * n],
        })),
      }, mask);
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error;
      throw new InputError(`Cannot use "${path}": ${error}`);
    }
  }
}

function readPacked(path: string) {
  const cache = PackedCache.open(path), { height, width } = cache.index;
  try {
    const plane = () => new Float32Array(height * width);
    cache.read(0, { ct: plane(), lungMask: plane(), noduleMask: plane() });
  } finally {
    cache.close();
  }
}

type Read = (path: string) => unknown;
/** By how a file's name ends. */
const READERS: readonly [ending: string, read: Read][] = [
  [".plane.npy", readNpyPlane],
  [".npy", readNpy],
  [".png", async (path) => decodePng(await readFileBounded(path, LIMITS.image.file), path)],
  [".dcm", readDicom],
  [".seg", readMasks],
  [".rtstruct", readMasks],
  [".series", (path) => loadSeries([...Deno.readDirSync(path)].map((e) => `${path}/${e.name}`))],
  ...["nii", "nii.gz", "mha", "mhd", "nrrd", "nhdr", "hdr"].map((e): [string, Read] => [
    `.${e}`,
    (path) => readVolume(path),
  ]),
  [".xml", async (path) => TARGETS.xml(await readFileBounded(path, MAX_XML_BYTES), path)],
  [".csv", async (path) => parseMetadata(await readFileBounded(path, LIMITS.csv.bytes), path)],
  [".txt", readPatients],
  [".json", readJsonObject],
  [".safetensors", readSafetensors],
  [".pth", readTorch],
  [".bin", readTorch],
  [".pack", readPacked],
];

export interface Outcome {
  /** What its reader said, or null where the file was read. */
  refusal: string | null;
  /** What is wrong with that, or null. */
  problem: string | null;
  seconds: number;
}

/** Reads a file by its ending. */
export async function readCrafted(path: string, mayBeRead = false): Promise<Outcome> {
  const [, read] = READERS.find(([ending]) => path.endsWith(ending))!;
  const begun = performance.now(), used = process.cpuUsage();
  let refusal: string | null = null, problem: string | null = mayBeRead ? null : "it was read";
  try {
    await read(path);
  } catch (error) {
    refusal = error instanceof Error ? error.message : String(error);
    problem = refusalProblem(error, refusal);
  }
  // On a busy machine the clock counts others' work.
  const { user, system } = process.cpuUsage(used);
  const seconds = Math.min((performance.now() - begun) / 1000, (user + system) / 1e6);
  return { refusal, problem, seconds };
}

function refusalProblem(error: unknown, message: string): string | null {
  if (!(error instanceof InputError)) return `no typed error: ${message.slice(0, 200)}`;
  if (message.length > LIMITS.text.shown) return `a message of ${message.length} characters`;
  // deno-lint-ignore no-control-regex
  if (/[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/.test(message)) {
    return "a message that a terminal obeys";
  }
  return null;
}
