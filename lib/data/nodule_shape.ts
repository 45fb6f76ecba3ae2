/** Outlines of nodules that are asked for: round, lobulated or spiculated, as masks in a slice. */

import { PhiloxStream } from "../random/philox.ts";
import type { Size } from "./resize.ts";

/** How an outline departs from a circle. */
export const NODULE_SHAPES = ["round", "lobulated", "spiculated"] as const;
export type NoduleShape = (typeof NODULE_SHAPES)[number];

/** A nodule in a slice; x to the right, y down, in pixels of it: (0, 0) is the first pixel's centre. */
export interface Nodule {
  readonly x: number;
  readonly y: number;
  /** Of the circle of the same area. */
  readonly diameterMm: number;
  readonly shape: NoduleShape;
  /** What the outline's lobes and spikes follow from. */
  readonly seed: number;
}

/** Keeps these draws apart from others with the same seed. */
const STREAM = 0x4E00 * 2 ** 32;
/** Points a pixel and axis at which it is asked whether a nodule is there. */
const FINE = 4;
const ANGLES = 256;

/** Radius by angle, of an outline whose area is that of the unit circle. */
function outline(shape: NoduleShape, seed: number): Float64Array {
  const random = new PhiloxStream(seed, STREAM);
  const radius = new Float64Array(ANGLES).fill(1);
  const lobes = shape === "round" ? 0.04 : shape === "lobulated" ? 0.16 : 0.08;
  for (let k = 2; k <= 5; k++) {
    const phase = random.range(0, 2 * Math.PI), strength = lobes * random.range(0.3, 1) / (k - 1);
    for (let i = 0; i < ANGLES; i++) {
      radius[i] += strength * Math.cos(2 * Math.PI * k * i / ANGLES + phase);
    }
  }
  if (shape === "spiculated") {
    const spikes = 5 + Math.floor(random.range(0, 6));
    for (let s = 0; s < spikes; s++) {
      const at = random.range(0, ANGLES), width = random.range(4, 9), far = random.range(0.3, 0.7);
      for (let i = 0; i < ANGLES; i++) {
        const away = Math.abs(((i - at) % ANGLES + 1.5 * ANGLES) % ANGLES - ANGLES / 2);
        radius[i] += far * Math.max(0, 1 - away / width);
      }
    }
  }
  const area = radius.reduce((sum, r) => sum + r * r, 0) / ANGLES;
  return radius.map((r) => r / Math.sqrt(area));
}

/**
 * Where a nodule lies, [height, width] of 0 and 1. A pixel is part of it from half of its area on; the
 * one at the centre always is. It hangs together.
 *
 * @param spacingMm between pixels.
 */
export function noduleMask(nodule: Nodule, size: Size, spacingMm: number): Uint8Array {
  const { height, width } = size;
  const mask = new Uint8Array(height * width);
  const radii = outline(nodule.shape, nodule.seed), mean = nodule.diameterMm / 2 / spacingMm;
  const reach = Math.ceil(mean * Math.max(...radii)) + 1;
  const [cx, cy] = [Math.round(nodule.x), Math.round(nodule.y)];
  for (let y = Math.max(0, cy - reach); y <= Math.min(height - 1, cy + reach); y++) {
    for (let x = Math.max(0, cx - reach); x <= Math.min(width - 1, cx + reach); x++) {
      let inside = 0;
      for (let j = 0; j < FINE; j++) {
        for (let i = 0; i < FINE; i++) {
          const dx = x + (i + 0.5) / FINE - 0.5 - nodule.x;
          const dy = y + (j + 0.5) / FINE - 0.5 - nodule.y;
          const angle = Math.atan2(dy, dx) / (2 * Math.PI) * ANGLES;
          if (Math.hypot(dx, dy) <= mean * radii[(Math.round(angle) + ANGLES) % ANGLES]) inside++;
        }
      }
      if (2 * inside >= FINE * FINE) mask[y * width + x] = 1;
    }
  }
  if (cx < 0 || cy < 0 || cx >= width || cy >= height) return mask;
  mask[cy * width + cx] = 1;
  return connectedTo(cy * width + cx, mask, width);
}

/** What of a mask hangs together with a pixel of it: a spike thinner than a pixel may be cut through. */
function connectedTo(start: number, mask: Uint8Array, width: number): Uint8Array {
  const kept = new Uint8Array(mask.length), todo = [start];
  for (let i = todo.pop(); i !== undefined; i = todo.pop()) {
    if (kept[i] || !mask[i]) continue;
    kept[i] = 1;
    if (i % width > 0) todo.push(i - 1);
    if (i % width < width - 1) todo.push(i + 1);
    if (i >= width) todo.push(i - width);
    if (i + width < mask.length) todo.push(i + width);
  }
  return kept;
}
