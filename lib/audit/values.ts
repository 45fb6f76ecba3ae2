/** Comparison with float64, and ULPs. */

/** Distance of neighbouring float32 numbers at v. */
export function ulp(v: number): number {
  const size = Math.abs(v);
  if (size < 2 ** -126) return 2 ** -149;
  return 2 ** (Math.floor(Math.log2(size)) - 23);
}

export interface Difference {
  /** ‖a − b‖ / ‖b‖; ‖a‖ where b is 0; Infinity where a number is none. */
  readonly relative: number;
  readonly max: number;
  /** Largest difference in units of the last float32 place of the reference value. */
  readonly ulps: number;
  /** Flat index of the largest absolute difference. */
  readonly worst: number;
  readonly norm: number;
}

export function compare(a: ArrayLike<number>, b: ArrayLike<number>): Difference {
  let squares = 0, norm = 0, max = 0, ulps = 0, worst = 0;
  for (let i = 0; i < b.length; i++) {
    const gap = Object.is(a[i], b[i]) || a[i] === b[i] ? 0 : Math.abs(a[i] - b[i]);
    if (!(gap <= Number.MAX_VALUE)) {
      return { relative: Infinity, max: Infinity, ulps: Infinity, worst: i, norm: NaN };
    }
    squares += gap * gap;
    norm += b[i] * b[i];
    if (gap > max) [max, worst] = [gap, i];
    if (gap > 0) ulps = Math.max(ulps, gap / ulp(b[i]));
  }
  norm = Math.sqrt(norm);
  const relative = Math.sqrt(squares) / (norm > 0 ? norm : 1);
  return { relative, max, ulps, worst, norm };
}

/** `[2,0,17,3]`: a flat index as coordinates. */
export function coordinates(flat: number, shape: readonly number[]): number[] {
  const result: number[] = [];
  for (const size of shape.toReversed()) {
    result.unshift(flat % size);
    flat = Math.floor(flat / size);
  }
  return result;
}
