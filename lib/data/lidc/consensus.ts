/** From the readers' marks to nodules on the volume: one mask, one set of ratings for each lesion. */

import { InputError } from "../../errors.ts";
import { LIMITS } from "../../io/limits.ts";
import type { CtVolume } from "../dicom/series.ts";
import { clusterMarks } from "./cluster.ts";
import { emptyPatch, noduleOnSlice, type PixelPatch } from "./contour.ts";
import {
  type Characteristic,
  CHARACTERISTICS,
  type Characteristics,
  type NoduleMark,
  type Reader,
  type Roi,
} from "./xml.ts";

/** What of a volume the annotations are laid upon. */
export type Grid =
  & Pick<
    CtVolume,
    "rows" | "columns" | "pixelSpacing" | "sliceSpacing" | "slices"
  >
  & {
    /** Each slice's own share of the height, mm, where slices are unevenly spaced. */
    thickness?: readonly number[];
  };

export interface Nodule {
  /** How many of the readers marked it. */
  readers: number;
  /** Means over the marks that have them; null where none has. */
  characteristics: Characteristics | null;
  volumeMm3: number;
  /** Of the sphere of the same volume. */
  diameterMm: number;
  /** By slice index: the consensus. */
  patches: Map<number, PixelPatch>;
}

export interface Annotation {
  nodules: Nodule[];
  /** Slices that a mark of a nodule below 3 mm names. */
  smallSlices: Set<number>;
  /** Slices on which an outline is that could not be used: nobody knows what they show. */
  doubtfulSlices: Set<number>;
  smallMarks: number;
  nonNodules: number;
  /** Marks on nodules of 3 mm or more, before clustering. */
  marks: number;
  /** Outlines, points too, and how many of them lie on a slice of this volume. */
  outlines: number;
  placed: number;
  /** Marks without ratings that are nodules of 3 mm or more by their outlines. */
  unrated: number;
  notes: string[];
}

export interface ConsensusOptions {
  /** Share of the marking readers who must agree on a pixel. */
  threshold: number;
  /** mm within which outlines are of one nodule; 0 or less: the slice spacing. */
  tolerance: number;
}

export const CONSENSUS_DEFAULTS: ConsensusOptions = { threshold: 0.5, tolerance: 0 };

/** Pixels that may still be drawn; each of them takes its time and its byte. */
class Room {
  #left: number = LIMITS.reading.pixels;

  take(patches: readonly (PixelPatch | Box)[]): void {
    for (const { width, height } of patches) this.#left -= width * height;
    if (this.#left < 0) {
      throw new InputError(
        `Cannot use the annotations: their outlines span more than ${LIMITS.reading.pixels} pixels`,
      );
    }
  }
}

interface Box {
  width: number;
  height: number;
}

/** Width and height of the box around outlines, with the free frame that they are drawn in. */
function boxOf(outlines: readonly Roi[]): Box {
  let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
  for (const { points } of outlines) {
    for (let i = 0; i < points.length; i += 2) {
      x0 = Math.min(x0, points[i]);
      x1 = Math.max(x1, points[i]);
      y0 = Math.min(y0, points[i + 1]);
      y1 = Math.max(y1, points[i + 1]);
    }
  }
  return x1 < x0 ? { width: 0, height: 0 } : { width: x1 - x0 + 3, height: y1 - y0 + 3 };
}

interface Mark {
  reader: number;
  mark: NoduleMark;
  patches: Map<number, PixelPatch>;
  cloud: Float64Array;
}

/**
 * Lays `readers` upon the slices by SOP instance UID; what matches no slice is reported.
 * @throws InputError where the marks would take more room or time than {@link LIMITS}.reading allow.
 */
export function annotate(
  readers: readonly Reader[],
  grid: Grid,
  options: ConsensusOptions = CONSENSUS_DEFAULTS,
): Annotation {
  const bySop = new Map<string, number | null>();
  // A UID that several slices have names none of them.
  grid.slices.forEach(({ sopInstance }, i) =>
    bySop.set(sopInstance, bySop.has(sopInstance) ? null : i)
  );
  const marks: Mark[] = [], smallSlices = new Set<number>(), notes: string[] = [];
  const doubtfulSlices = new Set<number>();
  let outlines = 0, placed = 0, unrated = 0;
  const room = new Room();
  let smallMarks = 0, nonNodules = 0;
  for (const reader of readers) {
    nonNodules += reader.nonNodules.length;
    for (const nodule of reader.nodules) {
      const where = `reader ${reader.index + 1}, nodule "${nodule.id}"`;
      const onGrid = placeRois(nodule, bySop, grid, where, notes, doubtfulSlices);
      outlines += nodule.rois.length;
      for (const rois of onGrid.values()) placed += rois.length;
      const mm = nodule.characteristics ? Infinity : extent(onGrid, grid);
      if (mm >= SMALLEST_MM) {
        const mark = drawMark(reader.index, nodule, onGrid, grid, room);
        if (!nodule.characteristics) {
          unrated++;
          notes.push(
            `${where}: ratings are missing; a nodule of ${mm.toFixed(1)} mm by its outline`,
          );
        }
        if (mark.patches.size > 0) marks.push(mark);
        else {
          if (onGrid.size > 0) notes.push(`${where}: its outlines hold no pixel`);
          for (const slice of onGrid.keys()) doubtfulSlices.add(slice);
        }
      } else {
        smallMarks++;
        for (const slice of onGrid.keys()) smallSlices.add(slice);
      }
    }
  }
  const tolerance = options.tolerance > 0 ? options.tolerance : grid.sliceSpacing || 1;
  const { clusters } = clusterMarks(marks.map((m) => m.cloud), tolerance);
  const nodules = clusters.map((members) => {
    if (members.length > 4) notes.push(`${members.length} marks could not be told apart`);
    return lesion(members.map((i) => marks[i]), grid, options.threshold, room);
  });
  return {
    nodules,
    smallSlices,
    doubtfulSlices,
    smallMarks,
    nonNodules,
    marks: marks.length,
    outlines,
    placed,
    unrated,
    notes,
  };
}

/** LIDC's readers outlined nodules from this diameter on, and gave smaller ones a point. */
const SMALLEST_MM = 3;

/** The largest extent of a mark's outlines of more than one point, in 8 directions of the slice, mm. */
function extent(rois: Map<number, Roi[]>, { pixelSpacing: [dy, dx] }: Grid): number {
  let largest = 0;
  for (const { points } of [...rois.values()].flat()) {
    for (let n = 0; n < 8; n++) {
      const x = Math.cos(n * Math.PI / 8) * dx, y = Math.sin(n * Math.PI / 8) * dy;
      let low = Infinity, high = -Infinity;
      for (let i = 0; i < points.length; i += 2) {
        const at = points[i] * x + points[i + 1] * y;
        low = Math.min(low, at);
        high = Math.max(high, at);
      }
      largest = Math.max(largest, high - low);
    }
  }
  return largest;
}

function placeRois(
  nodule: NoduleMark,
  bySop: Map<string, number | null>,
  grid: Grid,
  where: string,
  notes: string[],
  doubtful: Set<number>,
): Map<number, NoduleMark["rois"]> {
  const placed = new Map<number, NoduleMark["rois"]>();
  for (const roi of nodule.rois) {
    const slice = bySop.get(roi.sopInstance);
    if (slice === undefined) {
      notes.push(`${where}: no slice has SOP instance UID "${roi.sopInstance}"`);
      continue;
    }
    if (slice === null) {
      notes.push(`${where}: several slices have SOP instance UID "${roi.sopInstance}"`);
      continue;
    }
    const { points } = roi;
    let isInside = true;
    for (let i = 0; i < points.length; i += 2) {
      const x = points[i], y = points[i + 1];
      // The border may run one pixel outside a nodule that lies at the edge of the image.
      isInside &&= x >= -1 && y >= -1 && x <= grid.columns && y <= grid.rows;
    }
    if (isInside) {
      const there = placed.get(slice);
      if (there) there.push(roi);
      else placed.set(slice, [roi]);
    } else {
      notes.push(`${where}: an outline lies outside the ${grid.columns}×${grid.rows} image`);
      doubtful.add(slice);
    }
  }
  return placed;
}

function drawMark(
  reader: number,
  mark: NoduleMark,
  rois: Map<number, NoduleMark["rois"]>,
  grid: Grid,
  room: Room,
): Mark {
  const patches = new Map<number, PixelPatch>(), cloud: number[] = [];
  const [dy, dx] = grid.pixelSpacing;
  for (const [slice, outlines] of rois) {
    room.take([boxOf(outlines), ...outlines.map((roi) => boxOf([roi]))]);
    const patch = noduleOnSlice(outlines);
    if (patch) patches.set(slice, patch);
    for (const { points, inclusion } of outlines) {
      if (!inclusion) continue;
      for (let i = 0; i < points.length; i += 2) {
        cloud.push(points[i] * dx, points[i + 1] * dy, grid.slices[slice].z);
      }
    }
  }
  return { reader, mark, patches, cloud: Float64Array.from(cloud) };
}

function lesion(marks: Mark[], grid: Grid, threshold: number, room: Room): Nodule {
  // A reader who marked one lesion in two parts has one vote.
  const readers = [...new Set(marks.map((m) => m.reader))];
  const slices = [...new Set(marks.flatMap((m) => [...m.patches.keys()]))].sort((a, b) => a - b);
  const patches = new Map<number, PixelPatch>();
  const { pixelSpacing: [dy, dx], thickness } = grid;
  let pixels = 0, volume = 0;
  for (const slice of slices) {
    const votes = emptyPatch(
      marks.flatMap((m) => m.patches.get(slice) ?? []),
    );
    for (const reader of readers) {
      const own = marks.filter((m) => m.reader === reader)
        .flatMap((m) => m.patches.get(slice) ?? []);
      if (own.length === 0) continue;
      room.take([votes]);
      vote(votes, own);
    }
    // Rounding must not turn 2 of 4 at 50% into a miss.
    const needed = Math.max(1, threshold * readers.length - 1e-9);
    votes.bits = votes.bits.map((count) => count >= needed ? 1 : 0);
    const count = votes.bits.reduce((a, b) => a + b, 0);
    if (count === 0) continue;
    pixels += count;
    volume += count * dy * dx * (thickness?.[slice] ?? 0);
    patches.set(slice, votes);
  }
  const volumeMm3 = thickness ? volume : pixels * dy * dx * (grid.sliceSpacing || 1);
  return {
    readers: readers.length,
    characteristics: meanCharacteristics(marks),
    volumeMm3,
    diameterMm: Math.cbrt(6 * volumeMm3 / Math.PI),
    patches,
  };
}

/** Adds 1 where any of one reader's patches is set. */
function vote(votes: PixelPatch, own: PixelPatch[]) {
  const counted = new Uint8Array(votes.bits.length);
  for (const { x0, y0, width, height, bits } of own) {
    for (let i = 0; i < width * height; i++) {
      if (!bits[i]) continue;
      const x = x0 + i % width - votes.x0, y = y0 + Math.floor(i / width) - votes.y0;
      counted[y * votes.width + x] = 1;
    }
  }
  for (let i = 0; i < counted.length; i++) votes.bits[i] += counted[i];
}

function meanCharacteristics(marks: Mark[]): Characteristics | null {
  const rated = marks.flatMap((m) => m.mark.characteristics ?? []);
  if (rated.length === 0) return null;
  const mean = (name: Characteristic) => rated.reduce((sum, r) => sum + r[name], 0) / rated.length;
  return Object.fromEntries(
    Object.keys(CHARACTERISTICS).map((name) => [name, mean(name as Characteristic)]),
  ) as Characteristics;
}

/** The nodules of one slice as a plane of rows × columns: 0, or 1 where any nodule is. */
export function nodulePlane(nodules: readonly Nodule[], slice: number, grid: Grid): Uint8Array {
  const plane = new Uint8Array(grid.rows * grid.columns);
  for (const nodule of nodules) {
    const patch = nodule.patches.get(slice);
    if (!patch) continue;
    for (let i = 0; i < patch.bits.length; i++) {
      const x = patch.x0 + i % patch.width, y = patch.y0 + Math.floor(i / patch.width);
      const isInside = x >= 0 && y >= 0 && x < grid.columns && y < grid.rows;
      if (patch.bits[i] && isInside) plane[y * grid.columns + x] = 1;
    }
  }
  return plane;
}
