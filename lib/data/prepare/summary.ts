/** What `prepare` did, as a table whose counts add up. */

import type { PrepareResult } from "./prepare.ts";
import { LEFT_OUT } from "./types.ts";

type Row = [what: string, series: number | "", slices: number | ""];

/** Lines for the screen: series and slices read by annotation, then what became of the slices. */
export function summaryTable(
  { totals: t, failures }: Pick<PrepareResult, "totals" | "failures">,
): string[] {
  const states = [
    ["annotation read", t.annotation.read],
    ["not annotated", t.annotation.none],
    ["annotation unreadable", t.annotation.unreadable],
  ] as const;
  const rows: Row[] = states.map(([what, { series, slices }]) => [what, series, slices]);
  rows.push(["could not be used", failures.length, 0], ["all that was found", t.series, t.slices]);
  const fates: Row[] = [
    ["written, with a nodule", "", t.positive],
    ["written, without", "", t.written - t.positive],
    ...LEFT_OUT.filter((why) => t.leftOut[why] > 0)
      .map((why): Row => [`left out: ${why}`, "", t.leftOut[why]]),
    ["all that was found", "", t.slices],
  ];
  const line = ([what, series, slices]: Row) =>
    `${what.padEnd(34)}${String(series).padStart(8)}${String(slices).padStart(10)}`;
  return [
    `${"".padEnd(34)}${"series".padStart(8)}${"slices".padStart(10)}`,
    ...rows.map(line),
    "",
    ...fates.map(line),
  ];
}
