/** Two lungs that touch in front of or behind the heart are one piece of air: taking them apart. */

import { components3d } from "./components.ts";
import { squaredDistance } from "./morphology.ts";

/** Lungs lie side by side: their centres are this far apart, mm, or it is one lung. */
const MIN_APART = 60;
/** The smaller of two lungs has at least this share of the larger. */
const MIN_SHARE = 0.2;
/** Touching lungs meet in a thin sheet: eroding further, mm, would break up a lung itself. */
const MAX_EROSION = 8;

/**
 * Erodes the mask slice by slice until it falls into two parts that lie side by side, then gives
 * each voxel to the part it is nearest to within the mask.
 * @param mask slices × rows × columns of 0 and 1.
 * @returns voxels of 0, 1 and 2, or null where the mask is one lung.
 */
export function splitLungs(
  mask: Uint8Array,
  slices: number,
  rows: number,
  columns: number,
  spacing: readonly [number, number],
): Uint8Array | null {
  const area = rows * columns;
  const depth = new Float32Array(mask.length);
  for (let z = 0; z < slices; z++) {
    const plane = mask.subarray(z * area, (z + 1) * area);
    if (!plane.includes(1)) continue;
    const distance = squaredDistance(plane.map((v) => 1 - v), rows, columns, spacing);
    for (let i = 0; i < area; i++) depth[z * area + i] = Math.sqrt(distance[i]);
  }
  const step = Math.max(spacing[0], spacing[1]);
  for (let radius = step; radius <= MAX_EROSION; radius += step) {
    const core = new Uint8Array(mask.length);
    for (let i = 0; i < core.length; i++) core[i] = depth[i] > radius ? 1 : 0;
    const { labels, sizes } = components3d(core, slices, rows, columns);
    const order = sizes.map((size, label) => ({ size, label })).slice(1)
      .sort((a, b) => b.size - a.size);
    if (order.length < 2 || order[1].size < MIN_SHARE * order[0].size) continue;
    const [a, b] = [order[0], order[1]].map(({ label, size }) =>
      centre(labels, label, size, columns, area)
    );
    const apart = Math.abs(a.x - b.x) * spacing[1];
    if (apart < MIN_APART || apart < Math.abs(a.y - b.y) * spacing[0]) continue;
    const out = new Uint8Array(mask.length);
    for (let i = 0; i < out.length; i++) {
      if (labels[i] === order[0].label) out[i] = 1;
      else if (labels[i] === order[1].label) out[i] = 2;
    }
    grow(out, mask, rows, columns, area);
    return out;
  }
  return null;
}

function centre(labels: Int32Array, label: number, size: number, columns: number, area: number) {
  let x = 0, y = 0;
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] !== label) continue;
    const inPlane = i % area;
    x += inPlane % columns;
    y += Math.floor(inPlane / columns);
  }
  return { x: x / size, y: y / size };
}

/** Lets the labels spread one voxel at a time through the mask until nothing is reached any more. */
function grow(out: Uint8Array, mask: Uint8Array, rows: number, columns: number, area: number) {
  let front: number[] = [];
  for (let i = 0; i < out.length; i++) if (out[i]) front.push(i);
  while (front.length > 0) {
    const next: number[] = [];
    for (const at of front) {
      const inPlane = at % area, y = Math.floor(inPlane / columns), x = inPlane % columns;
      const visit = (to: number) => {
        if (to < 0 || to >= out.length || !mask[to] || out[to]) return;
        out[to] = out[at];
        next.push(to);
      };
      if (x > 0) visit(at - 1);
      if (x < columns - 1) visit(at + 1);
      if (y > 0) visit(at - columns);
      if (y < rows - 1) visit(at + columns);
      visit(at - area);
      visit(at + area);
    }
    front = next;
  }
}
