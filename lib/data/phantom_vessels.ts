/** Vessel trees of the phantom's lungs: grown from the hilum to random points of the lung. */

import type { PhiloxStream } from "../random/philox.ts";
import { type Anatomy, SliceAnatomy } from "./phantom_anatomy.ts";

/** A tapering piece of vessel, mm. */
export interface Segment {
  a: Point;
  b: Point;
  ra: number;
  rb: number;
}

export type Point = [x: number, y: number, z: number];

const STEP = 7;
const TERMINAL_RADIUS = 0.55;

/** Signed distance to the lungs at any point; slices' constants are kept a millimetre apart. */
export function lungDistance(anatomy: Anatomy): (p: Point) => number {
  const slices = new Map<number, SliceAnatomy>();
  return ([x, y, z]) => {
    const key = Math.round(z);
    let slice = slices.get(key);
    if (!slice) slices.set(key, slice = new SliceAnatomy(anatomy, key));
    return slice.lung(x, y);
  };
}

/** A random point at least `depth` mm inside the lung of the given side, or null if none is found. */
export function pointInLung(
  random: PhiloxStream,
  distance: (p: Point) => number,
  side: -1 | 1,
  depth: number,
  z: [number, number],
): Point | null {
  for (let tries = 0; tries < 400; tries++) {
    const p: Point = [
      side * random.range(15, 150),
      random.range(-105, 105),
      random.range(z[0], z[1]),
    ];
    if (distance(p) < -depth) return p;
  }
  return null;
}

interface Node {
  p: Point;
  parent: number;
  /** Length of vessel back to the root. */
  path: number;
  leaves: number;
}

/**
 * One tree: random targets, nearest to the root first, each joined to the node that costs least
 * (distance plus a share of the way back to the root, so that branches run outwards). Radii follow
 * Murray's law: the cube of a vessel's radius is the sum of its branches' cubes.
 */
export function growTree(
  random: PhiloxStream,
  distance: (p: Point) => number,
  root: Point,
  side: -1 | 1,
  count: number,
): Segment[] {
  const targets: Point[] = [];
  for (let i = 0; i < count; i++) {
    const p = pointInLung(random, distance, side, 4, [4, 228]);
    if (p) targets.push(p);
  }
  const far = (p: Point) => Math.hypot(p[0] - root[0], p[1] - root[1], p[2] - root[2]);
  targets.sort((p, q) => far(p) - far(q));
  const nodes: Node[] = [{ p: root, parent: -1, path: 0, leaves: 0 }];
  for (const target of targets) {
    let best = 0, cost = Infinity;
    for (let i = 0; i < nodes.length; i++) {
      const { p, path } = nodes[i];
      const way = Math.hypot(p[0] - target[0], p[1] - target[1], p[2] - target[2]);
      const total = way + 0.45 * path;
      if (total < cost) [best, cost] = [i, total];
    }
    const from = nodes[best].p;
    const length = Math.hypot(target[0] - from[0], target[1] - from[1], target[2] - from[2]);
    const steps = Math.max(1, Math.ceil(length / STEP));
    let parent = best, at = from;
    for (let s = 1; s <= steps; s++) {
      const bend = s < steps ? 1.1 : 0;
      const t = s / steps;
      const p = from.map((v, k) => v + (target[k] - v) * t + bend * random.normal()) as Point;
      const path = nodes[parent].path + Math.hypot(p[0] - at[0], p[1] - at[1], p[2] - at[2]);
      nodes.push({ p, parent, path, leaves: 0 });
      parent = nodes.length - 1;
      at = p;
    }
    nodes[parent].leaves++;
  }
  // A node's children come after it, so one pass from the end adds up the leaves.
  for (let i = nodes.length - 1; i > 0; i--) nodes[nodes[i].parent].leaves += nodes[i].leaves;
  const radius = (leaves: number) => TERMINAL_RADIUS * Math.cbrt(Math.max(1, leaves));
  return nodes.slice(1).map(({ p, parent, leaves }) => ({
    a: nodes[parent].p,
    b: p,
    ra: Math.min(radius(nodes[parent].leaves), radius(leaves) * 1.25),
    rb: radius(leaves),
  }));
}

/**
 * The greatest share of each pixel that the segments fill, in [0, 1], painted into `out`.
 * @param blur width of the edge, mm: about a pixel.
 * @param centre where the axis x = y = 0 lies in the image, mm from its middle.
 */
export function paintSegments(
  segments: readonly Segment[],
  z: number,
  size: number,
  spacing: number,
  blur: number,
  centre: readonly [number, number],
  out: Float32Array,
): void {
  const midX = (size - 1) / 2 + centre[0] / spacing, midY = (size - 1) / 2 + centre[1] / spacing;
  for (const { a, b, ra, rb } of segments) {
    const reach = Math.max(ra, rb) + blur / 2;
    if (Math.min(a[2], b[2]) - reach > z || Math.max(a[2], b[2]) + reach < z) continue;
    const column = (x: number) => x / spacing + midX, row = (y: number) => y / spacing + midY;
    const x0 = Math.max(0, Math.ceil(column(Math.min(a[0], b[0]) - reach)));
    const x1 = Math.min(size - 1, Math.floor(column(Math.max(a[0], b[0]) + reach)));
    const y0 = Math.max(0, Math.ceil(row(Math.min(a[1], b[1]) - reach)));
    const y1 = Math.min(size - 1, Math.floor(row(Math.max(a[1], b[1]) + reach)));
    const dx = b[0] - a[0], dy = b[1] - a[1], dz = b[2] - a[2];
    const length2 = dx * dx + dy * dy + dz * dz || 1;
    for (let j = y0; j <= y1; j++) {
      for (let i = x0; i <= x1; i++) {
        const px = (i - midX) * spacing - a[0], py = (j - midY) * spacing - a[1], pz = z - a[2];
        const t = Math.min(1, Math.max(0, (px * dx + py * dy + pz * dz) / length2));
        const away = Math.hypot(px - t * dx, py - t * dy, pz - t * dz);
        const r = ra + (rb - ra) * t;
        // A vessel thinner than the blur never fills a pixel.
        const share = Math.min(1, Math.max(0, 0.5 - (away - r) / blur)) *
          Math.min(1, (2.4 * r) / blur);
        const at = j * size + i;
        if (share > out[at]) out[at] = share;
      }
    }
  }
}
