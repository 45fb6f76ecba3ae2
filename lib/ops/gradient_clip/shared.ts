/** gradient_clip: what its modules share. */

export interface GradientClipAttrs {
  readonly maxNorm: number;
}

/** Elements of a flat gradient that share one entry of `filled`. */
export const CLIP_BLOCK = 64;
