/**
 * Which marks of the four readers are the same nodule: connected components of the marks whose
 * outlines come closer than a tolerance (pylidc, Scan.cluster_annotations).
 */

import { InputError } from "../../errors.ts";
import { LIMITS } from "../../io/limits.ts";

/** Outline points in millimetres: x0, y0, z0, x1, y1, z1, … */
export type Cloud = Float64Array;

/** No tighter than this, mm: outlines that still touch cannot be told apart. */
const MIN_TOLERANCE = 0.1;
const FACTOR = 0.9;

/**
 * Indices of `clouds` by cluster, in order of their first member.
 * @param tolerance mm; tightened by 0.9 while a cluster has more than `most` members.
 */
export function clusterMarks(
  clouds: readonly Cloud[],
  tolerance: number,
  most = 4,
): { clusters: number[][]; tolerance: number } {
  const parts = clouds.map(runs), budget = { left: LIMITS.reading.pairs };
  const distances = parts.map((a, i) => parts.slice(0, i).map((b) => gap(a, b, tolerance, budget)));
  for (;;) {
    const clusters = components(distances, tolerance);
    const isTooLarge = clusters.some((members) => members.length > most);
    if (!isTooLarge || tolerance * FACTOR < MIN_TOLERANCE) return { clusters, tolerance };
    tolerance *= FACTOR;
  }
}

/** Points of one slice in a row, and the box around them: [lowest x, y, z, highest x, y, z]. */
interface Run {
  points: Cloud;
  box: number[];
}

function runs(cloud: Cloud): Run[] {
  const found: Run[] = [];
  for (let from = 0, to = 3; from < cloud.length; from = to, to += 3) {
    while (to < cloud.length && cloud[to + 2] === cloud[from + 2]) to += 3;
    const points = cloud.subarray(from, to);
    found.push({ points, box: boxOf(points) });
  }
  return found;
}

/**
 * Smallest distance of two point sets; Infinity where no points are nearer than `beyond`. Slices that
 * are farther apart than the points found so far are not looked at.
 * @throws InputError once all calls with this budget have compared too many points.
 */
function gap(a: Run[], b: Run[], beyond: number, budget: { left: number }): number {
  // A little more, for what rounding takes.
  let best = beyond * beyond * (1 + 1e-12), isFound = false;
  for (const one of a) {
    for (const other of b) {
      const p = one.points, q = other.points, isNear = apart(one.box, other.box) <= best;
      // To compare boxes takes as long as some points.
      budget.left -= isNear ? 16 + p.length / 3 * (q.length / 3) : 16;
      if (budget.left < 0) {
        throw new InputError("Cannot use the annotations: their outlines have too many points");
      }
      if (!isNear) continue;
      for (let i = 0; i < p.length; i += 3) {
        for (let j = 0; j < q.length; j += 3) {
          const dx = p[i] - q[j], dy = p[i + 1] - q[j + 1], dz = p[i + 2] - q[j + 2];
          const square = dx * dx + dy * dy + dz * dz;
          if (square > best) continue;
          best = square;
          isFound = true;
        }
      }
    }
  }
  return isFound ? Math.sqrt(best) : Infinity;
}

/** Square of the distance of two boxes. */
function apart(a: number[], b: number[]): number {
  let sum = 0;
  for (let axis = 0; axis < 3; axis++) {
    const d = Math.max(0, a[axis] - b[axis + 3], b[axis] - a[axis + 3]);
    sum += d * d;
  }
  return sum;
}

function boxOf(cloud: Cloud): number[] {
  const limits = [Infinity, Infinity, Infinity, -Infinity, -Infinity, -Infinity];
  for (let i = 0; i < cloud.length; i++) {
    const axis = i % 3;
    limits[axis] = Math.min(limits[axis], cloud[i]);
    limits[axis + 3] = Math.max(limits[axis + 3], cloud[i]);
  }
  return limits;
}

function components(distances: number[][], tolerance: number): number[][] {
  const root = distances.map((_, i) => i);
  const find = (i: number): number => root[i] === i ? i : root[i] = find(root[i]);
  distances.forEach((row, i) =>
    row.forEach((distance, j) => {
      if (distance <= tolerance) root[Math.max(find(i), find(j))] = Math.min(find(i), find(j));
    })
  );
  const clusters = new Map<number, number[]>();
  root.forEach((_, i) => clusters.set(find(i), [...clusters.get(find(i)) ?? [], i]));
  return [...clusters.values()];
}
