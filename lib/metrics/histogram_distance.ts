/** Earth mover's distance between the HU values inside the masks of two sets of slices. */

/**
 * ∫ |F(x) − G(x)| dx of the two empirical distribution functions (the 1-Wasserstein distance on a
 * line; scipy.stats.wasserstein_distance), in the unit of the values. Exact, no bins.
 *
 * @throws RangeError where a side is empty or holds NaN.
 */
export function earthMover(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length === 0 || b.length === 0) {
    throw new RangeError(`Earth mover's distance of ${a.length} and ${b.length} values`);
  }
  const x = Float32Array.from(a).sort(), y = Float32Array.from(b).sort();
  if (Number.isNaN(x[x.length - 1]) || Number.isNaN(y[y.length - 1])) {
    throw new RangeError("Earth mover's distance: a value is not a number");
  }
  let i = 0, j = 0, at = Math.min(x[0], y[0]), sum = 0;
  while (i < x.length || j < y.length) {
    const next = Math.min(i < x.length ? x[i] : Infinity, j < y.length ? y[j] : Infinity);
    sum += Math.abs(i / x.length - j / y.length) * (next - at);
    at = next;
    while (i < x.length && x[i] === next) i++;
    while (j < y.length && y[j] === next) j++;
  }
  return sum;
}

/** The values of all images where their masks are above 0.5, one after another. */
export function valuesInside(
  images: readonly ArrayLike<number>[],
  masks: readonly ArrayLike<number>[],
): Float32Array {
  const values: number[] = [];
  images.forEach((image, k) => {
    for (let i = 0; i < image.length; i++) if (masks[k][i] > 0.5) values.push(image[i]);
  });
  return Float32Array.from(values);
}

/** Fractions of `values` in `bins` equal bins over [low, high]; what lies outside is left out. */
export function histogram(
  values: ArrayLike<number>,
  low: number,
  high: number,
  bins: number,
): Float64Array {
  const out = new Float64Array(bins);
  for (let i = 0; i < values.length; i++) {
    const bin = values[i] === high ? bins - 1 : Math.floor((values[i] - low) / (high - low) * bins);
    if (bin >= 0 && bin < bins) out[bin] += 1 / values.length;
  }
  return out;
}
