/** Whether a generated slice obeys the lung mask it was given. */

import { segmentLungs } from "../data/lung_mask.ts";
import { type HuWindow, unwindowHu } from "../data/window.ts";
import { dice } from "../metrics/overlap.ts";

export interface Segmenting {
  height: number;
  width: number;
  window: HuWindow;
  /** mm between rows, between columns. */
  pixelSpacing: readonly [number, number];
}

/** The lungs that the rule-based segmenter sees in one slice: 0 or 1, [height, width]. */
export function lungsSeen(ct: Float32Array, options: Segmenting): Float32Array {
  const { height, width, window, pixelSpacing } = options;
  const { labels } = segmentLungs({
    hu: Int16Array.from(unwindowHu(ct, window), Math.round),
    slices: 1,
    rows: height,
    columns: width,
    pixelSpacing,
    sliceSpacing: 0,
  });
  return Float32Array.from(labels, (label) => label > 0 ? 1 : 0);
}

/** Dice of the lungs seen in a slice with the mask it should have, and what was seen. */
export function maskAdherence(
  ct: Float32Array,
  lungMask: ArrayLike<number>,
  options: Segmenting,
): { dice: number; seen: Float32Array } {
  const seen = lungsSeen(ct, options);
  return { dice: dice(seen, lungMask), seen };
}
