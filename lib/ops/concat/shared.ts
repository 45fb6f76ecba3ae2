/** concat: what its modules share. */

import { sizeOf, type TensorType } from "../../graph/tensor.ts";

/** x as rows over the axes before `axis`: their number, and the elements of one step along `axis`. */
export function split({ shape }: TensorType, axis: number) {
  return { rows: sizeOf(shape.slice(0, axis)), unit: sizeOf(shape.slice(axis + 1)) };
}
