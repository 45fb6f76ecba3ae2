/** What a mutation run of TypeScript found: counts per folder, and survivors that compute the same. */

import type { Outcome, RunResult } from "./run.ts";

/** A mutant that changes nothing that anyone could see, and why. */
export interface Equivalent {
  readonly file: string;
  /** The whole line, without the space around it. */
  readonly line: string;
  readonly before: string;
  readonly after: string;
  readonly why: string;
}

export interface Counts {
  mutants: number;
  caught: number;
  equivalent: number;
  missed: number;
}

export interface Summary {
  readonly folders: Record<string, Counts>;
  readonly total: Counts;
  readonly missed: readonly Outcome[];
}

/** `lib/data/lidc/xml.ts` → `lib/data`; `lib/errors.ts` → `lib`; `scripts/sample.ts` → `scripts`. */
const folderOf = (path: string) => path.split("/").slice(0, -1).slice(0, 2).join("/");

const nothing = (): Counts => ({ mutants: 0, caught: 0, equivalent: 0, missed: 0 });

export function summarise(
  outcomes: readonly Outcome[],
  equivalents: readonly Equivalent[],
): Summary {
  const argued = new Set(
    equivalents.map((e) => JSON.stringify([e.file, e.line, e.before, e.after])),
  );
  const folders: Record<string, Counts> = {}, total = nothing();
  const missed: Outcome[] = [];
  for (const outcome of outcomes) {
    const { mutant: { file, before, after }, text, caught } = outcome;
    const isSame = argued.has(JSON.stringify([file, text, before, after]));
    const kind = caught ? "caught" : isSame ? "equivalent" : "missed";
    if (kind === "missed") missed.push(outcome);
    for (const counts of [folders[folderOf(file)] ??= nothing(), total]) {
      counts.mutants++;
      counts[kind]++;
    }
  }
  return { folders, total, missed };
}

/** Of all that are no equivalents. */
export const shareCaught = ({ mutants, caught, equivalent }: Counts): number =>
  mutants === equivalent ? 1 : caught / (mutants - equivalent);

const short = (text: string) => text.replace(/\s+/g, " ").slice(0, 70);

export const describe = ({ mutant, by }: Outcome): string =>
  `${mutant.file}:${mutant.line} (${mutant.kind}): ${short(mutant.before)}  →  ` +
  `${short(mutant.after)}   [${by}]`;

/** A screen of text. */
export function summaryText({ folders, total, missed }: Summary): string {
  const row = (name: string, c: Counts) =>
    name.padEnd(14) + [c.mutants, c.caught, c.equivalent, c.missed].map((n) =>
      String(n).padStart(11)
    ).join("") + `${(100 * shareCaught(c)).toFixed(1)}%`.padStart(9);
  return [
    "folder".padEnd(14) +
    ["mutants", "caught", "equivalent", "missed"].map((n) => n.padStart(11)).join("") +
    "share".padStart(9),
    ...Object.entries(folders).sort().map(([name, counts]) => row(name, counts)),
    row("all", total),
    ...missed.slice(0, 20).map((m) => `missed ${describe(m)}`),
    ...missed.length > 20 ? [`… ${missed.length - 20} more, all in the JSON file`] : [],
  ].join("\n");
}

/** The report as JSON: what ran, counts, and what was missed. */
export function summaryJson(
  summary: Summary,
  result: RunResult,
  options: Record<string, unknown>,
): string {
  const missed = summary.missed.map((
    { mutant: { file, line, kind, before, after }, text, by },
  ) => ({
    file,
    at: line,
    kind,
    line: text,
    before,
    after,
    by,
  }));
  const { folders, total } = summary;
  return JSON.stringify({ ...options, total, folders, missed, broken: result.broken }, null, 1) +
    "\n";
}
