/** Trachea and main bronchi: pieces of gas on a slice, darker than the lung and walled off from it. */

import { labelRegions, type Region, type Regions } from "./components.ts";
import { squaredDistance } from "./morphology.ts";

/** cm² on a slice: main bronchi have 1 to 1.5, the trachea 2 to 4, its fork up to 7. */
const MIN_CM2 = 0.5, MAX_CM2 = 8;
/** Walls show at these thresholds, HU, where at the lung's own (−320) they leak. */
const WALL_THRESHOLDS = [-700, -800];
/** Share of its bounding box that a round or oval lumen fills. */
const MIN_FILL = 0.5;
/** A lumen's darker quarter is this much below the lung's median, HU … */
const DARKER = 40;
/** … and in these bounds: the lung of an emphysema is as dark as air nearly. */
const DARKEST = -1010, LIGHTEST = -910;
/** The edge of a lumen, blurred with its wall, is taken along, mm. */
const RIM_MM = 2;

interface Plane {
  hu: Int16Array;
  slices: number;
  rows: number;
  columns: number;
  pixelSpacing: readonly [number, number];
}

/** 1 where an airway is, slices × rows × columns; `found` are the regions at the lung's threshold. */
export function findAirways(input: Plane, found: Regions, isOutside: (r: Region) => boolean) {
  const { hu, slices, rows, columns, pixelSpacing } = input;
  const area = rows * columns, cm2 = pixelSpacing[0] * pixelSpacing[1] / 100;
  const mask = new Uint8Array(hu.length);
  const median = lungMedian(hu, found, (r) => r.pixels * cm2 > MAX_CM2 && !isOutside(r));
  if (median === null) return mask;
  const limit = Math.max(DARKEST, Math.min(LIGHTEST, median - DARKER));
  const threshold = (z: number, wall: number) => {
    const { labels, regions } = labelRegions(
      hu.subarray(z * area, (z + 1) * area),
      1,
      rows,
      columns,
      wall,
    );
    regions.forEach((r, index) => {
      const size = r.pixels * cm2, box = (r.x1 - r.x0 + 1) * (r.y1 - r.y0 + 1);
      if (size < MIN_CM2 || size > MAX_CM2 || r.pixels < MIN_FILL * box || isOutside(r)) return;
      const values: number[] = [], pixels: number[] = [];
      for (let y = r.y0; y <= r.y1; y++) {
        for (let x = r.x0; x <= r.x1; x++) {
          const at = y * columns + x;
          if (labels[at] !== index + 1) continue;
          pixels.push(at);
          values.push(hu[z * area + at]);
        }
      }
      values.sort((a, b) => a - b);
      if (values[values.length >> 2] > limit) return;
      for (const at of pixels) mask[z * area + at] = 1;
    });
  };
  for (let z = 0; z < slices; z++) {
    for (const wall of WALL_THRESHOLDS) threshold(z, wall);
    const plane = mask.subarray(z * area, (z + 1) * area);
    if (!plane.includes(1)) continue;
    const distance = squaredDistance(plane, rows, columns, pixelSpacing);
    for (let i = 0; i < area; i++) {
      if (distance[i] <= RIM_MM * RIM_MM && found.labels[z * area + i]) plane[i] = 1;
    }
  }
  return mask;
}

/** Median HU of the regions that `isLung`, or null where there are none. */
function lungMedian(hu: Int16Array, found: Regions, isLung: (r: Region) => boolean): number | null {
  const chosen = Uint8Array.from(found.regions, (r) => isLung(r) ? 1 : 0);
  const histogram = new Uint32Array(1024); // HU −1024 … −1; the regions lie below the threshold
  let total = 0;
  for (let i = 0; i < hu.length; i++) {
    const label = found.labels[i];
    if (label === 0 || !chosen[label - 1]) continue;
    histogram[Math.min(1023, Math.max(0, hu[i] + 1024))]++;
    total++;
  }
  if (total === 0) return null;
  let bin = 0;
  for (let sum = histogram[0]; sum < total / 2; sum += histogram[bin]) bin++;
  return bin - 1024;
}
