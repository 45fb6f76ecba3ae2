/** Reference cases: one safetensors file each, with `kind` and `config` in its metadata. */

import { InputError } from "../errors.ts";
import type { PlanOptions } from "../plan/lower.ts";
import type { Precision } from "../graph/tensor.ts";
import { parseJson } from "../io/json.ts";
import { type SafeTensor, toFloat32 } from "../io/safetensors.ts";
import { readSafetensors } from "../io/safetensors_file.ts";

export interface ReferenceCase {
  readonly file: string;
  readonly kind: string;
  readonly config: Record<string, unknown>;
  readonly tensors: ReadonlyMap<string, SafeTensor>;
}

/** One comparison: a tensor, or a group of them, against its tolerance. */
export interface Check {
  readonly name: string;
  readonly error: number;
  readonly tolerance: number;
  /** "relative": ‖a−b‖/‖b‖; "absolute": the largest |a−b|. */
  readonly measure: "relative" | "absolute";
  /** The tolerance was raised to what float32 rounding moves the numbers by. */
  readonly conditioned?: boolean;
}

export interface VerifyOptions {
  /** Leave out kernels that round differently from the plain sum. */
  readonly exact: boolean;
  /** The tuner's choice among kernels; the order shipped by default. */
  readonly choose?: PlanOptions["choose"];
  /** How activations are stored; f32 by default. */
  readonly precision?: Precision;
}

export async function readCase(file: string): Promise<ReferenceCase> {
  const { metadata, tensors } = await readSafetensors(file);
  if (!metadata.kind || !metadata.config) {
    throw new InputError(`${file}: no reference case: its metadata has no kind and config`);
  }
  const config = parseJson(
    metadata.config,
    (why) => new InputError(`${file}: its config cannot be read: ${why}`),
  );
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new InputError(`${file}: config must be a JSON object`);
  }
  return { file, kind: metadata.kind, config: config as Record<string, unknown>, tensors };
}

export function tensorOf({ file, tensors }: ReferenceCase, name: string): SafeTensor {
  const tensor = tensors.get(name);
  if (!tensor) throw new InputError(`${file}: tensor "${name}" is missing`);
  return tensor;
}

export function floats(reference: ReferenceCase, name: string): Float32Array<ArrayBuffer> {
  return Float32Array.from(toFloat32(tensorOf(reference, name)));
}

export function ints(reference: ReferenceCase, name: string): Int32Array<ArrayBuffer> {
  return Int32Array.from(tensorOf(reference, name).data as ArrayLike<number>);
}

/** Rows of a tensor whose first axis counts steps: row i as its own array. */
export function row<T extends Float32Array | Int32Array>(
  all: T,
  shape: readonly number[],
  i: number,
): T {
  const size = all.length / shape[0];
  return all.slice(i * size, (i + 1) * size) as T;
}

/** Squared distance and squared norm: what relative errors are made of. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): [number, number] {
  let difference = a.length === b.length ? 0 : NaN, norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return [difference, norm];
}

/** ‖a−b‖/‖b‖, Infinity where anything is not a number. */
export function relative(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [difference, norm] = distance(a, b);
  const error = Math.sqrt(difference / (norm || 1));
  return Number.isFinite(error) ? error : Infinity;
}

/** Largest |a−b|, Infinity where anything is not a number. */
export function absolute(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < b.length; i++) {
    const d = Math.abs(a[i] - b[i]);
    if (!(d <= worst)) worst = Number.isNaN(d) ? Infinity : d;
  }
  return worst;
}
