/** docs/mutations.md: every mutant with its verdict; read again, so that only what changed is run. */

import type { Verdict } from "./mutation.ts";

/** A survivor that computes the same, and why. */
export interface Equivalent {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly why: string;
}

/** The run of one file. */
export interface FileRun {
  /** Of what decided the verdicts, see `verdictKey`; its first digits do. */
  readonly key: string;
  readonly adapter: string;
  readonly verdicts: readonly Verdict[];
}

/** Digits of a key on the page. */
export const KEY_DIGITS = 16;

const code = (text: string) => text === "" ? "(removed)" : `\`${text.replaceAll("|", "\\|")}\``;

const PER_FILE = "| file | mutants | caught | equivalent | missed | of | adapter |";
const PER_MUTANT = "| line | kind | before | after | verdict | error | found by |";

/**
 * The page, and the survivors that nothing explains.
 *
 * @param stale files that changed since they were run, or never were.
 */
export function mutationReport(
  runs: ReadonlyMap<string, FileRun>,
  equivalent: readonly Equivalent[],
  stale: readonly string[] = [],
): { markdown: string; unexplained: Verdict[] } {
  const reason = (v: Verdict) =>
    equivalent.find((e) => e.file === v.file && e.before === v.before && e.after === v.after)?.why;
  const all = [...runs.values()].flatMap((run) => run.verdicts);
  const caught = all.filter((v) => v.verdict === "caught");
  const survivors = all.filter((v) => v.verdict === "survived");
  const explained = survivors.filter((v) => reason(v) !== undefined);
  const unexplained = survivors.filter((v) => reason(v) === undefined);
  const lines = [
    "# Mutation run",
    "",
    "Each kernel is altered in one place at a time, and the cases of the ops are run with it on the",
    "GPU against their float64 references, as `./run test` does. A mutant is caught when a case's",
    "error passes its tolerance, or when memory behind a tensor was written.",
    "",
    "`./run mutate --changed` runs the kernels whose text, plans, cases or tolerances are no longer",
    "those of the run told here (column *of*: the first digits of their SHA-256);",
    "`./run mutate --report` writes this page.",
    "",
    `${runs.size} files, ${all.length} mutants: ${caught.length} caught, ` +
    `${explained.length} equivalent, ${unexplained.length} missed.`,
    ...(stale.length ? ["", `Not run since they changed: ${stale.join(", ")}.`] : []),
    "",
    PER_FILE,
    "| --- | ---: | ---: | ---: | ---: | --- | --- |",
    ...[...runs].map(([file, { key, adapter, verdicts }]) => {
      const missed = verdicts.filter((v) => unexplained.includes(v)).length;
      const same = verdicts.filter((v) => explained.includes(v)).length;
      const found = verdicts.length - missed - same;
      return `| ${file} | ${verdicts.length} | ${found} | ${same} | ${missed} ` +
        `| ${key.slice(0, KEY_DIGITS)} | ${adapter} |`;
    }),
  ];
  if (survivors.length) lines.push("", "## Survivors");
  for (const v of survivors) {
    lines.push(
      "",
      `- ${v.file}:${v.line} (${v.kind}): ${code(v.before)} → ${code(v.after)}: ` +
        (reason(v) ? `equivalent. ${reason(v)}` : "**missed**"),
    );
  }
  for (const [file, { verdicts }] of runs) {
    lines.push(
      "",
      `## ${file}`,
      "",
      PER_MUTANT,
      "| ---: | --- | --- | --- | --- | ---: | --- |",
      ...verdicts.map((v) =>
        `| ${v.line} | ${v.kind} | ${code(v.before)} | ${code(v.after)} | ` +
        `${v.verdict === "caught" ? "caught" : reason(v) ? "equivalent" : "missed"} | ` +
        `${v.verdict === "survived" ? "" : v.error?.toExponential(1) ?? "no number"} | ` +
        `${v.by ?? ""} |`
      ),
    );
  }
  return { markdown: lines.join("\n") + "\n", unexplained };
}

/** The cells of a row; a `|` within one is written `\|`. */
const cells = (row: string) =>
  row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll("\\|", "|"));

const text = (cell: string) => cell === "(removed)" ? "" : cell.slice(1, -1);

/** The runs that a page tells, by file; none for a page of another form. */
export function parseMutationReport(markdown: string): Map<string, FileRun> {
  const lines = markdown.split("\n");
  /** The rows of the table that has this head, from a line on. */
  const rowsAfter = (head: string, from: number) => {
    const start = lines.indexOf(head, from);
    if (start < 0) return [];
    const rows = lines.slice(start + 2);
    const end = rows.findIndex((line) => !line.startsWith("|"));
    return (end < 0 ? rows : rows.slice(0, end)).map(cells);
  };
  const runs = new Map<string, FileRun>();
  for (const [file, , , , , key, adapter] of rowsAfter(PER_FILE, 0)) {
    const verdicts = rowsAfter(PER_MUTANT, lines.indexOf(`## ${file}`)).map(
      ([line, kind, before, after, verdict, error, by]): Verdict => ({
        ...{ file, line: Number(line), kind, before: text(before), after: text(after) },
        verdict: verdict === "caught" ? "caught" : "survived",
        by: by || null,
        error: Number.isFinite(Number(error || NaN)) ? Number(error) : null,
      }),
    );
    runs.set(file, { key, adapter, verdicts });
  }
  return runs;
}
