/** Whether nodules stand where they were asked for: what is measured of one slice. */

import type { Size } from "../data/resize.ts";
import { components3d } from "../data/lung/components.ts";
import { wholePixels } from "../diffusion/nodules.ts";
import { dice } from "../metrics/overlap.ts";

/** A slice with the nodules that it was asked to show, or that a real one has. */
export interface PlacedSlice extends Size {
  /** HU, [height, width]. */
  readonly hu: Float32Array;
  readonly lungMask: Float32Array;
  /** Coverage of each nodule, [height, width] in [0, 1]. */
  readonly nodules: readonly Float32Array[];
  /** Probability of a nodule by a detector, [height, width]. */
  readonly detected: Float32Array;
}

export interface NoduleMeasure {
  /** HU: mean inside, weighted by coverage, less the mean of the lung around. NaN where there is none. */
  readonly contrast: number;
  /** Of a threshold segmentation around the place with the mask asked for. */
  readonly dice: number;
  /** A detection touches it. */
  readonly found: boolean;
}

export interface SliceMeasure {
  readonly nodules: readonly NoduleMeasure[];
  /** Detections that touch no nodule asked for. */
  readonly extra: number;
  /** Of several nodules with room between them: each has a detection of its own. Else undefined. */
  readonly apart?: boolean;
}

/** Pixels around what a nodule touches that count as its surroundings. */
const RING = 2;
/** A detection may be off by so many pixels. */
const SLACK = 1;
const DETECTED = 0.5;

/** Contrast, overlap and detection of each nodule of a slice, and detections where none was asked for. */
export function measurePlacement(slice: PlacedSlice): SliceMeasure {
  const { height, width, lungMask, detected, nodules } = slice;
  const touched = nodules.map((covered) => covered.map((v) => v > 0 ? 1 : 0));
  const any = new Float32Array(height * width);
  for (const mask of touched) mask.forEach((v, i) => any[i] ||= v);
  const spots = detected.map((p, i) => p >= DETECTED && lungMask[i] > 0 ? 1 : 0);
  const near = touched.map((mask) => grow(mask, slice, SLACK));
  const { labels, sizes } = components3d(Uint8Array.from(spots), 1, height, width);
  const used = new Set<number>();
  const own = near.map((mask) => {
    const hit = new Set<number>();
    mask.forEach((v, i) => v && labels[i] && hit.add(labels[i]));
    return hit;
  });
  const measures = nodules.map((covered, k): NoduleMeasure => {
    for (const label of own[k]) used.add(label);
    return { ...measureOne(slice, covered, touched[k], any), found: own[k].size > 0 };
  });
  const room = nodules.length > 1 &&
    near.every((a, k) => near.every((b, l) => l <= k || !a.some((v, i) => v && b[i])));
  const apart = room
    ? own.every((a, k) => [...a].some((label) => own.every((b, l) => l === k || !b.has(label))))
    : undefined;
  return { nodules: measures, extra: sizes.length - 1 - used.size, apart };
}

function measureOne(
  slice: PlacedSlice,
  covered: Float32Array,
  touched: Float32Array,
  any: Float32Array,
): Pick<NoduleMeasure, "contrast" | "dice"> {
  const { hu, lungMask } = slice;
  const around = grow(touched, slice, RING);
  let inside = 0, weight = 0, outside = 0, ring = 0, highest = -Infinity;
  hu.forEach((v, i) => {
    inside += covered[i] * v;
    weight += covered[i];
    if (touched[i]) highest = Math.max(highest, v);
    if (around[i] && !any[i] && lungMask[i] > 0) {
      outside += v;
      ring++;
    }
  });
  if (!weight || !ring) return { contrast: NaN, dice: NaN };
  const level = (highest + outside / ring) / 2;
  // What other nodules touch is theirs.
  const seen = hu.map((v, i) =>
    around[i] && lungMask[i] > 0 && (touched[i] || !any[i]) && v > level ? 1 : 0
  );
  return { contrast: inside / weight - outside / ring, dice: dice(seen, wholePixels(covered)) };
}

/** What lies within `reach` pixels of a mask, along rows, columns and diagonals. */
export function grow(mask: Float32Array, { height, width }: Size, reach: number): Float32Array {
  const out = new Float32Array(mask.length);
  mask.forEach((v, i) => {
    if (!v) return;
    const cx = i % width, cy = Math.floor(i / width);
    for (let y = Math.max(0, cy - reach); y <= Math.min(height - 1, cy + reach); y++) {
      for (let x = Math.max(0, cx - reach); x <= Math.min(width - 1, cx + reach); x++) {
        out[y * width + x] = 1;
      }
    }
  });
  return out;
}
