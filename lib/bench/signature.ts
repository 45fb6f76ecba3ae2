/** Shapes as they are typed: `x=8x32x128x128,w=64x32x3x3,stride=1`, and axes over their dimensions. */

import { InputError } from "../errors.ts";
import type { Attrs, DType, TensorType } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import type { NodeForm } from "../tune/check.ts";

type OpName = keyof typeof OPS;
type Dims = Readonly<Record<string, number>>;

interface Signature {
  /** Tensors that are typed, with the names of their dimensions: those of equal names are equal. */
  readonly tensors: Readonly<Record<string, readonly string[]>>;
  /** Numbers that may be typed beside them. */
  readonly settings?: Readonly<Record<string, number>>;
  /** Inputs and attributes, of dimensions and settings. */
  form(d: Dims, dtype: DType): { inputs: readonly TensorType[]; attrs: Attrs };
}

const f32 = (...shape: number[]): TensorType => ({ shape, dtype: "f32" });
const stored = (dtype: DType) => dtype === "f16" ? { dtype } : {};
/** Of a convolution along one side. */
const side = (n: number, k: number, { stride, padding }: Dims) =>
  Math.floor((n + 2 * (padding < 0 ? (k - 1) / 2 : padding) - k) / stride) + 1;

const IMAGE = { x: ["n", "c", "h", "w"] };
const CONVOLUTION = { x: ["n", "ci", "h", "w"], w: ["co", "ci", "kh", "kw"] };
/** Negative: half the kernel, so that stride 1 keeps the size. */
const CONVOLUTION_SETTINGS = { stride: 1, padding: -1 };

function convolution(d: Dims) {
  const padding = d.padding < 0
    ? [(d.kh - 1) / 2, (d.kw - 1) / 2, (d.kh - 1) / 2, (d.kw - 1) / 2]
    : Array(4).fill(d.padding);
  const attrs = { stride: d.stride, padding };
  const x = [d.n, d.ci, d.h, d.w], weight = [d.co, d.ci, d.kh, d.kw];
  const y = [d.n, d.co, side(d.h, d.kh, d), side(d.w, d.kw, d)];
  return { attrs, x, weight, y };
}

/** Ops of which shapes can be typed; others are timed as a model has them. */
export const SIGNATURES: Partial<Record<OpName, Signature>> = {
  conv2d: {
    tensors: CONVOLUTION,
    settings: CONVOLUTION_SETTINGS,
    form(d, dtype) {
      const { attrs, x, weight } = convolution(d);
      return {
        inputs: [{ shape: x, dtype }, f32(...weight)],
        attrs: { ...attrs, ...stored(dtype) },
      };
    },
  },
  conv2d_backward_data: {
    tensors: CONVOLUTION,
    settings: CONVOLUTION_SETTINGS,
    form(d, dtype) {
      const { attrs, x, weight, y } = convolution(d);
      return {
        inputs: [{ shape: y, dtype }, f32(...weight)],
        attrs: { ...attrs, inputShape: x, ...stored(dtype) },
      };
    },
  },
  conv2d_backward_weight: {
    tensors: CONVOLUTION,
    settings: CONVOLUTION_SETTINGS,
    form(d, dtype) {
      const { attrs, x, weight, y } = convolution(d);
      return {
        inputs: [{ shape: x, dtype }, { shape: y, dtype }],
        attrs: { ...attrs, weightShape: weight },
      };
    },
  },
  group_norm_stats: {
    tensors: IMAGE,
    settings: { groups: 32 },
    form: (d, dtype) => ({
      inputs: [{ shape: [d.n, d.c, d.h, d.w], dtype }],
      attrs: { groups: d.groups, eps: 1e-5 },
    }),
  },
  group_norm_apply: {
    tensors: IMAGE,
    settings: { groups: 32, silu: 1 },
    form: (d, dtype) => ({
      inputs: [
        { shape: [d.n, d.c, d.h, d.w], dtype },
        f32(d.n, d.groups, 2),
        f32(d.c),
        f32(d.c),
      ],
      attrs: { groups: d.groups, silu: d.silu !== 0, ...stored(dtype) },
    }),
  },
  attention: {
    tensors: IMAGE,
    settings: { heads: 12 },
    form: (d, dtype) => ({
      inputs: Array(3).fill({ shape: [d.n, d.c, d.h, d.w], dtype }),
      attrs: { heads: d.heads, scale: 1 / Math.sqrt(d.c / d.heads), ...stored(dtype) },
    }),
  },
  linear: {
    tensors: { x: ["n", "ci"], w: ["co", "ci"] },
    form: (d) => ({ inputs: [f32(d.n, d.ci), f32(d.co, d.ci), f32(d.co)], attrs: {} }),
  },
  silu: {
    tensors: IMAGE,
    form: (d, dtype) => ({ inputs: [{ shape: [d.n, d.c, d.h, d.w], dtype }], attrs: {} }),
  },
  add: {
    tensors: IMAGE,
    form: (d, dtype) => ({
      inputs: Array(2).fill({ shape: [d.n, d.c, d.h, d.w], dtype }),
      attrs: {},
    }),
  },
};

/** `x=n,c,h,w groups=32`: what can be typed of an op. */
export function signatureText(op: string): string | undefined {
  const signature = SIGNATURES[op as OpName];
  if (!signature) return undefined;
  return [
    ...Object.entries(signature.tensors).map(([name, dims]) => `${name}=${dims.join("×")}`),
    ...Object.entries(signature.settings ?? {}).map(([name, v]) => `${name}=${v}`),
  ].join(" ");
}

function signatureOf(op: string): Signature {
  const signature = SIGNATURES[op as OpName];
  if (signature) return signature;
  throw new InputError(
    `--shape: shapes of ${op} cannot be typed, only of ${Object.keys(SIGNATURES).join(", ")}: ` +
      "--model times it as a model has it",
  );
}

const MOST = 2 ** 20;

function whole(what: string, text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= 1 && value <= MOST) return value;
  throw new InputError(`${what}: "${text}" must be a whole number from 1 to ${MOST}`);
}

/** Dimensions and settings of a typed shape. @throws InputError naming what does not fit. */
export function parseShape(op: string, text: string): Dims {
  const { tensors, settings = {} } = signatureOf(op);
  const dims: Record<string, number> = { ...settings };
  const from = new Map<string, string>(), seen = new Set<string>();
  for (const part of text.split(",")) {
    const [name, value = ""] = part.split("=", 2);
    const names = [...Object.keys(tensors), ...Object.keys(settings)];
    if (!names.includes(name)) {
      throw new InputError(
        `--shape: ${op} has no "${name}"; it takes ${signatureText(op)}`,
      );
    }
    if (seen.has(name)) throw new InputError(`--shape: ${name} is given twice`);
    seen.add(name);
    if (name in settings) {
      // Padding and switches may be 0.
      dims[name] = value === "0" ? 0 : whole(`--shape ${name}`, value);
      continue;
    }
    const axes = tensors[name], sides = value.split(/[x×]/);
    if (sides.length !== axes.length) {
      throw new InputError(
        `--shape ${name}=${value}: ${op} takes ${axes.length} dimensions, ${axes.join("×")}`,
      );
    }
    axes.forEach((axis, i) => {
      const size = whole(`--shape ${name}`, sides[i]);
      if (from.has(axis) && dims[axis] !== size) {
        throw new InputError(
          `--shape: ${axis} is ${dims[axis]} in ${from.get(axis)} and ${size} in ${name}`,
        );
      }
      from.set(axis, name);
      dims[axis] = size;
    });
  }
  const missing = Object.keys(tensors).filter((name) => !seen.has(name));
  if (missing.length) {
    throw new InputError(
      `--shape: ${op} needs ${missing.join(" and ")}; it takes ${signatureText(op)}`,
    );
  }
  return dims;
}

/** `co=32,64,96`: a name and the values it takes. */
export function parseAxis(op: string, text: string): { name: string; values: number[] } {
  const { tensors, settings = {} } = signatureOf(op);
  const [name, list = ""] = text.split("=", 2);
  const names = [...new Set(Object.values(tensors).flat()), ...Object.keys(settings)];
  if (!names.includes(name)) {
    throw new InputError(`--axis ${text}: ${op} has ${names.join(", ")}`);
  }
  return { name, values: list.split(",").map((v) => whole(`--axis ${name}`, v)) };
}

/** Every combination of the axes, in the order typed. */
export function overAxes(
  dims: Dims,
  axes: readonly { readonly name: string; readonly values: readonly number[] }[],
): Dims[] {
  return axes.reduce<Dims[]>(
    (all, { name, values }) => all.flatMap((d) => values.map((v) => ({ ...d, [name]: v }))),
    [dims],
  );
}

/** @throws InputError where the op refuses the shape. */
export function formOfDims(op: string, dims: Dims, dtype: DType): NodeForm {
  const { inputs, attrs } = signatureOf(op).form(dims, dtype);
  try {
    OPS[op as OpName].infer(inputs, attrs);
  } catch (error) {
    throw new InputError(`--shape: ${op}: ${(error as Error).message}`);
  }
  return { op: op as OpName, inputs, attrs };
}

/** Images small enough for a float64 reference: one of the batch, of the same width and few rows. */
export function smallDims(dims: Dims): Dims {
  if (dims.n === undefined) return dims;
  if (dims.h === undefined) return { ...dims, n: Math.min(dims.n, 8) };
  const rows = Math.max(8, Math.floor(1024 / dims.w / 8) * 8);
  return { ...dims, n: 1, h: Math.min(dims.h, rows) };
}

/** `x 8×32×128×128, w 64×32×3×3, stride 1` */
export function dimsText(op: string, dims: Dims): string {
  const { tensors, settings = {} } = signatureOf(op);
  return [
    ...Object.entries(tensors).map(([name, axes]) =>
      `${name} ${axes.map((a) => dims[a]).join("×")}`
    ),
    ...Object.keys(settings).filter((s) => dims[s] !== settings[s]).map((s) => `${s} ${dims[s]}`),
  ].join(", ");
}
