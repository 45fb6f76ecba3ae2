/** Float32 arithmetic as IEEE 754 has it, on the CPU: what the probes' results are held against. */

const WORDS = new Uint32Array(1);
const FLOATS = new Float32Array(WORDS.buffer);

/** The bits of a number rounded to f32; every NaN is the same one. */
export function wordOf(value: number): number {
  FLOATS[0] = value;
  return Number.isNaN(value) ? 0x7fc00000 : WORDS[0];
}

/** The f32 with these bits. */
export function floatOf(word: number): number {
  WORDS[0] = word;
  return FLOATS[0];
}

/** Distance from `value` to the next f32: 2^(exponent − 23), 2^−149 among subnormals. */
export function ulpOf(value: number): number {
  const magnitude = Math.abs(value);
  if (!Number.isFinite(magnitude) || magnitude < 2 ** -126) return 2 ** -149;
  return 2 ** (Math.max(-126, Math.floor(Math.log2(magnitude))) - 23);
}

const DOUBLE = new Float64Array(1);
const BITS = new BigUint64Array(DOUBLE.buffer);

/**
 * a·b + c rounded once, of f32 operands. The product is exact in f64; its sum with c is rounded to odd
 * there, so that rounding it to f32 is not a second rounding (Boldo and Melquiond, 2008).
 */
export function fma(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const part = sum - product;
  const error = (product - (sum - part)) + (c - part); // exact: Knuth's TwoSum
  if (error === 0 || !Number.isFinite(sum)) return Math.fround(sum);
  DOUBLE[0] = sum;
  if (BITS[0] % 2n === 0n) BITS[0] += (error > 0) === (sum > 0) ? 1n : -1n;
  return Math.fround(DOUBLE[0]);
}
