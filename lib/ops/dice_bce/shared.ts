/** dice_bce: what its modules share. */

import { sizeOf, type TensorType } from "../../graph/tensor.ts";

export interface DiceBceAttrs {
  /** Of all pixels. */
  readonly count: number;
}

export const perImage = ({ shape }: TensorType) => sizeOf(shape) / shape[0];
