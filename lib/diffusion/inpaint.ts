/** Inpainting: a real slice stays as it is outside a drawn region, and is made anew inside it. */

import { basename, dirname, join } from "node:path";
import {
  type LoadedSlice,
  MIN_NODULE_PIXELS,
  type PreparedSlice,
  prepareSlice,
} from "../data/dataset.ts";
import { loadSlice, readPlane } from "../data/npy_dataset.ts";
import { segmentLungs } from "../data/lung_mask.ts";
import { PHANTOM_FIELD_MM } from "../data/phantom.ts";
import { resizeBilinear, resizeNearest, type Size } from "../data/resize.ts";
import { InputError } from "../errors.ts";
import { decodePng } from "../io/png.ts";
import { readFileBounded } from "../io/read.ts";
import type { SlicePreparation } from "./sampling_model.ts";

export interface Inpainting {
  /** As the network takes it; its nodule mask is the region and nodules outside it. */
  readonly slice: PreparedSlice;
  /** 1 where the slice is made anew, [H,W]. */
  readonly region: Float32Array;
  /** The slice's own HU, not windowed: what outputs hold outside the region. */
  readonly hu: Float32Array;
  readonly notes: readonly string[];
}

const SLICE_NAME = /^(.+)_slice_([^_]+)\.npy$/;
const MASK_BYTES = 2 ** 28;

/**
 * Reads a slice (HU) and a region: `x,y,r`, a circle in pixels of the slice as stored, or a mask of
 * the slice's shape (.npy, or .png from half white on). The lung mask is the file given, the one
 * beside the slice, or found by rules.
 *
 * @throws InputError naming the file or the region and what is wrong with it.
 */
export async function openInpainting(
  options: { slice: string; region: string; lungMask?: string },
  size: Size,
  preparation: SlicePreparation,
): Promise<Inpainting> {
  const { window, antialias } = preparation;
  const notes: string[] = [];
  const loaded = await loadWithMasks(options.slice, options.lungMask, notes);
  const drawn = await readRegion(options.region, options.slice, loaded);
  const record = {
    id: basename(options.slice, ".npy"),
    patient: basename(options.slice).split("_")[0],
    label: 1 as const,
    load: () => Promise.resolve(loaded),
  };
  const prepared = await prepareSlice(record, size, window, preparation);
  const region = Float32Array.from(resizeNearest(drawn, loaded, size));
  const pixels = region.reduce((a, b) => a + b, 0);
  if (pixels === 0) {
    throw new InputError(`--region ${options.region}: empty at ${size.height}×${size.width}`);
  }
  if (pixels < MIN_NODULE_PIXELS) {
    notes.push(
      `the region has ${pixels} pixels; data sets count nodules from ${MIN_NODULE_PIXELS}`,
    );
  }
  const same = loaded.height === size.height && loaded.width === size.width;
  return {
    slice: prepared,
    region,
    hu: same ? loaded.ct.slice() : resizeBilinear(loaded.ct, loaded, size, { antialias }),
    notes,
  };
}

async function loadWithMasks(
  path: string,
  lungMask: string | undefined,
  notes: string[],
): Promise<LoadedSlice> {
  const exists = (file: string) => Deno.stat(file).then(() => true, () => false);
  const match = SLICE_NAME.exec(basename(path));
  const beside = (kind: string) =>
    match && join(dirname(path), `${match[1]}_${kind}_mask_${match[2]}.npy`);
  const lung = lungMask ?? beside("lung"), nodule = beside("nodule");
  const noduleFile = nodule && await exists(nodule) ? nodule : undefined;
  if (lung && (lungMask || await exists(lung))) return await loadSlice(path, lung, noduleFile);
  const loaded = await loadSlice(path, undefined, noduleFile);
  const { labels } = segmentLungs({
    hu: Int16Array.from(loaded.ct, (v) => Math.max(-1024, Math.min(4000, v))),
    slices: 1,
    rows: loaded.height,
    columns: loaded.width,
    pixelSpacing: [PHANTOM_FIELD_MM / loaded.height, PHANTOM_FIELD_MM / loaded.width],
    sliceSpacing: 0,
  });
  const found = Uint8Array.from(labels, (v) => v ? 1 : 0);
  if (!found.includes(1)) {
    throw new InputError(`${path}: no lung mask beside it and no lung found: give --lung-mask`);
  }
  notes.push(`${path}: no lung mask beside it: found by rules, at ${PHANTOM_FIELD_MM} mm across`);
  return { ...loaded, lungMask: found };
}

/** [H,W] of the slice, 0 or 1. */
async function readRegion(region: string, slice: string, size: Size): Promise<Uint8Array> {
  const { height, width } = size;
  const circle = region.split(",").map(Number);
  if (circle.length === 3 && circle.every(Number.isFinite)) {
    const [cx, cy, r] = circle;
    if (!(r > 0) || cx < 0 || cy < 0 || cx >= width || cy >= height) {
      throw new InputError(
        `--region ${region}: x, y must be in [0,${width}) and [0,${height}), r above 0`,
      );
    }
    return Uint8Array.from({ length: height * width }, (_, i) => {
      const dx = i % width - cx, dy = Math.floor(i / width) - cy;
      return dx * dx + dy * dy <= r * r ? 1 : 0;
    });
  }
  const wrong = (h: number, w: number) =>
    new InputError(
      `${region}: region [${h},${w}] must have the shape of ${slice} [${height},${width}]`,
    );
  if (region.endsWith(".png")) {
    const image = decodePng(await readFileBounded(region, MASK_BYTES), region);
    if (image.height !== height || image.width !== width) throw wrong(image.height, image.width);
    const half = image.data instanceof Uint16Array ? 32768 : 128;
    const at = (i: number) => image.data[i * image.channels];
    return Uint8Array.from({ length: height * width }, (_, i) => at(i) >= half ? 1 : 0);
  }
  if (!region.endsWith(".npy")) {
    throw new InputError(`--region ${region}: a circle x,y,r or a mask (.npy, .png) needed`);
  }
  const mask = await readPlane(region);
  if (mask.height !== height || mask.width !== width) throw wrong(mask.height, mask.width);
  return Uint8Array.from(mask.data, (v) => v > 0 ? 1 : 0);
}
