/** What a reading says of a volume, whatever file it came from. */

import type { NoduleEntry } from "./types.ts";

/** What a series' nodules and doubtful slices are, wherever they come from. */
export interface Findings {
  nodules: { entry: NoduleEntry; slices: Set<number> }[];
  plane(slice: number): Uint8Array;
  smallSlices: Set<number>;
  smallMarks: number;
  nonNodules: number;
  marks: number;
}
