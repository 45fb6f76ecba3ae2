/** dice_bce: what its modules share. */

import { sizeOf, type TensorType } from "../../graph/tensor.ts";

export const perImage = ({ shape }: TensorType) => sizeOf(shape) / shape[0];
