/** What a placement run says: a table for the terminal, and JSON. */

import { summarise } from "../metrics/bootstrap.ts";
import { jsonNumber, mean } from "../metrics/statistics.ts";
import { PhiloxStream } from "../random/philox.ts";
import type { NoduleMeasure } from "./placement.ts";
import {
  byClass,
  GROUPS,
  type MeasuredSlice,
  type PlacementResult,
  SIZE_CLASSES,
} from "./placement_run.ts";

/** A figure with its 95 % bootstrap interval, asked for and real. */
export interface PlacementRow {
  readonly what: string;
  readonly of: string;
  readonly count: number;
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
  /** The same figure of real slices; undefined where they have none. */
  readonly real?: number;
  readonly realCount?: number;
}

type Values = readonly number[];

function row(what: string, of: string, values: Values, real: Values | undefined, seed: number) {
  const summary = summarise(values, new PhiloxStream(seed, 12 * 2 ** 40));
  return {
    what,
    of,
    count: values.length,
    value: summary?.mean ?? NaN,
    low: summary?.low,
    high: summary?.high,
    real: real?.length ? mean(real) : undefined,
    realCount: real?.length,
  } satisfies PlacementRow;
}

const finite = (values: Values) => values.filter(Number.isFinite);
const figures: [string, (n: NoduleMeasure) => number][] = [
  ["found at the place, share", ({ found }) => found ? 1 : 0],
  ["contrast, HU", ({ contrast }) => contrast],
  ["Dice with the mask", ({ dice }) => dice],
];

/** All figures: by size class, by group, and what was found where nothing was asked for. */
export function placementRows({ asked, real }: PlacementResult, seed: number): PlacementRow[] {
  const rows: PlacementRow[] = [];
  for (const size of SIZE_CLASSES) {
    const [made, own] = [byClass(asked, size), byClass(real, size)];
    for (const [what, of] of figures) {
      const name = `${size[0]} to ${size[1]} mm`;
      rows.push(row(what, name, finite(made.map(of)), finite(own.map(of)), seed));
    }
  }
  const nodulesOf = (slices: readonly MeasuredSlice[]) => slices.flatMap(({ nodules }) => nodules);
  for (const group of GROUPS) {
    const slices = asked.filter((slice) => slice.group === group), found = figures[0][1];
    if (group !== "none") {
      const values = nodulesOf(slices).map(found);
      rows.push(row(figures[0][0], groupName(group), values, nodulesOf(real).map(found), seed));
    }
    const apart = slices.flatMap(({ apart }) => apart === undefined ? [] : [apart ? 1 : 0]);
    if (apart.length) rows.push(row("told apart, share of slices", group, apart, undefined, seed));
  }
  const extra = (slices: readonly MeasuredSlice[]) => slices.map((slice) => slice.extra);
  const isEmpty = (slice: MeasuredSlice) => slice.nodules.length === 0;
  const clean = (slices: readonly MeasuredSlice[]) =>
    slices.filter(isEmpty).map((slice) => slice.extra === 0 ? 1 : 0);
  rows.push(
    row("detections elsewhere, a slice", "all slices", extra(asked), extra(real), seed),
    row("nothing found, share of slices", "none asked for", clean(asked), clean(real), seed),
  );
  return rows;
}

const groupName = (group: string) =>
  ({ one: "one a slice", two: "two a slice", three: "three a slice", wall: "on the chest wall" })[
    group
  ] ?? `near the ${group}`;

/** A line a figure. */
export function placementTable(rows: readonly PlacementRow[]): string {
  const number = (v: number | undefined) =>
    v === undefined || Number.isNaN(v) ? "—" : Math.abs(v) >= 10 ? v.toFixed(0) : v.toFixed(3);
  const cells = rows.map((r) => [
    r.what,
    r.of,
    String(r.count),
    number(r.value),
    r.low === undefined ? "" : `[${number(r.low)}, ${number(r.high)}]`,
    r.real === undefined ? "—" : `${number(r.real)} (${r.realCount})`,
  ]);
  const head = ["figure", "nodules", "n", "asked for", "95 %", "real (n)"];
  const widths = head.map((_, c) => Math.max(...[head, ...cells].map((line) => line[c].length)));
  return [head, ...cells].map((line) =>
    line.map((cell, c) => c < 2 ? cell.padEnd(widths[c]) : cell.padStart(widths[c])).join("  ")
      .trimEnd()
  ).join("\n");
}

export function placementJson(
  about: Readonly<Record<string, unknown>>,
  rows: readonly PlacementRow[],
  { asked, real, notes }: PlacementResult,
): string {
  const slices = (list: readonly MeasuredSlice[]) =>
    list.map(({ id, group, diameters, nodules, extra, apart }) => ({
      ...{ id, group, extra, apart },
      nodules: nodules.map((nodule, i) => ({ diameterMm: diameters[i], ...nodule })),
    }));
  const plain = { about, rows, notes, asked: slices(asked), real: slices(real) };
  return JSON.stringify(plain, (_, v) => typeof v === "number" ? jsonNumber(v) : v, 2) + "\n";
}
