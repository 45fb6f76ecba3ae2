/** Lung masks that the user made elsewhere: `.npy`, PNG or NIfTI, found by name. */

import { createHash } from "node:crypto";
import { InputError } from "../../errors.ts";
import { LIMITS } from "../../io/limits.ts";
import { readNpy } from "../../io/npy_file.ts";
import { decodePng } from "../../io/png.ts";
import { readFileBounded } from "../../io/read.ts";
import type { CtVolume } from "../dicom/series.ts";
import { walk } from "../../io/walk.ts";
import { readVolume, VOLUME_ENDING } from "../volume.ts";
import { loadLuna16Lungs, loadLungParts } from "./lung_parts.ts";
import type { LungMaskFiles } from "./types.ts";

/** Mask files by their name without the ending: a series', a patient's or a slice's. */
export interface LungMaskIndex {
  folder: string;
  byName: Map<string, string>;
  /** Changes when a mask does. */
  state: string;
}

const ENDING = new RegExp(`\\.(npy|png)$|${VOLUME_ENDING.source}`, "i");
/** One index serves all series of a process. */
const indices = new Map<string, LungMaskIndex>();

/** @throws InputError if the folder cannot be read, or holds two masks of one name. */
export function findLungMasks(folder: string): LungMaskIndex {
  const known = indices.get(folder);
  if (known) return known;
  const hash = createHash("sha256");
  const byName = new Map<string, string>();
  for (const path of walk(folder)) {
    if (!ENDING.test(path)) continue;
    const name = path.slice(path.lastIndexOf("/") + 1).replace(ENDING, "");
    const other = byName.get(name);
    if (other) throw new InputError(`Two lung masks of one name: "${other}" and "${path}"`);
    byName.set(name, path);
    const { size, mtime } = Deno.statSync(path);
    hash.update(`${path}\0${size}\0${mtime?.getTime()}\n`);
  }
  if (byName.size === 0) {
    throw new InputError(`No lung masks in "${folder}": no .npy, .png or .nii.gz files`);
  }
  const index = { folder, byName, state: hash.digest("hex") };
  indices.set(folder, index);
  return index;
}

/**
 * Labels of the whole volume, slices × rows × columns: 0, or what the file says (1 right, 2 left;
 * 255 and other values count as 1). Null where `files` has none for it.
 * @throws InputError naming the file: not readable, or not of the volume's shape.
 */
export async function loadLungMask(
  files: LungMaskFiles,
  volume: CtVolume,
): Promise<Uint8Array | null> {
  const { slices, rows, columns } = volume, area = rows * columns;
  if ("parts" in files) return await loadLungParts(files.parts, volume);
  if ("luna16" in files) return await loadLuna16Lungs(files.luna16, volume);
  if ("volume" in files) {
    const { data, shape } = await readMask(files.volume, volume);
    const wanted = [slices.length, rows, columns];
    const isOne = slices.length === 1 && shape.length === 2;
    if (
      !isOne && shape.join() !== wanted.join() || isOne && shape.join() !== `${rows},${columns}`
    ) {
      throw new InputError(
        `Cannot use lung mask "${files.volume}": shape [${shape}] must be [${wanted}]`,
      );
    }
    return data;
  }
  const out = new Uint8Array(slices.length * area);
  const { byName } = findLungMasks(files.folder);
  let count = 0;
  for (const [index, slice] of slices.entries()) {
    const path = byName.get(slice.sopInstance);
    if (!path) continue;
    const { data, shape } = await readMask(path, volume);
    if (shape.join() !== `${rows},${columns}`) {
      throw new InputError(
        `Cannot use lung mask "${path}": shape [${shape}] must be [${rows},${columns}]`,
      );
    }
    out.set(data, index * area);
    count++;
  }
  if (count === 0) return null;
  if (count < slices.length) {
    throw new InputError(
      `Cannot use the lung masks of series ${volume.seriesUid}: ${count} of ${slices.length} ` +
        "slices have one",
    );
  }
  return out;
}

async function readMask(
  path: string,
  _volume: CtVolume,
): Promise<{ data: Uint8Array; shape: number[] }> {
  const lower = path.toLowerCase();
  let values: ArrayLike<number | bigint>, shape: number[];
  if (lower.endsWith(".npy")) {
    const array = await readNpy(path);
    values = array.data;
    shape = array.shape;
  } else if (lower.endsWith(".png")) {
    const image = decodePng(await readFileBounded(path, LIMITS.image.file), path);
    if (image.channels !== 1) throw new InputError(`Cannot use "${path}": a mask has one channel`);
    values = image.data;
    shape = [image.height, image.width];
  } else {
    const nifti = await readVolume(path);
    values = nifti.values;
    shape = nifti.size.toReversed();
  }
  const data = new Uint8Array(values.length);
  for (let i = 0; i < data.length; i++) {
    const value = Number(values[i]);
    data[i] = value === 2 ? 2 : value > 0 ? 1 : 0;
  }
  return { data, shape };
}
