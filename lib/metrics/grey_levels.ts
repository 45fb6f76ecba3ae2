/** Slices as grey levels, and the neighbours that texture features look at, as PyRadiomics has them. */

/** Grey-level bin width in HU: PyRadiomics' default. */
export const BIN_WIDTH = 25;

/** A slice of grey levels from 1; 0 is outside the mask. */
export interface GreyLevels {
  height: number;
  width: number;
  levels: Int32Array;
  /** The levels that occur, ascending. */
  present: number[];
}

/**
 * Bins of equal width with edges at multiples of it, numbered from 1 at the lowest that occurs
 * (PyRadiomics `binImage`; IBSI's fixed bin size, but aligned to 0 rather than the minimum).
 */
export function discretise(
  image: ArrayLike<number>,
  mask: ArrayLike<number>,
  { height, width }: { height: number; width: number },
  binWidth = BIN_WIDTH,
): GreyLevels {
  let minimum = Infinity;
  for (let i = 0; i < image.length; i++) if (mask[i] > 0.5) minimum = Math.min(minimum, image[i]);
  const lowest = Math.floor(minimum / binWidth);
  const levels = new Int32Array(image.length);
  const seen = new Set<number>();
  for (let i = 0; i < image.length; i++) {
    if (!(mask[i] > 0.5)) continue;
    levels[i] = Math.floor(image[i] / binWidth) - lowest + 1;
    seen.add(levels[i]);
  }
  return { height, width, levels, present: [...seen].sort((a, b) => a - b) };
}

/** Steps (rows, columns) to one neighbour of each pair of opposite ones. */
export const DIRECTIONS = [[0, 1], [1, -1], [1, 0], [1, 1]] as const;

/** @returns the number of pixels. @throws RangeError where a length does not fit. */
export function requireSlice(
  image: ArrayLike<number>,
  mask: ArrayLike<number>,
  { height, width }: { height: number; width: number },
): number {
  const pixels = height * width;
  if (image.length === pixels && mask.length === pixels) return pixels;
  throw new RangeError(
    `Cannot take features of a ${height}×${width} slice from ${image.length} pixels ` +
      `and a mask of ${mask.length}`,
  );
}
