/** Flips, rotations and shifts of prepared slices. All are off unless asked for, as in the original. */

import { PhiloxStream } from "../random/philox.ts";
import type { Size } from "./resize.ts";

export interface AugmentOptions {
  /** Mirror left and right, every other slice. */
  flip?: boolean;
  /** Turn by up to this many degrees either way. */
  rotate?: number;
  /** Move by up to this share of the size either way, down and across. */
  shift?: number;
}

/** What is done to one slice. */
export interface Augmentation {
  flip: boolean;
  /** Radians, counterclockwise as seen in the image. */
  angle: number;
  /** Pixels; the content moves by these. */
  down: number;
  right: number;
}

/** Keeps these draws apart from other uses of the same seed. */
const STREAM_BASE = 0x6A00 * 2 ** 32;

export function isAugmenting({ flip, rotate, shift }: AugmentOptions): boolean {
  return flip === true || (rotate ?? 0) > 0 || (shift ?? 0) > 0;
}

/** What happens to slice `index` of micro-batch `microStep`: a function of these and the seed alone. */
export function drawAugmentation(
  options: AugmentOptions,
  size: Size,
  seed: number,
  microStep: number,
  index: number,
): Augmentation {
  const random = new PhiloxStream(seed, STREAM_BASE + microStep * 1024 + index);
  const symmetric = (reach: number) => {
    const share = 2 * random.uniform() - 1; // drawn even if unused: options do not move each other
    return reach === 0 ? 0 : share * reach;
  };
  const flip = random.uniform() < 0.5 && options.flip === true;
  const angle = symmetric((options.rotate ?? 0) * Math.PI / 180);
  const shift = options.shift ?? 0;
  return {
    flip,
    angle,
    down: symmetric(shift * size.height),
    right: symmetric(shift * size.width),
  };
}

/**
 * Resamples a plane of [height, width] into `out`: CT between pixels, masks from the nearest pixel,
 * so that both stay in register. What comes from outside is the pixel at the edge: a model trained
 * with a filling of one value learns to draw frames of it.
 */
export function augmentPlane(
  plane: Float32Array,
  size: Size,
  { flip, angle, down, right }: Augmentation,
  isMask: boolean,
  out: Float32Array,
): void {
  const { height, width } = size, cy = (height - 1) / 2, cx = (width - 1) / 2;
  const cos = Math.cos(angle), sin = Math.sin(angle);
  const clamp = (v: number, side: number) => Math.min(side - 1, Math.max(0, v));
  const at = (x: number, y: number) => plane[clamp(y, height) * width + clamp(x, width)];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      // Where the pixel comes from: undo the shift, then the turn, then the mirror.
      const dx = x - cx - right, dy = y - cy - down;
      const u = cos * dx - sin * dy, v = sin * dx + cos * dy;
      const fx = cx + (flip ? -u : u), fy = cy + v;
      if (isMask) {
        out[i] = at(Math.round(fx), Math.round(fy));
        continue;
      }
      const x0 = Math.floor(fx), y0 = Math.floor(fy), p = fx - x0, q = fy - y0;
      out[i] = (1 - q) * ((1 - p) * at(x0, y0) + p * at(x0 + 1, y0)) +
        q * ((1 - p) * at(x0, y0 + 1) + p * at(x0 + 1, y0 + 1));
    }
  }
}
