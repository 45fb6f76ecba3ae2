/** How near generated slices come to training slices, in pixels and in features. */

import type { Features } from "../metrics/linear_algebra.ts";
import { type Memorisation, memorisation, nearest } from "../metrics/nearest.ts";

/** A generated slice and the training slice nearest to it. */
export interface ClosePair {
  generated: number;
  train: number;
  /** Root mean square difference. */
  distance: number;
}

export interface Copying {
  /** The nearest training slice of each generated one, closest pair first. */
  pairs: ClosePair[];
  /** Null where there are too few real distances to say what is near. */
  memorisation: Memorisation | null;
}

/**
 * Nearest neighbours of generated rows among training rows. What is unusually near is judged by
 * real rows: held-out ones against all training rows, and training rows against those of other
 * patients.
 *
 * @param patients of the training rows
 * @param heldOut real rows that were not trained on, with their patients
 */
export function copying(
  generated: Features,
  train: Features,
  patients: readonly string[],
  heldOut: { rows: Features; patients: readonly string[] } | null,
): Copying {
  const pairs = nearest(generated, train).flatMap((found, i): ClosePair[] =>
    found ? [{ generated: i, train: found.index, distance: found.distance }] : []
  ).sort((a, b) => a.distance - b.distance);
  const real = [
    ...heldOut
      ? nearest(heldOut.rows, train, (i, row) => heldOut.patients[i] === patients[row])
      : [],
    ...nearest(train, train, (i, row) => patients[i] === patients[row]),
  ].flatMap((found) => found ? [found.distance] : []);
  return { pairs, memorisation: memorisation(pairs.map(({ distance }) => distance), real) };
}
