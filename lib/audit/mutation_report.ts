/** docs/mutations.md: every mutant with its verdict. */

import type { Verdict } from "./mutation.ts";

/** A survivor that computes the same, and why. */
export interface Equivalent {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly why: string;
}

const code = (text: string) => text === "" ? "(removed)" : `\`${text.replaceAll("|", "\\|")}\``;

/** The page, and the survivors that nothing explains. */
export function mutationReport(
  verdicts: ReadonlyMap<string, readonly Verdict[]>,
  equivalent: readonly Equivalent[],
): { markdown: string; unexplained: Verdict[] } {
  const reason = (v: Verdict) =>
    equivalent.find((e) => e.file === v.file && e.before === v.before && e.after === v.after)?.why;
  const all = [...verdicts.values()].flat();
  const caught = all.filter((v) => v.verdict === "caught");
  const survivors = all.filter((v) => v.verdict === "survived");
  const explained = survivors.filter((v) => reason(v) !== undefined);
  const unexplained = survivors.filter((v) => reason(v) === undefined);
  const lines = [
    "# Mutation run",
    "",
    "Each kernel is altered in one place at a time, and the cases of the ops are run with it on the",
    "GPU against their float64 references, as `deno task test` does. A mutant is caught when a case's",
    "error passes its tolerance, or when memory behind a tensor was written. Written by",
    "`deno task mutate --report`; run one kernel with `deno task mutate conv2d/direct_3x3`.",
    "",
    `${verdicts.size} files, ${all.length} mutants: ${caught.length} caught, ` +
    `${explained.length} equivalent, ${unexplained.length} missed.`,
    "",
    "| file | mutants | caught | equivalent | missed |",
    "| --- | ---: | ---: | ---: | ---: |",
    ...[...verdicts].map(([file, list]) => {
      const missed = list.filter((v) => unexplained.includes(v)).length;
      const same = list.filter((v) => explained.includes(v)).length;
      return `| ${file} | ${list.length} | ${list.length - missed - same} | ${same} | ${missed} |`;
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
  for (const [file, list] of verdicts) {
    lines.push(
      "",
      `## ${file}`,
      "",
      "| line | kind | before | after | verdict | error | found by |",
      "| ---: | --- | --- | --- | --- | ---: | --- |",
      ...list.map((v) =>
        `| ${v.line} | ${v.kind} | ${code(v.before)} | ${code(v.after)} | ` +
        `${v.verdict === "caught" ? "caught" : reason(v) ? "equivalent" : "missed"} | ` +
        `${v.verdict === "survived" ? "" : v.error?.toExponential(1) ?? "no number"} | ` +
        `${v.by ?? ""} |`
      ),
    );
  }
  return { markdown: lines.join("\n") + "\n", unexplained };
}
