/** Lung masks that the user made elsewhere: `.npy`, PNG or NIfTI, found by name. */

import { createHash } from "node:crypto";
import { InputError } from "../../errors.ts";
import { LIMITS } from "../../io/limits.ts";
import { readNpy } from "../../io/npy_file.ts";
import { decodePng } from "../../io/png.ts";
import { maskPixels } from "../colour_mask.ts";
import { readFileBounded } from "../../io/read.ts";
import { HU_FLOOR } from "../dicom/pixels.ts";
import type { CtVolume } from "../dicom/series.ts";
import { gridDifference, type Turn, turnValues, type Vec3 } from "../geometry.ts";
import { walk } from "../../io/walk.ts";
import { readVolume, VOLUME_ENDING } from "../volume.ts";
import { loadLuna16Lungs, loadLungParts } from "./lung_parts.ts";
import { maskOf, type MaskRule } from "./labels.ts";
import { geometryOf, type Oriented, turnPlane } from "./turned.ts";
import type { LungMaskFiles, SeriesSettings } from "./types.ts";

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

/** Right and left lung, as prepared masks have them. */
const KEPT = [1, 2];
const NO_TURN: Turn = { axis: [0, 1, 2], flip: [false, false, false] };

/**
 * Labels of the whole volume, slices × rows × columns: 0, or what the file says (1 right, 2 left; or
 * the labels chosen). Null where `files` has none for it.
 *
 * Volumes with an affine must lie where the image lies. Arrays, and volumes with `maskByIndex`, have rows
 * and columns as the volume's own file has them; slices run from the feet up.
 * @throws InputError naming the file: not readable, of another shape, or lying elsewhere.
 */
export async function loadLungMask(
  files: LungMaskFiles,
  oriented: Oriented,
  settings: Pick<SeriesSettings, "maskByIndex" | "lungLabels">,
  notes: string[],
): Promise<Uint8Array | null> {
  const rule: MaskRule = { option: "--lung-label", choice: settings.lungLabels, kept: KEPT };
  if ("folder" in files) return await fromSlices(files.folder, oriented, rule, notes);
  const { volume, turn, stored } = oriented;
  if ("parts" in files) return await loadLungParts(files.parts, volume, rule, notes);
  if ("luna16" in files) return await loadLuna16Lungs(files.luna16, volume);
  const path = files.volume;
  if (VOLUME_ENDING.test(path) && !settings.maskByIndex) {
    const mask = await readVolume(path);
    const difference = gridDifference(geometryOf(volume), mask);
    if (difference) {
      throw new InputError(
        `Cannot use lung mask "${path}": it does not lie where the image lies: ${difference} ` +
          "(--mask-by-index takes its voxels in order)",
      );
    }
    notes.push(...mask.notes);
    return maskOf(path, mask.values, rule, notes, mask.fractional);
  }
  const { data, shape, fractional } = await readArray(path);
  const wanted = stored.toReversed();
  const squeezed = shape.filter((size) => size !== 1).join();
  if (squeezed !== wanted.filter((size) => size !== 1).join()) {
    throw new InputError(`Cannot use lung mask "${path}": shape [${shape}] must be [${wanted}]`);
  }
  const mask = maskOf(path, data, rule, notes, fractional);
  // Slices of a volume that is stored from the head down: the array's run from the feet up.
  const rising = turn.axis[2] === 2 ? { ...turn, flip: [...turn.flip] as Turn["flip"] } : turn;
  if (rising !== turn) rising.flip[2] = false;
  const placed = turnValues(mask, stored, rising);
  requireFit(path, placed, volume);
  return placed;
}

async function fromSlices(
  folder: string,
  oriented: Oriented,
  rule: MaskRule,
  notes: string[],
): Promise<Uint8Array | null> {
  const { volume, stored } = oriented, { slices } = volume;
  const [columns, rows] = stored, area = rows * columns;
  const out = new Uint8Array(slices.length * area);
  const { byName } = findLungMasks(folder);
  let count = 0;
  for (const [index, slice] of slices.entries()) {
    const path = byName.get(slice.sopInstance);
    if (!path) continue;
    const { data, shape, fractional } = await readArray(path);
    if (
      shape.filter((n, i) => n !== 1 || i === 0 && shape.length === 2).join() !==
        `${rows},${columns}`
    ) {
      throw new InputError(
        `Cannot use lung mask "${path}": shape [${shape}] must be [${rows},${columns}]`,
      );
    }
    out.set(turnPlane(maskOf(path, data, rule, notes, fractional), oriented), index * area);
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

/** Values in the file's own order, slices × rows × columns or rows × columns. */
async function readArray(
  path: string,
): Promise<{ data: ArrayLike<number | bigint>; shape: number[]; fractional: number }> {
  if (VOLUME_ENDING.test(path)) {
    const { values, size, fractional } = await readVolume(path, "stored");
    return { data: values, shape: size.toReversed(), fractional };
  }
  if (path.toLowerCase().endsWith(".npy")) return { ...await readNpy(path), fractional: 0 };
  const image = decodePng(await readFileBounded(path, LIMITS.image.file), path);
  return { data: maskPixels(image, path), shape: [image.height, image.width], fractional: 0 };
}

/** Air of the lungs, HU, and how much better another order must fit to be the right one. */
const AIR = -400, BETTER = 0.15;

/** Lungs are air: an array that fits the image only when it is turned over is in another order. */
function requireFit(path: string, mask: Uint8Array, { hu, columns, rows, slices }: CtVolume) {
  const size: Vec3 = [columns, rows, slices.length];
  const share = (values: Uint8Array) => {
    let all = 0, air = 0;
    for (let i = 0; i < values.length; i++) {
      if (values[i] === 0) continue;
      all++;
      if (hu[i] < AIR && hu[i] > HU_FLOOR) air++;
    }
    return all > 0 ? air / all : 0;
  };
  const own = share(mask);
  const names = ["columns", "rows", "slices"];
  for (let bits = 1; bits < 8; bits++) {
    const flip = [0, 1, 2].map((n) => (bits >> n & 1) === 1) as Turn["flip"];
    const other = share(turnValues(mask, size, { ...NO_TURN, flip }));
    if (other > own + BETTER && other > 0.5) {
      const reversed = names.filter((_, n) => flip[n]).join(" and ");
      throw new InputError(
        `Cannot use lung mask "${path}": ${Math.round(100 * own)}% of it is air, ` +
          `${
            Math.round(100 * other)
          }% with its ${reversed} reversed; arrays have rows and columns ` +
          "as the image's file, slices from the feet up",
      );
    }
  }
}
