/** What a convolution adds in its store, so that no pass over the image is needed for it. */

import { type BufferRef, input } from "../../graph/kernel_call.ts";
import type { StoredAlike } from "../../graph/op.ts";
import { sameShape, show, type TensorType } from "../../graph/tensor.ts";
import { type Stored, storedType } from "../common/checks.ts";
import type { Extra, WithExtras } from "../common/extras.ts";
import type { Epilogue } from "./direct.ts";
import type { Conv2dAttrs } from "./geometry.ts";

/** The first two inputs are the image and the weight; these are the others, in order. */
export const extrasOf = ({ extras = [] }: WithExtras): readonly Extra[] => extras;

export function requireExtras(
  inputs: readonly TensorType[],
  attrs: WithExtras & Stored,
  output: readonly number[],
): void {
  const extras = extrasOf(attrs);
  if (inputs.length !== 2 + extras.length) {
    throw new Error(`${inputs.length} inputs must be image, weight and ${extras.join(", ")}`);
  }
  extras.forEach((name, i) => {
    const shape = { bias: [output[1]], channel: output.slice(0, 2), residual: output }[name];
    const given = inputs[2 + i];
    const dtype = name === "residual" ? storedType(attrs) : "f32";
    if (given.dtype !== dtype) throw new Error(`${show(name, given)} must be ${dtype}`);
    if (!sameShape(given.shape, shape)) {
      throw new Error(`${show(name, given)} must be [${shape}]: output [${output}]`);
    }
  });
}

/** Whether a convolution with such a weight reads the pixels it is made for many times over. */
export const rereads = (
  { stride }: { readonly stride: number },
  [, , kh, kw]: readonly number[],
): boolean => stride === 1 && kh * kw > 1;

/** `half` of the op: the image that it reads, and the one it makes with its residual. */
export function halfTensors(attrs: Conv2dAttrs, given: readonly TensorType[]): StoredAlike[] {
  const residual = extrasOf(attrs).indexOf("residual");
  const inputs = residual < 0 ? [] : [2 + residual];
  return [{ inputs: [0], rereads: rereads(attrs, given[1].shape) }, {
    inputs,
    outputs: [0],
    named: true,
  }];
}

export function epilogueOf(attrs: WithExtras & Stored): Epilogue {
  const refs: Partial<Record<Extra, BufferRef>> = {};
  extrasOf(attrs).forEach((name, i) => refs[name] = input(2 + i));
  return { ...refs, dtype: storedType(attrs) };
}

/** The unfused form: y [N,C,pixels] with everything added, one after the other. */
export function addExtras(
  y: Float64Array,
  inputs: readonly Float64Array[],
  attrs: WithExtras,
  [n, c, h, w]: readonly number[],
): Float64Array {
  const area = h * w;
  extrasOf(attrs).forEach((name, i) => {
    const given = inputs[2 + i];
    for (let plane = 0; plane < n * c; plane++) {
      for (let p = plane * area; p < (plane + 1) * area; p++) {
        y[p] += given[name === "bias" ? plane % c : name === "channel" ? plane : p];
      }
    }
  });
  return y;
}
