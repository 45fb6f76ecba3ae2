/** Slices to train on: where they come from, and how they become the network's planes. */

import { basename, dirname, join } from "node:path";
import { InputError } from "../errors.ts";
import { readNpy } from "../io/npy.ts";
import { asInputError, readFileBounded } from "../io/read.ts";
import { PHANTOM_SLICES, phantomLabel, phantomSlice } from "./phantom.ts";
import { resizeBilinear, resizeNearest, type Size } from "./resize.ts";
import { type HuWindow, LUNG_WINDOW, windowHu } from "./window.ts";

/** A slice as stored: planes of [height, width], row by row. */
export interface LoadedSlice {
  /** Hounsfield units, all finite. */
  ct: Float32Array;
  height: number;
  width: number;
  /** 0 or 1. */
  lungMask: Uint8Array;
  /** 0 or 1. */
  noduleMask: Uint8Array;
}

export interface SliceRecord {
  /** Unique within its data set, for example `LIDC-IDRI-0001_slice_42`. */
  id: string;
  patient: string;
  /** 1 where the nodule mask has at least {@link MIN_NODULE_PIXELS} pixels. */
  label: 0 | 1;
  /** @throws InputError naming the file and what is wrong with it. */
  load(): Promise<LoadedSlice>;
}

/** Records by split, in the order of their ids, and what the user should be told, a line each. */
export interface Dataset {
  train: SliceRecord[];
  val: SliceRecord[];
  test: SliceRecord[];
  notes: string[];
}

/** Fewer pixels than these do not make a slice positive (the original project's rule). */
export const MIN_NODULE_PIXELS = 10;

const SPLITS = ["train", "val", "test"] as const;
const CT_NAME = /^(.+)_slice_([^_]+)\.npy$/;

/**
 * The original project's layout: `{patient}_slice_{n}.npy` in HU with `_lung_mask_` and
 * `_nodule_mask_` files beside it, anywhere below `dir`; of a 3-D array the middle slice is taken.
 * The patient is the name up to the first `_`. With `{train,val,test}_patients.txt` (one patient a
 * line) each slice goes to its patient's split, and slices of patients in none are left out and
 * counted in a note; without any such file all slices are `train`.
 *
 * A slice without a nodule mask file counts as one without nodule, as in the original, where only
 * slices with a nodule had one written; a note says how many. A missing lung mask is an error.
 *
 * Only nodule masks are read here, for the labels. CT values are checked as they are loaded; see
 * {@link prepareAll} to check them all before a run writes anything.
 * @throws InputError naming the file or folder and the reason.
 */
export async function openNpyDataset(dir: string): Promise<Dataset> {
  const files = new Map<string, string>();
  const splitFiles = new Map<string, string>();
  for await (const path of walk(dir)) {
    const name = basename(path);
    if (name.endsWith(".npy")) files.set(path, name);
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

  const notes: string[] = [], records: SliceRecord[] = [], ids = new Map<string, string>();
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
      label: hasNodule ? labelOf((await readPlane(nodulePath)).data) : 0,
      load: () => loadSlice(path, lungPath, hasNodule ? nodulePath : undefined),
    });
  }
  if (withoutNodule > 0) {
    notes.push(
      `${withoutNodule} of ${records.length} slices have no nodule mask: taken as without`,
    );
  }
  return { ...await split(records, splitFiles, notes), notes };
}

async function* walk(dir: string, depth = 0): AsyncGenerator<string> {
  if (depth > 16) throw new InputError(`Cannot read "${dir}": folders nested deeper than 16`);
  try {
    for await (const entry of Deno.readDir(dir)) {
      const path = join(dir, entry.name);
      // A linked file is followed, a linked folder is not: it could lead round in a circle.
      const isFile = entry.isFile || (entry.isSymlink && (await Deno.stat(path)).isFile);
      if (entry.isDirectory) yield* walk(path, depth + 1);
      else if (isFile) yield path;
    }
  } catch (error) {
    throw asInputError(error, dir);
  }
}

async function split(
  records: SliceRecord[],
  files: Map<string, string>,
  notes: string[],
): Promise<Pick<Dataset, "train" | "val" | "test">> {
  const out: Record<(typeof SPLITS)[number], SliceRecord[]> = { train: [], val: [], test: [] };
  if (files.size === 0) {
    notes.push("no {train,val,test}_patients.txt: all slices are used for training");
    return { ...out, train: records };
  }
  const splitOf = new Map<string, (typeof SPLITS)[number]>();
  for (const split of SPLITS) {
    const path = files.get(split);
    if (!path) continue;
    const text = new TextDecoder().decode(await readFileBounded(path, 2 ** 24));
    for (const patient of text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean)) {
      const other = splitOf.get(patient);
      if (other && other !== split) {
        throw new InputError(
          `Cannot split by "${path}": patient ${patient} is in ${other}_patients.txt too`,
        );
      }
      splitOf.set(patient, split);
    }
  }
  let left = 0;
  for (const record of records) {
    const split = splitOf.get(record.patient);
    if (split) out[split].push(record);
    else left++;
  }
  if (left > 0) notes.push(`${left} slices are of patients in no split file: left out`);
  if (out.train.length === 0) {
    throw new InputError(
      files.has("train")
        ? `Cannot train: no slice is of a patient in "${files.get("train")}"`
        : `Cannot train: train_patients.txt is missing beside "${[...files.values()][0]}"`,
    );
  }
  return out;
}

/** A 2-D array, or the middle slice (index ⌊n/2⌋) of a 3-D one. */
export async function readPlane(path: string): Promise<{ data: Float32Array } & Size> {
  const { shape, data } = await readNpy(path);
  const [height, width] = shape.slice(-2);
  const depth = shape.length === 3 ? shape[0] : 1;
  if ((shape.length !== 2 && shape.length !== 3) || data.length === 0) {
    throw new InputError(`Cannot use "${path}": shape [${shape}] is neither a slice nor a volume`);
  }
  const size = height * width, from = Math.floor(depth / 2) * size;
  const plane = Float32Array.from({ length: size }, (_, i) => Number(data[from + i]));
  return { data: plane, height, width };
}

function labelOf(noduleMask: ArrayLike<number>): 0 | 1 {
  let pixels = 0;
  for (let i = 0; i < noduleMask.length; i++) if (noduleMask[i] > 0) pixels++;
  return pixels >= MIN_NODULE_PIXELS ? 1 : 0;
}

/** A slice from its files. @throws InputError naming the file and what is wrong with it. */
export async function loadSlice(
  path: string,
  lung: string,
  nodule?: string,
): Promise<LoadedSlice> {
  const { data: ct, height, width } = await readPlane(path);
  const bad = ct.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new InputError(
      `Cannot use "${path}": ${ct[bad]} at row ${Math.floor(bad / width)}, column ${
        bad % width
      }; ` +
        "CT values must be finite",
    );
  }
  const readMask = async (maskPath: string) => {
    const mask = await readPlane(maskPath);
    if (mask.height !== height || mask.width !== width) {
      throw new InputError(
        `Cannot use "${maskPath}": mask [${mask.height},${mask.width}] must have the shape of ` +
          `its slice [${height},${width}]`,
      );
    }
    // Masks come as 0/1 and as 0/255.
    return Uint8Array.from(mask.data, (value) => value > 0 ? 1 : 0);
  };
  return {
    ct,
    height,
    width,
    lungMask: await readMask(lung),
    noduleMask: nodule ? await readMask(nodule) : new Uint8Array(height * width),
  };
}

export interface PhantomDatasetOptions {
  seed: number;
  /** Training slices, every other one with a nodule. */
  count: number;
  /** Rows and columns of a slice; 128 by default. */
  size?: number;
}

/**
 * The built-in phantom as a data set: `count` slices to train on and an eighth as many (at least
 * two) for validation, of other patients. Nothing is read; slices are computed as they are loaded.
 * @throws InputError if `count` is not a whole number of at least 2.
 */
export function openPhantomDataset({ seed, count, size = 128 }: PhantomDatasetOptions): Dataset {
  if (!Number.isSafeInteger(count) || count < 2) {
    throw new InputError(`Cannot make ${count} phantom slices: a whole number ≥ 2 needed`);
  }
  const record = (index: number, split: string): SliceRecord => {
    const own = Math.floor(index / PHANTOM_SLICES), slice = index % PHANTOM_SLICES;
    // Validation patients are numbered from a million on: never those of any training set.
    const number = split === "" ? own : own + 1_000_000;
    const patient = `PHANTOM${split}${String(own + 1).padStart(4, "0")}`;
    return {
      id: `${patient}_slice_${slice}`,
      patient,
      label: phantomLabel(number, slice),
      load: () => {
        const { ct, lungMask, noduleMask } = phantomSlice(seed, number, slice, size);
        return Promise.resolve({ ct, lungMask, noduleMask, height: size, width: size });
      },
    };
  };
  return {
    train: Array.from({ length: count }, (_, i) => record(i, "")),
    val: Array.from({ length: Math.max(2, Math.floor(count / 8)) }, (_, i) => record(i, "V")),
    test: [],
    notes: ["built-in phantom: synthetic slices, no patient data"],
  };
}

/** A slice as the network takes it: planes of [height, width]. */
export interface PreparedSlice extends Size {
  id: string;
  patient: string;
  label: 0 | 1;
  /** In [-1, 1]. */
  ct: Float32Array;
  /** 0 or 1. */
  lungMask: Float32Array;
  /** 0 or 1. */
  noduleMask: Float32Array;
  /** The label in every pixel: the plane that tells the network the class. */
  classMap: Float32Array;
}

export interface PrepareOptions {
  /** Look at every CT pixel when shrinking; the original does not, so off by default. */
  antialias?: boolean;
}

/**
 * Loads a slice, windows it to [-1, 1], then resizes: CT bilinearly, masks by nearest neighbour.
 * The window comes first so that padding of -3024 HU or metal cannot bleed into its neighbours.
 */
export async function prepareSlice(
  record: SliceRecord,
  size: Size,
  window: HuWindow = LUNG_WINDOW,
  { antialias = false }: PrepareOptions = {},
): Promise<PreparedSlice> {
  const slice = await record.load();
  const ct = resizeBilinear(windowHu(slice.ct, window), slice, size, { antialias });
  const mask = (data: Uint8Array) => Float32Array.from(resizeNearest(data, slice, size));
  return {
    id: record.id,
    patient: record.patient,
    label: record.label,
    height: size.height,
    width: size.width,
    ct,
    lungMask: mask(slice.lungMask),
    noduleMask: mask(slice.noduleMask),
    classMap: new Float32Array(ct.length).fill(record.label),
  };
}

/** What is kept of a slice: 6 bytes a pixel. */
interface Kept {
  ct: Float32Array;
  lungMask: Uint8Array;
  noduleMask: Uint8Array;
}

/** Prepares records once each and keeps them, up to a limit; beyond it they are loaded each time. */
export class SliceCache {
  readonly #kept = new Map<SliceRecord, Kept>();
  readonly #classMaps: [Float32Array, Float32Array];
  #room: number;

  /** @param maxBytes memory to keep slices in; 2 GiB by default. */
  constructor(
    readonly size: Size,
    readonly window: HuWindow = LUNG_WINDOW,
    readonly options: PrepareOptions = {},
    maxBytes = 2 ** 31,
  ) {
    const pixels = size.height * size.width;
    this.#classMaps = [new Float32Array(pixels), new Float32Array(pixels).fill(1)];
    this.#room = Math.floor(maxBytes / (6 * pixels));
  }

  /** The prepared slice. `ct` and `classMap` are shared between calls, not to be written to. */
  async get(record: SliceRecord): Promise<PreparedSlice> {
    const kept = this.#kept.get(record);
    if (kept) {
      return {
        id: record.id,
        patient: record.patient,
        label: record.label,
        height: this.size.height,
        width: this.size.width,
        ct: kept.ct,
        lungMask: Float32Array.from(kept.lungMask),
        noduleMask: Float32Array.from(kept.noduleMask),
        classMap: this.#classMaps[record.label],
      };
    }
    const prepared = await prepareSlice(record, this.size, this.window, this.options);
    if (this.#room > 0 && !this.#kept.has(record)) {
      this.#room--;
      this.#kept.set(record, {
        ct: prepared.ct,
        lungMask: Uint8Array.from(prepared.lungMask),
        noduleMask: Uint8Array.from(prepared.noduleMask),
      });
    }
    return prepared;
  }
}

/**
 * Prepares every record once, filling the cache, so that a damaged file stops a run before it
 * begins.
 * @param onDone called with the number of slices done.
 * @throws InputError of the first record that cannot be used.
 */
export async function prepareAll(
  records: readonly SliceRecord[],
  cache: SliceCache,
  onDone?: (done: number) => void,
): Promise<void> {
  for (const [index, record] of records.entries()) {
    await cache.get(record);
    onDone?.(index + 1);
  }
}
