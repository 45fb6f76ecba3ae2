/**
 * Flat planes: images [N,C,H,W] kept as [N,C,1,P] with P the number of pixels rounded up to 4, what
 * lies past the pixels being of no account. With P a multiple of 4 every plane starts at a whole
 * vec4, so that a convolution of any shape is `unfold2d` and the fast 1×1 one.
 */

import { show, type TensorType } from "../../graph/tensor.ts";

/** Elements of the flat plane of `pixels` pixels. */
export function flatPlane(pixels: number): number {
  return Math.ceil(pixels / 4) * 4;
}

/** Throws unless x has room for planes of `height` × `width` pixels. */
export function requireFlat(x: TensorType, [height, width]: readonly [number, number]): void {
  const plane = x.shape[2] * x.shape[3];
  if (!Number.isInteger(height) || !Number.isInteger(width) || height * width > plane) {
    throw new Error(`${show("x", x)} must have planes of at least ${height}×${width} pixels`);
  }
}
