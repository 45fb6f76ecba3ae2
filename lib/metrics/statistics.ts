/** Means, deviations, random subsets, straight lines; numbers that JSON and CSV can hold. */

import type { PhiloxStream } from "../random/philox.ts";

/** Arithmetic mean; NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/** Standard deviation over N (ddof 0), as numpy's default and the original's tables. */
export function deviation(values: ArrayLike<number>): number {
  const centre = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] - centre) ** 2;
  return Math.sqrt(sum / values.length);
}

/** Quantile in [0, 1] with linear interpolation between order statistics (numpy's default). */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const at = q * (sorted.length - 1), low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  // An exact hit must not multiply an infinite neighbour by zero.
  if (at === low) return sorted[low];
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

/** `count` different indices below `total`, in random order (partial Fisher–Yates). */
export function choose(random: PhiloxStream, total: number, count: number): Uint32Array {
  if (count > total) throw new RangeError(`Cannot choose ${count} of ${total}`);
  const indices = Uint32Array.from({ length: total }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const j = i + random.int(total - i);
    [indices[i], indices[j]] = [indices[j], indices[i]];
  }
  return indices.slice(0, count);
}

/** Least-squares line through points. */
export function line(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
): { slope: number; intercept: number } {
  const mx = mean(x), my = mean(y);
  let xy = 0, xx = 0;
  for (let i = 0; i < x.length; i++) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) ** 2;
  }
  const slope = xx === 0 ? 0 : xy / xx;
  return { slope, intercept: my - slope * mx };
}

/** A number as JSON can hold it: "Infinity", "-Infinity" and "NaN" as text. */
export function jsonNumber(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}
