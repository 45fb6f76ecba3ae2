/** Where masks of DICOM objects lie on a CT volume. */

import { dot, type Vec3 } from "../geometry.ts";
import type { CtVolume } from "./series.ts";

/** What of a volume masks are laid upon. */
export type MaskGrid = Pick<
  CtVolume,
  "rows" | "columns" | "pixelSpacing" | "sliceSpacing" | "slices" | "row" | "column" | "normal"
>;

/** A segment, or a region of interest. */
export interface Region {
  /** SegmentLabel or ROIName. */
  name: string;
  /** Other words for what it is: type and category of a segment. */
  kinds: string[];
  /**
   * Adds its voxels to `mask`, slices × rows × columns, as 1.
   * @throws Error with the reason: it does not lie on the grid.
   */
  draw(grid: MaskGrid, mask: Uint8Array): void;
}

/**
 * The slice in whose plane a point lies: within half of the distance of slices.
 * @param sop the image that the object names for it, "" where it names none.
 * @returns null where the volume has no slice there.
 * @throws Error where that image lies elsewhere.
 */
export function sliceAt(grid: MaskGrid, point: Vec3, sop: string): number | null {
  const { slices, normal } = grid, z = dot(point, normal);
  const half = (grid.sliceSpacing || 1) / 2 + 1e-3;
  const off = (i: number) => Math.abs(dot(slices[i].position, normal) - z);
  let best = 0;
  for (let i = 1; i < slices.length; i++) if (off(i) < off(best)) best = i;
  const named = sop === "" ? -1 : slices.findIndex((slice) => slice.sopInstance === sop);
  if (named >= 0 && off(named) > half) {
    throw new Error(
      `it names image ${sop} for what lies ${off(named).toFixed(1)} mm from it`,
    );
  }
  // Where slices overlap the named one counts.
  if (named >= 0) return named;
  return off(best) <= half ? best : null;
}

/** A point in columns and rows of a slice. */
export function onSlice(grid: MaskGrid, slice: number, point: Vec3): [number, number] {
  const from = grid.slices[slice].position, [dy, dx] = grid.pixelSpacing;
  const apart = point.map((v, i) => v - from[i]) as Vec3;
  return [dot(apart, grid.row) / dx, dot(apart, grid.column) / dy];
}

/** Does a point lie in the plane of a slice, within half of the distance of slices? */
export function isOn(grid: MaskGrid, slice: number, point: Vec3): boolean {
  const apart = point.map((v, i) => v - grid.slices[slice].position[i]) as Vec3;
  return Math.abs(dot(apart, grid.normal)) <= (grid.sliceSpacing || 1) / 2 + 1e-3;
}
