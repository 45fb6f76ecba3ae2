/** Whether generated slices copy training slices, in pixels and in features. */

import type { Features } from "../metrics/linear_algebra.ts";
import { type Memorisation, memorisation, nearest, type Neighbour } from "../metrics/nearest.ts";

/** A generated slice and the training slice nearest to it. */
export interface ClosePair {
  generated: number;
  train: number;
  /** Root mean square difference. */
  distance: number;
  /** Over the distance to the nearest slice of any other patient; null where there is none. */
  ratio: number | null;
}

export interface Copying {
  /** The nearest training slice of each generated one, the most suspicious pair first. */
  pairs: ClosePair[];
  /** Null where there are too few slices of different patients to say what is near. */
  memorisation: Memorisation | null;
}

/**
 * How much nearer than to everyone else a row is to one patient: the distance to the nearest row over
 * that to the nearest row of another patient. A copy is near 0. Distances alone would not do: a
 * blurred slice is nearer to all slices than they are to each other, and copies none.
 */
function ratios(
  queries: Features,
  train: Features,
  patients: readonly string[],
  own: (query: number) => string | null,
): { found: (Neighbour | null)[]; ratio: (number | null)[] } {
  const found = nearest(queries, train, (i, row) => patients[row] === own(i));
  const others = nearest(queries, train, (i, row) => {
    const first = found[i];
    return !first || patients[row] === own(i) || patients[row] === patients[first.index];
  });
  const ratio = found.map((first, i) => {
    const other = others[i];
    return first && other ? first.distance / Math.max(other.distance, Number.MIN_VALUE) : null;
  });
  return { found, ratio };
}

/**
 * Nearest neighbours of generated rows among training rows. What ratio is unusually small is judged
 * by real rows: held-out ones, and training rows with their own patient left out.
 *
 * @param patients of the training rows
 * @param heldOut real rows that were not trained on, with their patients
 */
export function copying(
  generated: Features,
  train: Features,
  patients: readonly string[],
  heldOut: { rows: Features; patients: readonly string[] },
): Copying {
  const { found, ratio } = ratios(generated, train, patients, () => null);
  const pairs = found.flatMap((first, i): ClosePair[] =>
    first ? [{ generated: i, train: first.index, distance: first.distance, ratio: ratio[i] }] : []
  ).sort((a, b) => (a.ratio ?? a.distance) - (b.ratio ?? b.distance));
  const real = [
    ...ratios(heldOut.rows, train, patients, (i) => heldOut.patients[i]).ratio,
    ...ratios(train, train, patients, (i) => patients[i]).ratio,
  ];
  const known = (values: (number | null)[]) => values.filter((value) => value !== null);
  return { pairs, memorisation: memorisation(known(ratio), known(real)) };
}

interface Plane {
  ct: Float32Array;
  lungMask: Float32Array;
}

/**
 * Whether some training slice, or its mirror image, differs from a slice by less than `limit` inside
 * the slice's mask: root mean square, in the units of `ct`. This needs no other patients to say what
 * is near. A slice without a lung is like none.
 */
export function isCopied(
  { ct, lungMask }: Plane,
  train: readonly Plane[],
  width: number,
  limit: number,
): boolean {
  const inside: number[] = [];
  lungMask.forEach((value, i) => value > 0.5 && inside.push(i));
  const most = limit ** 2 * inside.length;
  const mirrored = inside.map((i) => i - i % width + width - 1 - i % width);
  const like = (other: Float32Array, places: number[]) => {
    let sum = 0;
    for (let k = 0; k < inside.length && sum < most; k++) {
      sum += (ct[inside[k]] - other[places[k]]) ** 2;
    }
    return sum < most;
  };
  return train.some((other) => like(other.ct, inside) || like(other.ct, mirrored));
}
