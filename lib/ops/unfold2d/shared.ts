/** unfold2d: what its modules share. */

export interface Unfold2dOptions {
  /** Height and width of the images in x. */
  readonly size: readonly [number, number];
  readonly window: readonly [number, number];
  readonly stride: number;
  /** Zeros above and below, left and right. */
  readonly padding: readonly [number, number];
}

/** Height and width of what a convolution makes of an image. */
export function convolvedSize(
  { size, window, stride, padding }: Unfold2dOptions,
): [number, number] {
  const [height, width] = size.map((side, i) =>
    Math.floor((side + 2 * padding[i] - window[i]) / stride) + 1
  );
  return [height, width];
}
