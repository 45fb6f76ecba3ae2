/** Mean squared error. */

/**
 * Mean of (a − b)² over all elements, summed in float64.
 *
 * With `mask` (same length, values above 0.5 count) only the elements inside are averaged. The
 * original multiplies both images by the mask and then averages over the whole image, where the
 * empty outside flatters the figure: that is `mse(applyMask(a), applyMask(b))` without a mask here.
 *
 * @throws RangeError where lengths differ, where nothing is to be averaged, or where a mask is empty.
 */
export function mse(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  mask?: ArrayLike<number>,
): number {
  if (a.length !== b.length || (mask && mask.length !== a.length)) {
    throw new RangeError(
      `Cannot compare images: lengths must be equal: ${a.length}, ${b.length}` +
        (mask ? `, mask ${mask.length}` : ""),
    );
  }
  let sum = 0, count = 0;
  for (let i = 0; i < a.length; i++) {
    if (mask && !(mask[i] > 0.5)) continue;
    const difference = a[i] - b[i];
    sum += difference * difference;
    count++;
  }
  if (count === 0) throw new RangeError("Cannot average a squared error over no pixels");
  return sum / count;
}
