/** Numbers as a tensor's bytes hold them. */

import type { DType } from "../graph/tensor.ts";
import type { TypedData } from "./runtime.ts";

/** Bytes read back, as numbers. */
export function decode(bytes: ArrayBuffer, dtype: DType): Float64Array {
  if (dtype === "i32") return Float64Array.from(new Int32Array(bytes));
  if (dtype === "u32") return Float64Array.from(new Uint32Array(bytes));
  if (dtype === "f16") return Float64Array.from(new Float16Array(bytes));
  return Float64Array.from(new Float32Array(bytes));
}

export function encode(values: ArrayLike<number>, dtype: DType): TypedData {
  if (dtype === "i32") return Int32Array.from(values);
  if (dtype === "u32") return Uint32Array.from(values);
  if (dtype === "f16") return new Uint16Array(Float16Array.from(values).buffer);
  return Float32Array.from(values);
}

/** Each rounded to the nearest number of the type. */
export function roundTo(values: Float64Array, dtype: DType): Float64Array {
  if (dtype === "f32") return values.map(Math.fround);
  return dtype === "f16" ? values.map(Math.f16round) : values;
}
