/** The slices that are scored, and those that they are scored against. */

import type { Segmenting } from "./conditions.ts";

/** A slice to score: planes of [height, width]. */
export interface EvalSlice {
  id: string;
  patient: string;
  /** The class asked for, or the real one. */
  label: 0 | 1;
  /** In [−1, 1]. */
  ct: Float32Array;
  /** 0 or 1: the mask it was generated inside, or its own. */
  lungMask: Float32Array;
  noduleMask?: Float32Array;
}

export interface EvaluationInput extends Segmenting {
  generated: EvalSlice[];
  real: EvalSlice[];
  /** The real slice whose mask generated[i] was made for; null where that is not known. */
  partners: EvalSlice[] | null;
  /** What the model was trained on, if known. */
  train: EvalSlice[];
  seed: number;
}

export const NO_PARTNERS = "it is not known of which real slice's mask each was made";
