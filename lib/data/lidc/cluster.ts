/**
 * Which marks of the four readers are the same nodule: connected components of the marks whose
 * outlines come closer than a tolerance (pylidc, Scan.cluster_annotations).
 */

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
  const distances = clouds.map((a, i) => clouds.slice(0, i).map((b) => gap(a, b, tolerance)));
  for (;;) {
    const clusters = components(distances, tolerance);
    const isTooLarge = clusters.some((members) => members.length > most);
    if (!isTooLarge || tolerance * FACTOR < MIN_TOLERANCE) return { clusters, tolerance };
    tolerance *= FACTOR;
  }
}

/** Smallest distance of two point sets; Infinity where their boxes are already `beyond` apart. */
function gap(a: Cloud, b: Cloud, beyond: number): number {
  const boxA = box(a), boxB = box(b);
  let apart = 0;
  for (let axis = 0; axis < 3; axis++) {
    const d = Math.max(0, boxA[axis] - boxB[axis + 3], boxB[axis] - boxA[axis + 3]);
    apart += d * d;
  }
  if (!(apart <= beyond * beyond)) return Infinity;
  let best = Infinity;
  for (let i = 0; i < a.length; i += 3) {
    for (let j = 0; j < b.length; j += 3) {
      const dx = a[i] - b[j], dy = a[i + 1] - b[j + 1], dz = a[i + 2] - b[j + 2];
      best = Math.min(best, dx * dx + dy * dy + dz * dz);
    }
  }
  return Math.sqrt(best);
}

function box(cloud: Cloud): number[] {
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
