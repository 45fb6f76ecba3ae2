/** Slices to train on: what a data set is, the built-in phantom, and how slices become planes. */

import { InputError } from "../errors.ts";
import { PHANTOM_FIELD_MM, PHANTOM_SLICES, phantomLabel, phantomSlice } from "./phantom.ts";
import { resizeArea, resizeBilinear, resizeNearest, type Size } from "./resize.ts";
import type { PixelSpacing } from "./spacing.ts";
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
  /** mm between rows, between columns, where it is known. */
  spacing?: PixelSpacing;
  /** How often it is trained on beside others; 1 where absent. */
  weight?: number;
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

/** Among the notes of the built-in phantom. */
export const PHANTOM_NOTE = "built-in phantom: synthetic slices, no patient data";

/** Fewer pixels than these do not make a slice positive (the original project's rule). */
export const MIN_NODULE_PIXELS = 10;

const MIN_SIDE = 16;

/** @throws InputError where a slice is no picture of a chest but, say, a row of it. */
export function requireSide({ height, width }: Size, path: string): void {
  if (Math.min(height, width) >= MIN_SIDE) return;
  throw new InputError(
    `Cannot use "${path}": a slice of [${height},${width}], at least ${MIN_SIDE} pixels a side`,
  );
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
      spacing: [PHANTOM_FIELD_MM / size, PHANTOM_FIELD_MM / size],
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
    notes: [PHANTOM_NOTE],
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
  /** 0 or 1; for {@link Condition} `nodule-mask` each pixel's coverage, in steps of 1/255. */
  noduleMask: Float32Array;
  /** The plane that tells the network what to make: see {@link Condition}. */
  classMap: Float32Array;
}

/**
 * What the network's second plane holds: `class`, the label in every pixel, as the original has it;
 * or `nodule-mask`, the nodules' mask, so that the network learns where a nodule is. Zeros mean no
 * nodule in both.
 */
export const CONDITIONS = ["class", "nodule-mask"] as const;
export type Condition = (typeof CONDITIONS)[number];

export interface PrepareOptions {
  /** Look at every CT pixel when shrinking; the original does not, so off by default. */
  antialias?: boolean;
  /** `class` by default. */
  condition?: Condition;
}

/**
 * Loads a slice, windows it to [-1, 1], then resizes: CT bilinearly, masks by nearest neighbour;
 * with the condition `nodule-mask` the nodules' mask by area, so that small ones do not vanish.
 * The window comes first so that padding of -3024 HU or metal cannot bleed into its neighbours.
 */
export async function prepareSlice(
  record: SliceRecord,
  size: Size,
  window: HuWindow = LUNG_WINDOW,
  { antialias = false, condition = "class" }: PrepareOptions = {},
): Promise<PreparedSlice> {
  const slice = await record.load();
  const ct = resizeBilinear(windowHu(slice.ct, window), slice, size, { antialias });
  const mask = (data: Uint8Array) => Float32Array.from(resizeNearest(data, slice, size));
  const noduleMask = condition === "class"
    ? mask(slice.noduleMask)
    : coverage(resizeArea(slice.noduleMask, slice, size));
  return {
    id: record.id,
    patient: record.patient,
    label: record.label,
    height: size.height,
    width: size.width,
    ct,
    lungMask: mask(slice.lungMask),
    noduleMask,
    classMap: condition === "class" ? new Float32Array(ct.length).fill(record.label) : noduleMask,
  };
}

/** In steps of 1/255, so that a byte holds it; what is covered at all is never 0. */
export function coverage(share: Float32Array): Float32Array {
  return share.map((v) => v > 0 ? Math.min(255, Math.max(1, Math.round(v * 255))) / 255 : 0);
}

/** What is kept of a slice: 6 bytes a pixel. */
interface Kept {
  ct: Float32Array;
  lungMask: Uint8Array;
  /** Of 255. */
  noduleMask: Uint8Array;
}

/** Prepares records once each and keeps them, up to a limit; beyond it they are loaded each time. */
export class SliceCache {
  readonly size: Size;
  readonly window: HuWindow;
  readonly options: PrepareOptions;
  readonly #kept = new Map<SliceRecord, Kept>();
  readonly #classMaps: [Float32Array, Float32Array];
  #room: number;

  /** @param maxBytes memory to keep slices in; 2 GiB by default. */
  constructor(
    size: Size,
    window: HuWindow = LUNG_WINDOW,
    options: PrepareOptions = {},
    maxBytes = 2 ** 31,
  ) {
    this.size = size;
    this.window = window;
    this.options = options;
    const pixels = size.height * size.width;
    this.#classMaps = [new Float32Array(pixels), new Float32Array(pixels).fill(1)];
    this.#room = Math.floor(maxBytes / (6 * pixels));
  }

  /** The prepared slice. `ct` and `classMap` are shared between calls, not to be written to. */
  async get(record: SliceRecord): Promise<PreparedSlice> {
    const kept = this.#kept.get(record);
    if (kept) {
      const noduleMask = Float32Array.from(kept.noduleMask, (v) => v / 255);
      return {
        id: record.id,
        patient: record.patient,
        label: record.label,
        height: this.size.height,
        width: this.size.width,
        ct: kept.ct,
        lungMask: Float32Array.from(kept.lungMask),
        noduleMask,
        classMap: this.options.condition === "nodule-mask"
          ? noduleMask
          : this.#classMaps[record.label],
      };
    }
    const prepared = await prepareSlice(record, this.size, this.window, this.options);
    if (this.#room > 0 && !this.#kept.has(record)) {
      this.#room--;
      this.#kept.set(record, {
        ct: prepared.ct,
        lungMask: Uint8Array.from(prepared.lungMask),
        noduleMask: Uint8Array.from(prepared.noduleMask, (v) => Math.round(v * 255)),
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
