/** pool2d: sizes of images and windows. */

import type { TensorType } from "../../graph/tensor.ts";
import { flatPlane } from "../common/flat.ts";

export interface Pool2dAttrs {
  readonly flat?: readonly [number, number];
  readonly pitch?: number;
  readonly window: readonly [number, number];
  readonly stride: number;
  readonly padding: number;
}

export interface Sizes {
  h: number;
  w: number;
  height: number;
  width: number;
  /** Elements from one row to the next, and from one plane to the next. */
  pitch: number;
  plane: number;
  outPlane: number;
}

export function sizes(
  x: TensorType,
  { window, stride, padding, flat, pitch: given }: Pool2dAttrs,
): Sizes {
  const [h, w] = flat ?? x.shape.slice(2), pitch = given ?? w;
  const [height, width] = [h, w].map((side, i) =>
    Math.floor((side + 2 * padding - window[i]) / stride) + 1
  );
  const pixels = height * width;
  const plane = x.shape[2] * x.shape[3];
  return { h, w, height, width, pitch, plane, outPlane: flat ? flatPlane(pixels) : pixels };
}
