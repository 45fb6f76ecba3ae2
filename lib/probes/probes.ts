/** What each case of probe_f32.wgsl and probe_f16.wgsl is given, and what may come of it. */

import { floatOf, fma, ulpOf, wordOf } from "./float.ts";

/** Four operands as words: the bits of f32, i32 or u32. */
type Operands = readonly [number, number, number, number];

/** Uniform numbers in [0, 1). */
export type Random = () => number;

export interface Probe {
  readonly name: string;
  /** What it looks at. */
  readonly about: string;
  operands(random: Random, i: number): Operands;
  /** In float64, of the operands as f32; where an error is measured. */
  readonly exact?: (a: number, b: number) => number;
  /** Largest error that WGSL's specification allows; nothing where it promises nothing. */
  readonly allowed?: (a: number, exact: number) => number;
  /** In words: `2.5 ULP`. */
  readonly limit?: string;
  /** Label → the word that comes of it. The first that all samples agree with is the verdict. */
  readonly readings?: Readonly<
    Record<string, (a: number, b: number, c: number, d: number) => number>
  >;
  /** Readings take words, not numbers. */
  readonly ofWords?: boolean;
  /** Results are words, not numbers: no bit pattern of them is NaN. */
  readonly givesWords?: boolean;
}

const f = Math.fround;
const floats = (a: number, b = 0, c = 0, d = 0): Operands => [a, b, c, d].map(wordOf) as never;
const between = (u: number, low: number, high: number) => low + (high - low) * u;
/** Of either sign, its exponent uniform between two. */
const wide = (random: Random, low: number, high: number) =>
  (random() < 0.5 ? -1 : 1) * 2 ** between(random(), low, high);
/** [0.5, 2) of either sign. */
const near = (random: Random) => wide(random, -1, 1);
const four = (random: Random) => floats(near(random), near(random), near(random), near(random));
const spread = (low: number, high: number) => (random: Random) =>
  floats(wide(random, low, high), wide(random, low, high));
const over = (low: number, high: number) => (random: Random) =>
  floats(between(random(), low, high));
const positive = (low: number, high: number) => (random: Random) =>
  floats(2 ** between(random(), low, high));

const ulps = (count: number) => (_: number, exact: number) => count * ulpOf(exact);
const HALF = { allowed: ulps(0.5), limit: "0.5 ULP" };
const QUOTIENT = { allowed: ulps(2.5), limit: "2.5 ULP" };
const POWER = {
  allowed: (a: number, exact: number) => (3 + 2 * Math.abs(a)) * ulpOf(exact),
  limit: "3 + 2·|x| ULP",
};
const LOGARITHM = {
  allowed: (a: number, exact: number) => a >= 0.5 && a <= 2 ? 2 ** -21 : 3 * ulpOf(exact),
  limit: "3 ULP, 2⁻²¹ within [0.5, 2]",
};
const CIRCULAR = { allowed: () => 2 ** -11, limit: "2⁻¹¹ within [−π, π]" };

const NAN = 0x7fc00000;
/** A subnormal f32. */
const subnormal = (random: Random) => floatOf(1 + Math.floor(random() * 0x7ffffe));
const KEPT = "kept";
const FLUSHED = "taken for 0";

/** Rounded to 24 bits toward zero. */
function towardZero(value: number): number {
  const nearest = f(value);
  return Math.abs(nearest) > Math.abs(value) ? floatOf(wordOf(nearest) - 1) : nearest;
}

function halfToEven(value: number): number {
  const low = Math.floor(value), rest = value - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

/** To f16 toward zero, of normal numbers: ten bits after the first stay. */
const cutToF16 = (value: number) => floatOf(wordOf(value) & ~0x1fff);
const halfWord = (value: number) => {
  const half = new Float16Array([value]);
  return new Uint16Array(half.buffer)[0];
};
const pair = (low: number, high: number) => (low | high << 16) >>> 0;

const clampInt = (low: number, high: number) => (a: number) =>
  Math.min(high, Math.max(low, Math.trunc(a))) >>> 0;

const SEPARATE = "each operation rounded";
const FUSED = "fused to one rounding";
const IN_ORDER = "as written";

/** Of probe_f32.wgsl, by number. */
export const F32_PROBES: readonly Probe[] = [
  { name: "add", about: "a + b", operands: spread(-20, 20), exact: (a, b) => a + b, ...HALF },
  { name: "subtract", about: "a − b", operands: spread(-4, 4), exact: (a, b) => a - b, ...HALF },
  { name: "multiply", about: "a · b", operands: spread(-30, 30), exact: (a, b) => a * b, ...HALF },
  {
    name: "divide",
    about: "a / b",
    operands: spread(-30, 30),
    exact: (a, b) => a / b,
    ...QUOTIENT,
  },
  {
    name: "reciprocal",
    about: "1 / a",
    operands: spread(-60, 60),
    exact: (a) => 1 / a,
    ...QUOTIENT,
  },
  {
    name: "sqrt",
    about: "√a, which the specification takes for 1 / inverseSqrt(a)",
    operands: positive(-100, 100),
    exact: Math.sqrt,
    allowed: ulps(4.5),
    limit: "4.5 ULP",
  },
  {
    name: "inverseSqrt",
    about: "1 / √a",
    operands: positive(-100, 100),
    exact: (a) => 1 / Math.sqrt(a),
    allowed: ulps(2),
    limit: "2 ULP",
  },
  { name: "exp", about: "eᵃ", operands: over(-87, 88), exact: Math.exp, ...POWER },
  { name: "exp2", about: "2ᵃ", operands: over(-126, 127), exact: (a) => 2 ** a, ...POWER },
  { name: "log", about: "ln a", operands: positive(-100, 100), exact: Math.log, ...LOGARITHM },
  { name: "log2", about: "log₂ a", operands: positive(-4, 4), exact: Math.log2, ...LOGARITHM },
  {
    name: "sin",
    about: "sin a over [−π, π]",
    operands: over(-Math.PI, Math.PI),
    exact: Math.sin,
    ...CIRCULAR,
  },
  {
    name: "cos",
    about: "cos a over [−π, π]",
    operands: over(-Math.PI, Math.PI),
    exact: Math.cos,
    ...CIRCULAR,
  },
  {
    name: "sigmoid",
    about: "1 / (1 + e⁻ᵃ), as SiLU has it",
    operands: over(-20, 20),
    exact: (a) => 1 / (1 + Math.exp(-a)),
  },
  {
    name: "contraction",
    about: "a · b + c",
    // c all but cancels the product: one rounding leaves its error, two leave 0.
    operands(random) {
      const a = f(near(random)), b = f(near(random));
      return floats(a, b, -f(a * b));
    },
    readings: {
      [SEPARATE]: (a, b, c) => wordOf(f(a * b) + c),
      [FUSED]: (a, b, c) => wordOf(fma(a, b, c)),
    },
  },
  {
    name: "contraction of a difference",
    about: "a · b − c · d",
    operands: four,
    readings: {
      [SEPARATE]: (a, b, c, d) => wordOf(f(a * b) - f(c * d)),
      "fused with the first product": (a, b, c, d) => wordOf(fma(a, b, -f(c * d))),
      "fused with the second product": (a, b, c, d) => wordOf(fma(-c, d, f(a * b))),
    },
  },
  {
    name: "fma",
    about: "fma(a, b, c)",
    operands(random) {
      const a = f(near(random)), b = f(near(random));
      return floats(a, b, -f(a * b));
    },
    readings: {
      [FUSED]: (a, b, c) => wordOf(fma(a, b, c)),
      [SEPARATE]: (a, b, c) => wordOf(f(a * b) + c),
    },
  },
  {
    name: "dot",
    about: "dot(vec4(a, b, c, d), vec4(d, a, b, c))",
    operands: four,
    readings: {
      "first to last": (a, b, c, d) => wordOf(f(f(f(a * d) + f(b * a)) + f(c * b)) + f(d * c)),
      "last to first": (a, b, c, d) => wordOf(f(f(f(d * c) + f(c * b)) + f(b * a)) + f(a * d)),
      "in pairs": (a, b, c, d) => wordOf(f(f(a * d) + f(b * a)) + f(f(c * b) + f(d * c))),
      "first to last, fused": (a, b, c, d) => wordOf(fma(d, c, fma(c, b, fma(b, a, f(a * d))))),
      "last to first, fused": (a, b, c, d) => wordOf(fma(a, d, fma(b, a, fma(c, b, f(d * c))))),
    },
  },
  {
    name: "order of a sum",
    about: "a + b + c + d",
    operands: four,
    readings: {
      [IN_ORDER]: (a, b, c, d) => wordOf(f(f(a + b) + c) + d),
      "in pairs": (a, b, c, d) => wordOf(f(a + b) + f(c + d)),
      "last to first": (a, b, c, d) => wordOf(f(f(d + c) + b) + a),
    },
  },
  {
    name: "sum taken apart",
    about: "(a + b) − b",
    operands: (random) => floats(near(random), wide(random, 8, 20)),
    readings: { [IN_ORDER]: (a, b) => wordOf(f(a + b) - b), "simplified to a": (a) => wordOf(a) },
  },
  {
    name: "quotient taken apart",
    about: "(a · b) / b",
    operands: four,
    readings: { [IN_ORDER]: (a, b) => wordOf(f(a * b) / b), "simplified to a": (a) => wordOf(a) },
  },
  {
    name: "loop",
    about: "a sum over 16 rounds of a loop",
    operands: four,
    readings: {
      [IN_ORDER]: (a, b, c) => wordOf(loop(b, c, (i, other) => f(f(a * i) + other))),
      "in order, products fused": (a, b, c) => wordOf(loop(b, c, (i, other) => fma(a, i, other))),
    },
  },
  {
    name: "subnormal operand",
    about: "a · 2³⁰, a below 2⁻¹²⁶",
    operands: (random) => floats(subnormal(random)),
    readings: { [KEPT]: (a) => wordOf(a * 2 ** 30), [FLUSHED]: () => 0 },
  },
  {
    name: "subnormal result",
    about: "a · 2⁻³⁰, below 2⁻¹²⁶",
    operands: positive(-120, -100),
    readings: { [KEPT]: (a) => wordOf(a * 2 ** -30), [FLUSHED]: () => 0 },
  },
  {
    name: "subnormal sum",
    about: "a + b, both below 2⁻¹²⁶",
    operands: (random) => floats(subnormal(random) / 2, subnormal(random) / 2),
    readings: { [KEPT]: (a, b) => wordOf(a + b), [FLUSHED]: () => 0 },
  },
  {
    name: "i32 to f32",
    about: "f32(i) of whole numbers above 2²⁴",
    operands: (random) => [Math.floor((random() - 0.5) * 2 ** 32) >>> 0, 0, 0, 0],
    ofWords: true,
    readings: {
      "to nearest": (a) => wordOf(a | 0),
      "toward zero": (a) => wordOf(towardZero(a | 0)),
    },
  },
  {
    name: "u32 to f32",
    about: "f32(u) of whole numbers above 2²⁴",
    operands: (random) => [Math.floor(random() * 2 ** 32) >>> 0, 0, 0, 0],
    ofWords: true,
    readings: { "to nearest": wordOf, "toward zero": (a) => wordOf(towardZero(a)) },
  },
  {
    name: "f32 to i32",
    givesWords: true,
    about: "i32(a), beyond its range too",
    operands: (random) => floats(wide(random, -2, 40)),
    readings: {
      "toward zero, clamped": clampInt(-(2 ** 31), 2 ** 31 - 1),
      "toward zero, clamped to an f32": clampInt(-(2 ** 31), 2147483520),
      "toward zero, −2³¹ beyond": (a) => Math.abs(a) >= 2 ** 31 ? 2 ** 31 : Math.trunc(a) >>> 0,
    },
  },
  {
    name: "f32 to u32",
    givesWords: true,
    about: "u32(a), beyond its range too",
    operands: (random) => floats(wide(random, -2, 40)),
    readings: {
      "toward zero, clamped": clampInt(0, 2 ** 32 - 1),
      "toward zero, clamped to an f32": clampInt(0, 4294967040),
    },
  },
  {
    name: "round",
    about: "round(a), of halves",
    operands: (random) => floats(Math.floor(between(random(), -1000, 1000)) / 2),
    readings: {
      "halves to even": (a) => wordOf(Math.abs(a) < 0.5 ? a * 0 : halfToEven(a) || a * 0),
      "halves away from 0": (a) => wordOf(Math.sign(a) * Math.floor(Math.abs(a) + 0.5)),
    },
  },
  {
    name: "quantizeToF16",
    about: "f32 to f16 and back",
    operands: (random) => floats(wide(random, -13, 15)),
    readings: {
      "to nearest": (a) => wordOf(Math.f16round(a)),
      "toward zero": (a) => wordOf(cutToF16(a)),
    },
  },
  {
    name: "pack2x16float",
    givesWords: true,
    about: "two f32 as two f16 of a word",
    operands: (random) => floats(wide(random, -13, 15), wide(random, -13, 15)),
    readings: {
      "to nearest": (a, b) => pair(halfWord(a), halfWord(b)),
      "toward zero": (a, b) => pair(halfWord(cutToF16(a)), halfWord(cutToF16(b))),
    },
  },
  {
    name: "overflow",
    about: "a · b beyond the largest f32",
    operands: (random) => floats(wide(random, 70, 100), wide(random, 70, 100)),
    readings: {
      "infinite": (a, b) => wordOf(f(a * b)),
      "the largest f32": (a, b) => wordOf(Math.sign(a * b) * floatOf(0x7f7fffff)),
    },
  },
  {
    name: "division by zero",
    about: "a / 0, and 0 / 0",
    operands: (random, i) => floats(i % 4 ? near(random) : 0, i % 2 ? 0 : -0),
    readings: { "IEEE 754": (a, b) => wordOf(a / b) },
  },
  {
    name: "max of NaN",
    about: "max(a, b), one of them NaN",
    operands: (random, i) =>
      i % 2 ? [NAN, wordOf(near(random)), 0, 0] : [wordOf(near(random)), NAN, 0, 0],
    readings: {
      "the number": (a, b) => wordOf(Number.isNaN(a) ? b : a),
      "NaN": () => NAN,
      "the second": (_, b) => wordOf(b),
      "the first": (a) => wordOf(a),
    },
  },
  {
    name: "NaN compared",
    givesWords: true,
    about: "a == a, a < b, a != b with NaN",
    operands: (random, i) => [i % 2 ? NAN : wordOf(near(random)), wordOf(near(random)), 0, 0],
    readings: {
      "IEEE 754": (a, b) => (Number.isNaN(a) ? 0 : 1) + (a < b ? 2 : 0) + (a !== b ? 4 : 0),
      "every comparison false": (a, b) =>
        Number.isNaN(a) ? 0 : 1 + (a < b ? 2 : 0) + (a !== b ? 4 : 0),
      "as if there were no NaN": (a, b) => 1 + (a < b ? 2 : 0) + (a !== b ? 4 : 0),
    },
  },
  {
    name: "clamp of NaN",
    about: "clamp(NaN, −1, 1)",
    operands: () => [NAN, 0, 0, 0],
    readings: { "−1": () => wordOf(-1), "1": () => wordOf(1), "NaN": () => NAN },
  },
  {
    name: "negative zero",
    about: "−a · 0",
    operands: positive(-10, 10),
    readings: { "−0": () => 0x80000000, "0": () => 0 },
  },
];

function loop(b: number, c: number, term: (i: number, other: number) => number): number {
  let sum = 0;
  for (let i = 0; i < 16; i++) sum = f(sum + term(i, i % 2 ? c : b));
  return sum;
}

const half = Math.f16round;
const halves = (low: number, high: number) => (random: Random) =>
  floats(...[0, 1, 2].map(() => half(wide(random, low, high))) as [number, number, number]);

/** Of probe_f16.wgsl, by number. */
export const F16_PROBES: readonly Probe[] = [
  {
    name: "f16: conversion",
    about: "f16(a)",
    operands: (random) => floats(wide(random, -13, 15)),
    readings: { "to nearest": (a) => wordOf(half(a)), "toward zero": (a) => wordOf(cutToF16(a)) },
  },
  {
    name: "f16: add",
    about: "a + b",
    operands: halves(-3, 3),
    readings: {
      "rounded to f16": (a, b) => wordOf(half(a + b)),
      "kept in f32": (a, b) => wordOf(a + b),
    },
  },
  {
    name: "f16: multiply",
    about: "a · b",
    operands: halves(-3, 3),
    readings: {
      "rounded to f16": (a, b) => wordOf(half(a * b)),
      "kept in f32": (a, b) => wordOf(a * b),
    },
  },
  {
    name: "f16: contraction",
    about: "a · b + c",
    operands: halves(-3, 3),
    readings: {
      [SEPARATE]: (a, b, c) => wordOf(half(half(a * b) + c)),
      [FUSED]: (a, b, c) => wordOf(half(a * b + c)), // exact in f64
    },
  },
  {
    name: "f16: subnormal result",
    about: "a / 16, below 2⁻¹⁴",
    operands: (random) => floats(half(2 ** between(random(), -14, -12))),
    readings: { [KEPT]: (a) => wordOf(half(a / 16)), [FLUSHED]: () => 0 },
  },
];
