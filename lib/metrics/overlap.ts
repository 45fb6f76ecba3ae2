/** Agreement of masks and of verdicts. */

/** 2|A ∩ B| / (|A| + |B|), values above 0.5 being inside; 1 where both are empty. */
export function dice(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new RangeError(`Cannot compare masks of ${a.length} and ${b.length} pixels`);
  }
  let both = 0, sum = 0;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] > 0.5, b[i] > 0.5];
    if (x && y) both++;
    sum += (x ? 1 : 0) + (y ? 1 : 0);
  }
  return sum === 0 ? 1 : 2 * both / sum;
}

/**
 * Area under the ROC curve: the chance that a positive's score is above a negative's, ties counting
 * half (Mann–Whitney). Null where a class is missing.
 */
export function auc(scores: ArrayLike<number>, labels: ArrayLike<number>): number | null {
  let wins = 0, pairs = 0;
  for (let i = 0; i < scores.length; i++) {
    if (!(labels[i] > 0.5)) continue;
    for (let j = 0; j < scores.length; j++) {
      if (labels[j] > 0.5) continue;
      wins += scores[i] > scores[j] ? 1 : scores[i] === scores[j] ? 0.5 : 0;
      pairs++;
    }
  }
  return pairs === 0 ? null : wins / pairs;
}
