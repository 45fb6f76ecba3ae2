/** concat: what its modules share. */

import { sizeOf, type TensorType } from "../../graph/tensor.ts";

export interface ConcatAttrs {
  readonly axis: 0 | 1;
}

/** Of the gradient, `length` is that of what was cut. */
export interface SliceAttrs {
  readonly axis: 0 | 1;
  readonly start: number;
  readonly length: number;
}

/** x as rows over the axes before `axis`: their number, and the elements of one step along `axis`. */
export function split({ shape }: TensorType, axis: number) {
  return { rows: sizeOf(shape.slice(0, axis)), unit: sizeOf(shape.slice(axis + 1)) };
}
