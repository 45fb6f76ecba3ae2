/**
 * Inpainting: a slice stays as it is outside a region, which is made anew; all at the slice's own size.
 * A model of whole slices sees the slice shrunk, one of patches sees the piece around the region.
 */

import { basename, dirname, join } from "node:path";
import { cutPlane, patchSize, type Window, windowAround } from "../data/crops.ts";
import { type LoadedSlice, MIN_NODULE_PIXELS } from "../data/dataset.ts";
import { huFault } from "../data/hu_range.ts";
import { segmentLungs } from "../data/lung_mask.ts";
import { type Nodule, noduleMask } from "../data/nodule_shape.ts";
import { type OneSlice, readOneSlice } from "../data/one_slice.ts";
import type { Size } from "../data/resize.ts";
import type { PixelSpacing } from "../data/spacing.ts";
import { InputError } from "../errors.ts";
import { LIMITS } from "../io/limits.ts";
import { decodePng } from "../io/png.ts";
import { readFileBounded } from "../io/read.ts";
import { placeNodules } from "./nodules.ts";
import type { SlicePreparation } from "./sampling_model.ts";

export interface InpaintRequest {
  /** DICOM, a volume or `.npy`; `index` says which slice of a volume. */
  readonly slice: string;
  readonly index?: number;
  /** Either `x,y,r`, a circle in pixels, or a mask of the slice's shape (.npy, .png, a volume) … */
  readonly region?: string;
  /** … or nodules; each is made with a margin around it. */
  readonly nodules?: readonly Omit<Nodule, "seed" | "shape">[];
  readonly lungMask?: string;
  /** mm from left to right where the file does not say its spacing, and whether the user said so. */
  readonly fieldMm: number;
  readonly isFieldGiven: boolean;
  /** Of the nodules' shapes. */
  readonly seed: number;
}

/** What is made anew at a time: a window of the slice as the network sees it. Planes of the window. */
export interface InpaintPart {
  readonly window: Window;
  /** 1 where it is made anew. */
  readonly region: Uint8Array;
  /** 1 where a nodule is asked for. */
  readonly nodules: Uint8Array;
}

export interface Inpainting {
  readonly id: string;
  /** The slice as its file has it, in HU, with its masks. */
  readonly slice: LoadedSlice;
  readonly file: OneSlice;
  readonly spacing: PixelSpacing;
  readonly notes: readonly string[];
  /** The parts of variant `number`, in the order they are made. Shapes of nodules differ. */
  partsOf(number: number): InpaintPart[];
}

const SLICE_NAME = /^(.+)_slice_([^_]+)\.npy$/;
/** A region or nodule must have this many of the model's pixels. */
const LEAST_PIXELS = 3;
/** Share of a region that must lie in the lung. */
const IN_LUNG = 0.5;
/** mm around a nodule that are made anew with it, so that it blends in; one of the model's pixels at least. */
const MARGIN_MM = 2;

/**
 * Opens a slice and what is to be made in it. The lung mask is the file given, the one beside a slice
 * of the `.npy` layout, or found by rules.
 *
 * @param size of the model's images. @param count of variants, whose nodules are all checked.
 * @throws InputError naming the file or the region and what is wrong with it.
 */
export async function openInpainting(
  request: InpaintRequest,
  size: Size,
  preparation: SlicePreparation,
  count: number,
): Promise<Inpainting> {
  const file = await readOneSlice(request.slice, request.index);
  const notes = [...file.notes];
  const spacing = file.spacing ??
    [request.fieldMm / file.width, request.fieldMm / file.width] as const;
  if (!file.spacing && !request.isFieldGiven) {
    notes.push(
      `${request.slice} does not say its pixel spacing: ${request.fieldMm} mm across are assumed ` +
        "(--field-mm)",
    );
  }
  const slice = await withMasks(request, file, spacing, notes);
  const fault = huFault(slice.ct, slice.lungMask);
  if (fault) notes.push(`${request.slice}: ${fault}`);
  const plan = { request, slice, spacing, size, patch: preparation.spacing };
  const drawn = request.region ? await readRegion(request, slice) : undefined;
  const partsOf = drawn
    ? () => [regionPart(plan, drawn)]
    : (number: number) => noduleParts(plan, number);
  for (let number = 0; number < (drawn ? 1 : count); number++) partsOf(number);
  if (drawn && drawn.reduce((a, b) => a + b, 0) < MIN_NODULE_PIXELS) {
    notes.push(`the region is small: data sets count nodules from ${MIN_NODULE_PIXELS} pixels`);
  }
  notes.push(`outside the region the images are ${request.slice}'s own: data of its patient`);
  const id = basename(request.slice).replace(/\.(npy|dcm|nii\.gz|[a-z]+)$/i, "");
  return { id, slice, file, spacing, notes, partsOf };
}

interface Plan {
  request: InpaintRequest;
  slice: LoadedSlice;
  spacing: PixelSpacing;
  size: Size;
  /** mm between the pixels of a model of patches. */
  patch: number | undefined;
}

/** mm between the model's rows, columns. */
function modelSpacing({ slice, spacing, size, patch }: Plan): [number, number] {
  if (patch) return [patch, patch];
  return [spacing[0] * slice.height / size.height, spacing[1] * slice.width / size.width];
}

/** @throws InputError where what is asked for is too small for the model. */
function checkArea(plan: Plan, mask: Uint8Array, what: string): void {
  const [rows, columns] = modelSpacing(plan), [row, column] = plan.spacing;
  const pixels = mask.reduce((a, b) => a + b, 0) * row * column / (rows * columns);
  if (pixels >= LEAST_PIXELS) return;
  throw new InputError(
    `${what}: ${pixels.toFixed(1)} of the model's pixels of ${rows.toFixed(1)} mm, under ` +
      `${LEAST_PIXELS}: ask for more, or take a model of patches (train --crop)`,
  );
}

/** The window of the model around a mask. @throws InputError where the mask does not fit. */
function windowOf(plan: Plan, mask: Uint8Array, what: string): Window {
  const { slice, spacing, size, patch } = plan;
  if (!patch) return { x: 0, y: 0, height: slice.height, width: slice.width };
  const pixels = { pixels: size.width, spacing: patch };
  const window = patchSize(plan.request.slice, slice, spacing, pixels);
  let [left, right, top, bottom] = [slice.width, -1, slice.height, -1];
  mask.forEach((v, i) => {
    if (!v) return;
    const x = i % slice.width, y = Math.floor(i / slice.width);
    [left, right, top] = [Math.min(left, x), Math.max(right, x), Math.min(top, y)];
    bottom = y;
  });
  if (right - left + 1 > window.width || bottom - top + 1 > window.height) {
    const mm = (Math.max(right - left, bottom - top) + 1) * spacing[1];
    throw new InputError(
      `${what}: ${mm.toFixed(1)} mm wide, the model's patches are ` +
        `${(size.width * patch).toFixed(1)} mm`,
    );
  }
  return windowAround((left + right) / 2, (top + bottom) / 2, window, slice);
}

function partOf(plan: Plan, region: Uint8Array, nodules: Uint8Array, what: string): InpaintPart {
  const window = windowOf(plan, region, what), { width } = plan.slice;
  return {
    window,
    region: cutPlane(region, width, window),
    nodules: cutPlane(nodules, width, window),
  };
}

function regionPart(plan: Plan, drawn: Uint8Array): InpaintPart {
  const what = `--region ${plan.request.region}`, { lungMask } = plan.slice;
  let all = 0, inside = 0;
  drawn.forEach((v, i) => {
    all += v;
    inside += v & lungMask[i];
  });
  if (all === 0) throw new InputError(`${what}: no pixel of the slice lies in it`);
  checkArea(plan, drawn, what);
  if (inside < IN_LUNG * all) {
    throw new InputError(
      `${what}: ${Math.round(100 * inside / all)}% of it lies in the lung, at least ` +
        `${100 * IN_LUNG}% must`,
    );
  }
  return partOf(plan, drawn, drawn, what);
}

/** A part for each nodule, or of a model of whole slices one for all. */
function noduleParts(plan: Plan, number: number): InpaintPart[] {
  const { request, slice, spacing, patch } = plan, { slice: name, seed } = request;
  if (Math.abs(spacing[0] / spacing[1] - 1) > 0.01) {
    throw new InputError(
      `${name}: pixels of ${spacing.join(" × ")} mm are not square: use --region`,
    );
  }
  const at = { kind: "at", nodules: request.nodules ?? [] } as const;
  const { nodules } = placeNodules(slice, at, spacing[1], seed, number, name);
  const margin = Math.max(MARGIN_MM, ...modelSpacing(plan)) / spacing[1];
  const made = nodules.map((nodule) => {
    const what = `--nodule ${nodule.x},${nodule.y},${nodule.diameterMm}`;
    const mask = noduleMask(nodule, slice, spacing[1]).map((v, i) => v & slice.lungMask[i]);
    checkArea(plan, mask, what);
    const region = dilated(mask, slice, margin).map((v, i) => v & slice.lungMask[i]);
    return { mask, region, what };
  });
  if (patch) return made.map(({ mask, region, what }) => partOf(plan, region, mask, what));
  const union = (planes: Uint8Array[]) =>
    planes.reduce((all, plane) => all.map((v, i) => v | plane[i]));
  return [partOf(plan, union(made.map((m) => m.region)), union(made.map((m) => m.mask)), "")];
}

/** Grown by a disc of this radius, in pixels. */
function dilated(mask: Uint8Array, { height, width }: Size, radius: number): Uint8Array {
  const out = mask.slice(), reach = Math.floor(radius);
  mask.forEach((v, i) => {
    if (!v) return;
    const cx = i % width, cy = Math.floor(i / width);
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const x = cx + dx, y = cy + dy;
        if (dx * dx + dy * dy > radius * radius) continue;
        if (x >= 0 && y >= 0 && x < width && y < height) out[y * width + x] = 1;
      }
    }
  });
  return out;
}

async function withMasks(
  { slice: path, index, lungMask }: InpaintRequest,
  file: OneSlice,
  spacing: PixelSpacing,
  notes: string[],
): Promise<LoadedSlice> {
  const { hu: ct, height, width } = file, size = { height, width };
  const exists = (name: string) => Deno.stat(name).then(() => true, () => false);
  const match = SLICE_NAME.exec(basename(path));
  const beside = async (kind: string) => {
    const name = match && join(dirname(path), `${match[1]}_${kind}_mask_${match[2]}.npy`);
    return name && await exists(name) ? name : undefined;
  };
  const lung = lungMask ?? await beside("lung"), nodule = await beside("nodule");
  const noduleMask = nodule
    ? await readMask(nodule, index, path, size)
    : new Uint8Array(height * width);
  if (lung) {
    return { ct, ...size, lungMask: await readMask(lung, index, path, size), noduleMask };
  }
  const { labels } = segmentLungs({
    hu: Int16Array.from(ct, (v) => Math.max(-1024, Math.min(4000, v))),
    slices: 1,
    rows: height,
    columns: width,
    pixelSpacing: spacing,
    sliceSpacing: 0,
  });
  const found = Uint8Array.from(labels, (v) => v ? 1 : 0);
  if (!found.includes(1)) {
    throw new InputError(`${path}: no lung mask beside it and no lung found: give --lung-mask`);
  }
  notes.push(`${path}: no lung mask beside it: found by rules`);
  return { ct, ...size, lungMask: found, noduleMask };
}

/** A mask of the slice's shape, 0 or 1: a PNG from half white on, else what is above 0. */
async function readMask(
  path: string,
  index: number | undefined,
  slice: string,
  { height, width }: Size,
): Promise<Uint8Array> {
  const check = (h: number, w: number) => {
    if (h === height && w === width) return;
    throw new InputError(
      `${path}: mask [${h},${w}] must have the shape of ${slice} [${height},${width}]`,
    );
  };
  if (/\.png$/i.test(path)) {
    const image = decodePng(await readFileBounded(path, LIMITS.image.file), path);
    check(image.height, image.width);
    const half = image.data instanceof Uint16Array ? 32768 : 128;
    const at = (i: number) => image.data[i * image.channels];
    return Uint8Array.from({ length: height * width }, (_, i) => at(i) >= half ? 1 : 0);
  }
  // A mask of one slice belongs to any slice of a volume.
  const mask = await readOneSlice(path, index).catch(async (error) => {
    if (index === undefined) throw error;
    return await readOneSlice(path).catch(() => {
      throw error;
    });
  });
  check(mask.height, mask.width);
  const negative = mask.hu.find((v) => v < 0);
  if (negative !== undefined) {
    throw new InputError(`Cannot use "${path}": a mask with ${negative} in it: 0 and above needed`);
  }
  return Uint8Array.from(mask.hu, (v) => v > 0 ? 1 : 0);
}

/** [H,W] of the slice, 0 or 1. */
async function readRegion(
  { region = "", slice, index }: InpaintRequest,
  size: Size,
): Promise<Uint8Array> {
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
  if (!/\.[a-z]/i.test(region)) {
    throw new InputError(`--region ${region}: a circle x,y,r or a mask (.npy, .png) needed`);
  }
  return await readMask(region, index, slice, size);
}
