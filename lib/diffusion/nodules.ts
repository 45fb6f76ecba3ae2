/** Which nodules an image is asked to show: places in a slice's lungs, and their masks. */

import { coverage, type LoadedSlice, type PreparedSlice } from "../data/dataset.ts";
import { type Nodule, NODULE_SHAPES, noduleMask } from "../data/nodule_shape.ts";
import { resizeArea, type Size } from "../data/resize.ts";
import { InputError } from "../errors.ts";
import { PhiloxStream } from "../random/philox.ts";

/** mm. Smaller ones are not called nodules, larger ones masses. */
export const DIAMETERS = { least: 3, most: 40 } as const;
/** mm that a nodule of chance keeps from the mediastinum, and nodules from each other. */
const APART_MM = 4;
/** Share of a nodule's area that must lie in the lung. */
const IN_LUNG = 0.95;
const ON_WALL = 0.6;
/** mm beyond what is kept from the mediastinum that still count as near it. */
const NEAR_MM = 10;
const TRIES = 4000;
/** Keeps these draws apart from others with the same seed. */
const STREAM = 0x4F00 * 2 ** 32;

/** Where nodules come from: `--nodule`, `--nodules own` or `--nodules random[:N]`. */
export type Placement =
  | { readonly kind: "at"; readonly nodules: readonly Omit<Nodule, "seed" | "shape">[] }
  | { readonly kind: "own" }
  | {
    readonly kind: "random";
    readonly count: number;
    /** mm, from and to. */
    readonly diameter: readonly [number, number];
    /** Exactly these, in mm, in place of ones of chance. */
    readonly diameters?: readonly number[];
    /** On the chest wall, cut off by it; or near the mediastinum, where vessels are large. */
    readonly near?: "wall" | "mediastinum";
  };

/** `x,y,diameter_mm`. @throws InputError. */
export function parseNodule(text: string): Omit<Nodule, "seed" | "shape"> {
  const numbers = text.split(",").map((part) => part.trim() === "" ? NaN : Number(part));
  const [x, y, diameterMm] = numbers;
  if (numbers.length !== 3 || !numbers.every(Number.isFinite)) {
    throw new InputError(`--nodule ${text}: x,y,diameter needed, pixels of the slice and mm`);
  }
  if (diameterMm < DIAMETERS.least || diameterMm > DIAMETERS.most) {
    throw new InputError(
      `--nodule ${text}: a diameter from ${DIAMETERS.least} to ${DIAMETERS.most} mm needed`,
    );
  }
  return { x, y, diameterMm };
}

/** `own`, `random` or `random:N`, with `--diameter LOW-HIGH` (or one number). @throws InputError. */
export function parsePlacement(text: string, diameter: string): Placement {
  if (text === "own") return { kind: "own" };
  const count = Number(/^random(?::([1-9]\d?))?$/.exec(text)?.[1] ?? (text === "random" ? 1 : NaN));
  if (!count) throw new InputError(`--nodules ${text}: own, random or random:N (1 to 99) needed`);
  const ends = /^(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?$/.exec(diameter);
  const [low, high] = [Number(ends?.[1]), Number(ends?.[2] ?? ends?.[1])];
  if (!(low >= DIAMETERS.least && low <= high && high <= DIAMETERS.most)) {
    throw new InputError(
      `--diameter ${diameter}: LOW-HIGH in mm needed, from ${DIAMETERS.least} to ${DIAMETERS.most}`,
    );
  }
  return { kind: "random", count, diameter: [low, high] };
}

/** Nodules of a slice, and where they are at its own size. */
export interface Placed {
  /** Empty where the slice's own are taken. */
  readonly nodules: readonly Nodule[];
  /** [height, width] of the slice as stored, 0 or 1. */
  readonly mask: Uint8Array;
}

/**
 * Puts nodules into a slice.
 *
 * @param spacingMm between the slice's pixels. @param seed of shapes and of chance.
 * @param number of the image, which has others. @param name of the slice, for messages.
 * @throws InputError where there is no room, or an asked-for place is not in the lung.
 */
export function placeNodules(
  slice: LoadedSlice,
  placement: Placement,
  spacingMm: number,
  seed: number,
  number: number,
  name: string,
): Placed {
  if (placement.kind === "own") {
    if (!slice.noduleMask.includes(1)) {
      throw new InputError(`${name}: --nodules own, but the slice has none`);
    }
    return { nodules: [], mask: slice.noduleMask };
  }
  const random = new PhiloxStream(seed, STREAM + number);
  const mask = new Uint8Array(slice.noduleMask.length);
  const nodules = placement.kind === "at"
    ? placement.nodules.map((nodule) => ({ ...nodule, ...shapeOf(random) }))
    : chance(slice, placement, spacingMm, random, name);
  for (const nodule of nodules) {
    const own = noduleMask(nodule, slice, spacingMm);
    const inLung = share(own, slice.lungMask);
    if (!(inLung >= ON_WALL)) {
      const { x, y, diameterMm } = nodule;
      throw new InputError(
        `${name}: --nodule ${x},${y},${diameterMm}: ` +
          (Number.isNaN(inLung)
            ? `the slice has pixels 0 to ${slice.width - 1} by 0 to ${slice.height - 1}`
            : `${Math.round(100 * inLung)}% of it lies in the lung, at least ` +
              `${100 * ON_WALL}% must`),
      );
    }
    own.forEach((v, i) => mask[i] ||= v & slice.lungMask[i]);
  }
  return { nodules, mask };
}

const shapeOf = (random: PhiloxStream) => ({
  shape: NODULE_SHAPES[Math.floor(random.uniform() * NODULE_SHAPES.length)],
  seed: random.nextUint32(),
});

/** NaN where the nodule has no pixel. */
function share(nodule: Uint8Array, lungs: Uint8Array): number {
  let all = 0, inside = 0;
  nodule.forEach((v, i) => {
    all += v;
    inside += v & lungs[i];
  });
  return inside / all;
}

/** Nodules at places of chance: in the lung, clear of the mediastinum and of each other. */
function chance(
  slice: LoadedSlice,
  { count, diameter: [low, high], diameters, near }: Extract<Placement, { kind: "random" }>,
  spacingMm: number,
  random: PhiloxStream,
  name: string,
): Nodule[] {
  const { height, width, lungMask } = slice;
  const places: number[] = [];
  lungMask.forEach((v, i) => v && places.push(i));
  const between = betweenLungs(slice);
  const nodules: Nodule[] = [];
  for (let tries = 0; nodules.length < count; tries++) {
    if (tries === TRIES || places.length === 0) {
      throw new InputError(
        `${name}: no room for ${count} nodules of ${low} to ${high} mm in its lungs: take smaller ` +
          "ones (--diameter), fewer, or other slices",
      );
    }
    // Where large ones do not fit, smaller ones are tried.
    const most = low + (high - low) * (1 - tries / TRIES);
    const diameterMm = diameters?.[nodules.length] ??
      Math.exp(random.range(Math.log(low), Math.log(Math.max(low, most))));
    const at = places[Math.floor(random.uniform() * places.length)];
    const [x, y] = [at % width, Math.floor(at / width)];
    const nodule = { x, y, diameterMm: Number(diameterMm.toFixed(2)), ...shapeOf(random) };
    const clear = (diameterMm / 2 + APART_MM) / spacingMm;
    const touches = (other: Nodule) =>
      Math.hypot(x - other.x, y - other.y) < clear + other.diameterMm / 2 / spacingMm;
    if (nodules.some(touches)) continue;
    const size = { height, width };
    if (anyWithin(between, size, x, y, clear)) continue;
    const isNear = near === "mediastinum" &&
      anyWithin(between, size, x, y, clear + NEAR_MM / spacingMm);
    if (near === "mediastinum" && !isNear) continue;
    const inLung = share(noduleMask(nodule, slice, spacingMm), lungMask);
    if (near === "wall" ? inLung < ON_WALL || inLung >= IN_LUNG : inLung < IN_LUNG) continue;
    nodules.push(nodule);
  }
  return nodules;
}

/** What of each row lies between lungs but is none: the mediastinum, more or less. */
function betweenLungs({ height, width, lungMask }: LoadedSlice): Uint8Array {
  const out = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    const row = lungMask.subarray(y * width, (y + 1) * width);
    const first = row.indexOf(1), last = row.lastIndexOf(1);
    for (let x = first; x >= 0 && x < last; x++) if (!row[x]) out[y * width + x] = 1;
  }
  return out;
}

function anyWithin(mask: Uint8Array, size: Size, cx: number, cy: number, radius: number): boolean {
  const reach = Math.ceil(radius);
  for (let y = Math.max(0, cy - reach); y <= Math.min(size.height - 1, cy + reach); y++) {
    for (let x = Math.max(0, cx - reach); x <= Math.min(size.width - 1, cx + reach); x++) {
      if (mask[y * size.width + x] && Math.hypot(x - cx, y - cy) <= radius) return true;
    }
  }
  return false;
}

/**
 * A mask of whole pixels from coverage: what is covered by half. A nodule smaller than a pixel keeps
 * the one it covers most.
 */
export function wholePixels(covered: Float32Array): Float32Array {
  const most = covered.reduce((a, b) => Math.max(a, b), 0);
  return covered.map((v) => v > 0 && v >= Math.min(0.5, most) ? 1 : 0);
}

/** The slice as the network takes it, told of these nodules in place of its own. */
export function withNodules(
  prepared: PreparedSlice,
  stored: Size,
  mask: Uint8Array | undefined,
): PreparedSlice {
  const plane = mask
    ? coverage(resizeArea(mask, stored, prepared))
    : new Float32Array(prepared.ct.length);
  return { ...prepared, label: mask ? 1 : 0, noduleMask: plane, classMap: plane };
}
