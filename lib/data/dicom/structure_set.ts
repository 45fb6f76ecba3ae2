/** DICOM structure sets (RTSTRUCT, PS3.3 A.19): closed outlines in millimetres, filled on the slices. */

import type { DataSet } from "dicom-parser";
import { LIMITS } from "../../io/limits.ts";
import type { Vec3 } from "../geometry.ts";
import { isOn, type MaskGrid, onSlice, type Region, sliceAt } from "./mask_grid.ts";
import { decimal, itemsOf, textOf } from "./nested.ts";

interface Outline {
  /** The image that it was drawn on; "" where not said. */
  sop: string;
  points: Vec3[];
}

/** @throws Error with the reason. */
export function parseStructureSet(data: DataSet): Region[] {
  const names = new Map<string, string>();
  for (const roi of itemsOf(data, "x30060020")) {
    names.set(textOf(roi, "x30060022"), textOf(roi, "x30060026"));
  }
  const outlines = new Map<string, Outline[]>();
  let contours = 0, points = 0;
  const budget = { crossings: LIMITS.dicomObject.crossings };
  for (const item of itemsOf(data, "x30060039")) {
    const number = textOf(item, "x30060084"), own = outlines.get(number) ?? [];
    if (!names.has(number)) throw new Error(`outlines of ROI ${number}, which is not described`);
    outlines.set(number, own);
    for (const contour of itemsOf(item, "x30060040")) {
      if (++contours > LIMITS.dicomObject.contours) throw new Error("too many outlines");
      const type = textOf(contour, "x30060042").toUpperCase();
      if (type === "POINT") continue; // a mark, no area
      if (!type.startsWith("CLOSED_PLANAR")) {
        throw new Error(`ROI "${names.get(number)}": outlines of type ${type} are not read`);
      }
      const values = coordinates(contour, 3 * (LIMITS.dicomObject.points - points));
      points += values.length / 3;
      const images = itemsOf(contour, "x30060016");
      own.push({
        sop: images.length === 1 ? textOf(images[0], "x00081155") : "",
        points: Array.from({ length: values.length / 3 }, (_, i) => [
          values[3 * i],
          values[3 * i + 1],
          values[3 * i + 2],
        ]),
      });
    }
  }
  return [...names].map(([number, name]): Region => ({
    name,
    kinds: [],
    draw: (grid, mask) => drawOutlines(name, outlines.get(number) ?? [], grid, mask, budget),
  }));
}

/** x\y\z\x\y\z …, at most so many numbers. */
function coordinates(contour: DataSet, most: number): number[] {
  const element = contour.elements.x30060050;
  if (!element || element.length === 0) return [];
  // A DS has at most 16 characters and a backslash.
  if (element.length > 17 * most + 1) throw new Error("too many points");
  const values = (contour.string("x30060050") ?? "").split("\\", most + 1).map(decimal);
  if (values.length > most) throw new Error("too many points");
  if (values.length % 3 !== 0 || !values.every(Number.isFinite)) {
    throw new Error("ContourData is not of points");
  }
  return values;
}

/**
 * Pixels whose centre lies within an odd number of the outlines of its slice: a second one inside the
 * first is a hole (PS3.3 C.8.8.6.3, XOR), whether or not it is joined by a keyhole.
 */
function drawOutlines(
  name: string,
  outlines: Outline[],
  grid: MaskGrid,
  mask: Uint8Array,
  budget: { crossings: number },
) {
  const { rows, columns } = grid, bySlice = new Map<number, [number, number][][]>();
  for (const { sop, points } of outlines) {
    if (points.length < 3) continue; // no area
    const slice = sliceAt(grid, points[0], sop);
    if (slice === null) {
      const [, , z] = points[0];
      throw new Error(`ROI "${name}": an outline at z = ${z} mm lies on no slice of the series`);
    }
    if (!points.every((point) => isOn(grid, slice, point))) {
      throw new Error(`ROI "${name}": an outline does not lie in the plane of a slice`);
    }
    const flat = points.map((point) => onSlice(grid, slice, point));
    const polygons = bySlice.get(slice);
    if (polygons) polygons.push(flat);
    else bySlice.set(slice, [flat]);
  }
  for (const [slice, polygons] of bySlice) {
    const base = slice * rows * columns;
    for (const [y, at] of crossings(polygons, rows, budget).entries()) {
      at.sort((a, b) => a - b);
      for (let i = 0; i + 1 < at.length; i += 2) {
        const end = Math.min(columns, at[i + 1]);
        for (let x = Math.max(0, Math.ceil(at[i])); x < end; x++) mask[base + y * columns + x] = 1;
      }
    }
  }
}

/** By row, where the outlines' edges cross the line through its pixels' centres. */
function crossings(
  polygons: [number, number][][],
  rows: number,
  budget: { crossings: number },
): number[][] {
  const out = Array.from({ length: rows }, (): number[] => []);
  for (const polygon of polygons) {
    for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
      const [x1, y1] = polygon[j], [x2, y2] = polygon[i];
      const first = Math.max(0, Math.ceil(Math.min(y1, y2)));
      const end = Math.min(rows, Math.ceil(Math.max(y1, y2)));
      for (let y = first; y < end; y++) {
        if (--budget.crossings < 0) throw new Error("outlines of too many crossings");
        out[y].push(x1 + (y - y1) * (x2 - x1) / (y2 - y1));
      }
    }
  }
  return out;
}
