/**
 * Two programs that take turns. On a machine whose speed changes from minute to minute, times that were
 * measured one after the other say more of the minute than of the programs; ratios of neighbours do not.
 */

/** What can be timed: milliseconds of a step, so many in a row. */
export interface Timed {
  time(count: number): Promise<number>;
}

/**
 * Each turn measures both, in the other order than the turn before, and gives a ratio.
 *
 * @param rows steps in a row of each.
 * @param goesOn whether there is time for a turn more, after so many.
 * @returns each turn's time of a step of the second for one of the first.
 */
export async function ratiosInTurns(
  programs: readonly [Timed, Timed],
  rows: readonly [number, number],
  goesOn: (turns: number) => boolean,
): Promise<number[]> {
  const ratios: number[] = [];
  while (goesOn(ratios.length)) {
    const times = [0, 0];
    for (const i of ratios.length % 2 ? [1, 0] : [0, 1]) {
      times[i] = await programs[i].time(rows[i]);
    }
    ratios.push(times[1] / times[0]);
  }
  return ratios;
}
