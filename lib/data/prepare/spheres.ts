/** Nodules known by centre and diameter alone, as a mask. */

import { dot, type Geometry, type Vec3 } from "../geometry.ts";
import type { Sphere } from "./types.ts";

/** mm: how far a finding of unknown size reaches. */
const UNKNOWN_RADIUS = 3;

/**
 * Sets the voxels whose centres lie within the sphere; of one that lies between all centres, the
 * nearest voxel.
 * @param mask slices × rows × columns of `grid`, whose axes are at right angles.
 * @returns false where the sphere lies outside.
 */
export function fillSphere(mask: Uint8Array, grid: Geometry, sphere: Sphere): boolean {
  const { size: [columns, rows, slices] } = grid, radius = sphere.diameterMm / 2;
  const at = indexOf(grid, sphere.centre);
  const inside = at.every((v, n) => v > -0.5 && v < grid.size[n] - 0.5);
  const mm = grid.axes.map((axis) => Math.hypot(...axis));
  const range = at.map((v, n) => [
    Math.max(0, Math.ceil(v - radius / mm[n])),
    Math.min(grid.size[n] - 1, Math.floor(v + radius / mm[n])),
  ]);
  let count = 0;
  for (let z = range[2][0]; z <= range[2][1]; z++) {
    for (let y = range[1][0]; y <= range[1][1]; y++) {
      for (let x = range[0][0]; x <= range[0][1]; x++) {
        const distance = Math.hypot(
          (x - at[0]) * mm[0],
          (y - at[1]) * mm[1],
          (z - at[2]) * mm[2],
        );
        if (distance > radius) continue;
        mask[(z * rows + y) * columns + x] = 1;
        count++;
      }
    }
  }
  if (count > 0) return true;
  if (!inside) return false;
  const [x, y, z] = at.map((v, n) => Math.min(Math.max(Math.round(v), 0), grid.size[n] - 1));
  if (z < slices) mask[(z * rows + y) * columns + x] = 1;
  return true;
}

/** Slices that the sphere touches; one of no size reaches 3 mm. */
export function slicesOf(grid: Geometry, { centre, diameterMm }: Sphere): number[] {
  const radius = diameterMm > 0 ? diameterMm / 2 : UNKNOWN_RADIUS;
  const at = indexOf(grid, centre)[2], reach = Math.max(radius / Math.hypot(...grid.axes[2]), 0.5);
  const out: number[] = [];
  for (let z = 0; z < grid.size[2]; z++) if (Math.abs(z - at) <= reach) out.push(z);
  return out;
}

/** A point of the patient in voxels along columns, rows and slices. */
function indexOf({ axes, origin }: Geometry, point: readonly number[]): Vec3 {
  const apart = point.map((v, i) => v - origin[i]) as Vec3;
  return axes.map((axis) => dot(apart, axis) / dot(axis, axis)) as Vec3;
}
