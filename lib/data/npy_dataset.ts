/** Data sets in the original project's layout of .npy files. */

import { basename, dirname, join } from "node:path";
import { InputError } from "../errors.ts";
import { readNpyPlane } from "../io/npy_file.ts";
import { manifestSpacings } from "./spacing.ts";
import { linkNotes, walk } from "../io/walk.ts";
import {
  type Dataset,
  type LoadedSlice,
  MIN_NODULE_PIXELS,
  requireSide,
  type SliceRecord,
} from "./dataset.ts";
import { IMAGE_LIST, readImageList } from "./image_list.ts";
import { requireHu } from "./hu_range.ts";
import { binaryMask, lungMask } from "./mask_values.ts";
import type { Size } from "./resize.ts";
import { type Split, splitRecords, SPLITS } from "./splits.ts";

const CT_NAME = /^(.+)_slice_([^_]+)\.npy$/;

/**
 * The original project's layout: `{patient}_slice_{n}.npy` in HU with `_lung_mask_` and
 * `_nodule_mask_` files beside it, anywhere below `dir`; of a 3-D array the middle slice is taken.
 * The patient is the name up to the first `_`, or as `{train,val,test}_patients.txt` (one patient a
 * line) have it, see {@link splitRecords}: each slice goes to its patient's split, and slices of
 * patients in none are left out and counted in a note; without any such file all slices are `train`.
 *
 * The label is 1 where the nodule mask has at least {@link MIN_NODULE_PIXELS} pixels; of slices that
 * `sample` made, what its `images.csv` beside them says.
 *
 * A slice without a nodule mask file counts as one without nodule, as in the original, where only
 * slices with a nodule had one written; a note says how many. A missing lung mask is an error.
 *
 * Only nodule masks are read here, for the labels. CT values are checked as they are loaded; see
 * {@link prepareAll} to check them all before a run writes anything.
 * @throws InputError naming the file or folder and the reason.
 */
export async function openNpyDataset(
  dir: string,
  { checkHu = false }: LoadChecks = {},
): Promise<Dataset> {
  const files = new Map<string, string>();
  const splitFiles = new Map<Split, string>();
  const links: string[] = [];
  // What `sample` asked its slices to be: at a low resolution a nodule has fewer pixels than count.
  const asked = new Map<string, 0 | 1>();
  for (const path of walk(dir, { onSkippedLink: (path) => links.push(path) })) {
    const name = basename(path);
    if (name.endsWith(".npy")) files.set(path, name);
    if (IMAGE_LIST.test(name)) {
      for (const { slice, classValue } of await readImageList(path)) {
        if (classValue === undefined) continue;
        asked.set(join(dirname(path), `${slice}.npy`), classValue > 0.5 ? 1 : 0);
      }
    }
    const split = SPLITS.find((s) => name === `${s}_patients.txt`);
    if (split) {
      const earlier = splitFiles.get(split);
      if (earlier) throw new InputError(`Cannot split "${dir}": both "${earlier}" and "${path}"`);
      splitFiles.set(split, path);
    }
  }
  const slices = [...files].filter(([, name]) => CT_NAME.test(name)).sort(([a], [b]) =>
    a < b ? -1 : 1
  );
  if (slices.length === 0) {
    throw new InputError(`Cannot open "${dir}": no files named {patient}_slice_{n}.npy in it`);
  }

  const spacings = await manifestSpacings(dir);
  const notes = linkNotes(links), records: SliceRecord[] = [], ids = new Map<string, string>();
  let withoutNodule = 0;
  for (const [path, name] of slices) {
    const [, prefix, number] = CT_NAME.exec(name)!;
    const id = name.slice(0, -".npy".length);
    if (ids.has(id)) {
      throw new InputError(`Cannot open "${dir}": both "${ids.get(id)}" and "${path}"`);
    }
    ids.set(id, path);
    const beside = (kind: string) => join(dirname(path), `${prefix}_${kind}_mask_${number}.npy`);
    const lungPath = beside("lung"), nodulePath = beside("nodule");
    if (!files.has(lungPath)) {
      throw new InputError(`Cannot use "${path}": its lung mask "${lungPath}" is missing`);
    }
    const hasNodule = files.has(nodulePath);
    if (!hasNodule) withoutNodule++;
    records.push({
      id,
      patient: prefix.split("_")[0],
      spacing: spacings.get(path),
      label: asked.get(path) ?? (hasNodule ? await labelOf(nodulePath) : 0),
      load: () => loadSlice(path, lungPath, hasNodule ? nodulePath : undefined, { checkHu }),
    });
  }
  if (withoutNodule > 0) {
    notes.push(
      `${withoutNodule} of ${records.length} slices have no nodule mask: taken as without`,
    );
  }
  return { ...await splitRecords(records, splitFiles, notes), notes };
}

/** A 2-D array, or the middle slice (index ⌊n/2⌋) of a 3-D one. */
export async function readPlane(path: string): Promise<{ data: Float32Array } & Size> {
  const { shape: [height, width], data } = await readNpyPlane(path);
  const plane = new Float32Array(data.length);
  for (let i = 0; i < plane.length; i++) plane[i] = Number(data[i]);
  return { data: plane, height, width };
}

async function labelOf(path: string): Promise<0 | 1> {
  const pixels = binaryMask(await readPlane(path), path).reduce((sum, v) => sum + v, 0);
  return pixels >= MIN_NODULE_PIXELS ? 1 : 0;
}

/** What is asked of a slice's values besides being numbers. */
export interface LoadChecks {
  /** Refuse a CT that is no HU, see {@link requireHu}. */
  readonly checkHu?: boolean;
}

/**
 * A slice from its files; without a lung mask's all of it counts as lung.
 *
 * @throws InputError naming the file and what is wrong with it.
 */
export async function loadSlice(
  path: string,
  lung: string | undefined,
  nodule?: string,
  { checkHu = false }: LoadChecks = {},
): Promise<LoadedSlice> {
  const { data: ct, height, width } = await readPlane(path);
  requireSide({ height, width }, path);
  const bad = ct.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new InputError(
      `Cannot use "${path}": ${ct[bad]} at row ${Math.floor(bad / width)}, column ${
        bad % width
      }; ` +
        "CT values must be finite",
    );
  }
  const readMask = async (maskPath: string, accept: typeof binaryMask) => {
    const mask = await readPlane(maskPath);
    if (mask.height !== height || mask.width !== width) {
      throw new InputError(
        `Cannot use "${maskPath}": mask [${mask.height},${mask.width}] must have the shape of ` +
          `its slice [${height},${width}]`,
      );
    }
    return accept(mask, maskPath);
  };
  const inLung = lung ? await readMask(lung, lungMask) : new Uint8Array(ct.length).fill(1);
  if (checkHu) requireHu(path, ct, inLung);
  return {
    ct,
    height,
    width,
    lungMask: inLung,
    noduleMask: nodule ? await readMask(nodule, binaryMask) : new Uint8Array(height * width),
  };
}
