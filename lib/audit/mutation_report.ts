/**
 * The run of mutants as two files: docs/mutations.json has every mutant with its verdict, and is read
 * again, so that only what changed is run; docs/mutations.md is a screen of summary.
 */

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

/** Digits of a key in the file. */
export const KEY_DIGITS = 16;

/** `kernels/conv2d/gpu/a.wgsl` → `conv2d`. */
const folderOf = (file: string) => file.split("/")[1];
const code = (text: string) => text === "" ? "(removed)" : `\`${text}\``;

/**
 * Both files, and the survivors that nothing explains.
 *
 * @param stale files that changed since they were run, or never were.
 */
export function mutationReport(
  runs: ReadonlyMap<string, FileRun>,
  equivalent: readonly Equivalent[],
  stale: readonly string[] = [],
): { json: string; markdown: string; unexplained: Verdict[] } {
  const isEquivalent = (v: Verdict) =>
    equivalent.some((e) => e.file === v.file && e.before === v.before && e.after === v.after);
  const survived = (v: Verdict) => v.verdict === "survived";
  const all = [...runs.values()].flatMap((run) => run.verdicts);
  const unexplained = all.filter((v) => survived(v) && !isEquivalent(v));
  const row = (name: string, files: number, verdicts: readonly Verdict[]) => {
    const missed = verdicts.filter((v) => unexplained.includes(v)).length;
    const same = verdicts.filter(survived).length - missed;
    const cells = [files, verdicts.length, verdicts.length - missed - same, same, missed];
    return `| ${name} | ${cells.join(" | ")} |`;
  };
  const folders = Object.entries(Object.groupBy(runs, ([file]) => folderOf(file)));
  const markdown = [
    "# Mutation run of the kernels",
    "",
    "Each kernel is altered in one place at a time, and the cases of the ops are run with it on the",
    "GPU against their float64 references, as `./run test` does. A mutant is caught when a case's",
    "error passes its tolerance, or when memory behind a tensor was written. Every mutant with its",
    "verdict is in [mutations.json](mutations.json); why a survivor computes the same, in",
    "[mutations_equivalent.json](mutations_equivalent.json). `./run mutate --changed` runs the kernels",
    "whose text, plans, cases or tolerances are no longer those of this run; `./run mutate --report`",
    "writes both files.",
    "",
    "| kernels of | files | mutants | caught | equivalent | missed |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
    ...folders.map(([folder, found]) =>
      row(folder, found!.length, found!.flatMap(([, run]) => run.verdicts))
    ),
    row("**all**", runs.size, all),
    ...(stale.length ? ["", `Not run since they changed: ${summary(stale)}.`] : []),
    ...(unexplained.length ? ["", "Missed:", ""] : []),
    ...unexplained.slice(0, SHOWN).map((v) =>
      `- ${v.file}:${v.line} (${v.kind}): ${code(v.before)} → ${code(v.after)}`
    ),
    ...(unexplained.length > SHOWN ? [`- and ${unexplained.length - SHOWN} more`] : []),
  ];
  return { json: toJson(runs), markdown: markdown.join("\n") + "\n", unexplained };
}

/** Missed mutants and stale files that the page names. */
const SHOWN = 20;

const summary = (names: readonly string[]) =>
  names.slice(0, SHOWN).join(", ") +
  (names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "");

/** A line a mutant, so that a diff shows what changed. */
function toJson(runs: ReadonlyMap<string, FileRun>): string {
  const files = [...runs].map(([file, { key, adapter, verdicts }]) => {
    const lines = verdicts.map(({ file: _, ...verdict }) => `\n   ${JSON.stringify(verdict)}`);
    const head = `"key": ${JSON.stringify(key.slice(0, KEY_DIGITS))}, ` +
      `"adapter": ${JSON.stringify(adapter)}`;
    return ` ${JSON.stringify(file)}: {${head}, "verdicts": [${lines.join(",")}]}`;
  });
  return `{\n${files.join(",\n")}\n}\n`;
}

/** The runs that the JSON file tells, by file. */
export function parseMutationReport(json: string): Map<string, FileRun> {
  const files = Object.entries(JSON.parse(json) as Record<string, FileRun>);
  return new Map(files.map(([file, run]) => [
    file,
    { ...run, verdicts: run.verdicts.map((verdict) => ({ ...verdict, file })) },
  ]));
}
