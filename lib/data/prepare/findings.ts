/** What a reading says of a volume, whatever file it came from. */

import type { AnnotationState, NoduleEntry } from "./types.ts";

/** What a series' nodules and doubtful slices are, wherever they come from. */
export interface Findings {
  state: AnnotationState;
  nodules: { entry: NoduleEntry; slices: Set<number> }[];
  plane(slice: number): Uint8Array;
  smallSlices: Set<number>;
  /** Slices with an outline that could not be used. */
  doubtfulSlices: Set<number>;
  smallMarks: number;
  nonNodules: number;
  marks: number;
}

/** Of a series that nobody has read: nothing on any slice. */
export function noFindings(state: AnnotationState, pixels: number): Findings {
  return {
    state,
    nodules: [],
    plane: () => new Uint8Array(pixels),
    smallSlices: new Set(),
    doubtfulSlices: new Set(),
    smallMarks: 0,
    nonNodules: 0,
    marks: 0,
  };
}
