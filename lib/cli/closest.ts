/** For "did you mean": the nearest of some names. */

/** Letters to insert, remove, change or swap with a neighbour to make `b` of `a`. */
export function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...Array(b.length).fill(0)]);
  for (let j = 1; j <= b.length; j++) rows[0][j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
  }
  return rows[a.length][b.length];
}

/** The name nearest to `word`, if at most two letters and a third of the word differ. */
export function closest(word: string, names: readonly string[]): string | undefined {
  if (word.length > 40) return undefined;
  const scored = names.map((name) => ({ name, d: editDistance(word.toLowerCase(), name) }))
    .sort((a, b) => a.d - b.d);
  const [best] = scored;
  return best && best.d <= Math.min(2, Math.max(1, Math.ceil(word.length / 3)))
    ? best.name
    : undefined;
}
