/** Patches of slices at a spacing of their own, as a data set: half of them around nodules. */

import { InputError } from "../errors.ts";
import { PhiloxStream } from "../random/philox.ts";
import { type Dataset, type LoadedSlice, MIN_NODULE_PIXELS, type SliceRecord } from "./dataset.ts";
import { labelRegions } from "./lung/components.ts";
import type { Size } from "./resize.ts";
import type { PixelSpacing } from "./spacing.ts";

export interface CropOptions {
  /** Side of a patch in the network's pixels, and mm between those. */
  readonly pixels: number;
  readonly spacing: number;
  /** Patches of each slice anywhere in its lungs; as many more around its nodules. */
  readonly perSlice: number;
  readonly seed: number;
  /** mm from left to right of slices of which nothing says it; null: they are refused. */
  readonly fieldMm?: number | null;
  readonly onDone?: (done: number, total: number) => void;
}

/** A part of a slice; `x` and `y` of its first pixel. */
export interface Window extends Size {
  readonly x: number;
  readonly y: number;
}

/** Patches kept in memory, of the slices that were read to choose them. */
const KEPT_BYTES = 2 ** 29;
/** Places tried for a patch without a nodule. */
const TRIES = 64;
/** Pixels that a nodule keeps from the patch's edge, if there is room. */
const MARGIN = 2;
/** Keeps these draws apart from others with the same seed. */
const STREAM = 0x4300 * 2 ** 32;

/**
 * How many of a slice's pixels a patch covers.
 *
 * @throws InputError where the spacing is not known or the slice is smaller.
 */
export function patchSize(
  name: string,
  slice: Size,
  spacing: PixelSpacing | undefined,
  { pixels, spacing: mm, fieldMm }: Pick<CropOptions, "pixels" | "spacing" | "fieldMm">,
): Size {
  const known = spacing ?? (fieldMm ? [fieldMm / slice.width, fieldMm / slice.width] : undefined);
  if (!known) {
    throw new InputError(
      `${name}: patches of ${mm} mm a pixel need its pixel spacing, which nothing says: give ` +
        "--field-mm, the width of a slice in mm",
    );
  }
  const side = pixels * mm;
  const [height, width] = known.map((own) => Math.round(side / own));
  if (height > slice.height || width > slice.width || height < 2 || width < 2) {
    const across = known.map((own, i) => (own * (i ? slice.width : slice.height)).toFixed(1));
    throw new InputError(
      `${name}: a patch of ${pixels} pixels of ${mm} mm is ${side.toFixed(1)} mm wide and does ` +
        `not fit a slice of ${across.join(" × ")} mm`,
    );
  }
  return { height, width };
}

/** The window of this size around a place, moved into the slice where it would leave it. */
export function windowAround(x: number, y: number, size: Size, slice: Size): Window {
  const start = (at: number, length: number, whole: number) =>
    Math.min(whole - length, Math.max(0, Math.round(at - (length - 1) / 2)));
  return {
    x: start(x, size.width, slice.width),
    y: start(y, size.height, slice.height),
    ...size,
  };
}

/** The values of a plane inside a window. */
export function cutPlane<T extends Uint8Array | Float32Array>(
  plane: T,
  width: number,
  window: Window,
): T {
  const out = new (plane.constructor as new (length: number) => T)(window.height * window.width);
  for (let row = 0; row < window.height; row++) {
    const from = (window.y + row) * width + window.x;
    out.set(plane.subarray(from, from + window.width) as never, row * window.width);
  }
  return out;
}

export function cutSlice(slice: LoadedSlice, window: Window): LoadedSlice {
  const cut = <T extends Uint8Array | Float32Array>(plane: T) =>
    cutPlane(plane, slice.width, window);
  return {
    ct: cut(slice.ct),
    lungMask: cut(slice.lungMask),
    noduleMask: cut(slice.noduleMask),
    height: window.height,
    width: window.width,
  };
}

/**
 * The data set's slices as patches: of each slice `perSlice` that are free of nodules, at places of
 * chance in its lungs, and of one with nodules as many that hold one of them whole, anywhere in the
 * patch. A function of the slices and the seed. Every slice is read once to choose them.
 *
 * @throws InputError of a slice that cannot be read, has no spacing or is too small.
 */
export async function cropDataset(dataset: Dataset, options: CropOptions): Promise<Dataset> {
  const total = dataset.train.length + dataset.val.length + dataset.test.length;
  const reader = new SliceReader();
  let done = 0, crowded = 0;
  const crop = async (records: readonly SliceRecord[]) => {
    const out: SliceRecord[] = [];
    for (const record of records) {
      const patches = await cropsOf(record, reader, options);
      if (patches.filter(({ label }) => label === 0).length < options.perSlice) crowded++;
      out.push(...patches);
      options.onDone?.(++done, total);
    }
    return out;
  };
  const [train, val, test] = [
    await crop(dataset.train),
    await crop(dataset.val),
    await crop(dataset.test),
  ];
  const notes = [
    ...dataset.notes,
    `patches of ${options.pixels}² pixels of ${options.spacing} mm: ${train.length} to train on, ` +
    `${val.length} for validation, ${test.length} for tests`,
  ];
  if (crowded) {
    notes.push(`${crowded} of ${total} slices have no lung, or not everywhere room beside nodules`);
  }
  return { train, val, test, notes };
}

async function cropsOf(
  record: SliceRecord,
  reader: SliceReader,
  options: CropOptions,
): Promise<SliceRecord[]> {
  const slice = await reader.read(record);
  const size = patchSize(record.id, slice, record.spacing, options);
  const random = new PhiloxStream(options.seed, STREAM + hashOf(record.id));
  const spacing: PixelSpacing = [
    options.pixels * options.spacing / size.height,
    options.pixels * options.spacing / size.width,
  ];
  const { lungMask, noduleMask, width } = slice;
  const out: SliceRecord[] = [];
  const add = (kind: string, label: 0 | 1, window: Window) => {
    const id = `${record.id}_${kind}${out.length}`;
    const kept = reader.keep(() => cutSlice(slice, window));
    out.push({
      ...{ id, label, spacing, weight: record.weight },
      patient: record.patient,
      load: async () => kept ?? cutSlice(await reader.read(record), window),
    });
  };
  const nodules = record.label === 1 ? nodulesOf(slice) : [];
  for (let k = 0; k < options.perSlice && nodules.length > 0; k++) {
    const { x, y, height, width } = nodules[k % nodules.length];
    // The patch's centre lies so far from the nodule's that the nodule is whole in it.
    const away = (patch: number, own: number) =>
      random.range(-1, 1) * Math.max(0, (patch - own) / 2 - MARGIN);
    const dx = away(size.width, width), dy = away(size.height, height);
    const centre = [x + (width - 1) / 2 + dx, y + (height - 1) / 2 + dy];
    add("nodule", 1, windowAround(centre[0], centre[1], size, slice));
  }
  const lung: number[] = [];
  lungMask.forEach((v, i) => v && lung.push(i));
  for (
    let tries = 0, found = 0;
    tries < TRIES && found < options.perSlice && lung.length;
    tries++
  ) {
    const at = lung[Math.floor(random.uniform() * lung.length)];
    const window = windowAround(at % width, Math.floor(at / width), size, slice);
    if (cutPlane(noduleMask, width, window).includes(1)) continue;
    add("lung", 0, window);
    found++;
  }
  return out;
}

/** Boxes around nodules that count as such, or around the largest piece where none does. */
function nodulesOf({ noduleMask, height, width }: LoadedSlice): Window[] {
  const negative = Int16Array.from(noduleMask, (v) => -v);
  const { regions } = labelRegions(negative, 1, height, width, 0);
  return regions.sort((a, b) => b.pixels - a.pixels)
    .filter(({ pixels }, i) => i === 0 || pixels >= MIN_NODULE_PIXELS)
    .map(({ x0, x1, y0, y1 }) => ({ x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0 + 1 }));
}

/** 32 bits of FNV-1a: a slice's patches do not hang on which others there are. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash;
}

/** Reads slices; patches of one are asked for one after another. */
class SliceReader {
  #last: { record: SliceRecord; slice: Promise<LoadedSlice> } | undefined;
  #room = KEPT_BYTES;

  read(record: SliceRecord): Promise<LoadedSlice> {
    if (this.#last?.record !== record) this.#last = { record, slice: record.load() };
    return this.#last.slice;
  }

  /** A patch to hold on to, while there is room for it. */
  keep(cut: () => LoadedSlice): LoadedSlice | undefined {
    if (this.#room <= 0) return undefined;
    const patch = cut();
    this.#room -= 6 * patch.ct.length;
    return patch;
  }
}
