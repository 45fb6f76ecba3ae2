/** What `deno test` printed, read back: counts, and which tests were skipped, and why. */

export interface TestOutput {
  /** Without those that said that they skip. */
  readonly passed: number;
  readonly steps: number;
  readonly failed: number;
  readonly skipped: readonly Skip[];
  /** Without what the tests themselves printed. */
  readonly brief: string;
}

export interface Skip {
  readonly test: string;
  readonly why: string;
}

const SAYS = /^skipped: (.*)$/;

/**
 * A test is skipped that is ignored, or that prints `skipped: why` (on a line of its own) and passes.
 * An ignored one's reason is in its name, `skipped: what`, or was printed while its file was loaded.
 */
export function readTestOutput(text: string): TestOutput {
  // deno-lint-ignore no-control-regex
  const plain = text.replace(/\x1b\[[\d;]*m/g, "");
  const skips = new Map<string, string>(), failedTests = new Set<string>();
  const atLoad: string[] = [], ignored: string[] = [], brief: string[] = [];
  let inside: "load" | "test" | null = null, test = "";
  for (const line of plain.split("\n")) {
    if (/^-+ (pre-test |post-test )?output -+$/.test(line)) {
      inside = line.includes("pre-test") ? "load" : "test";
    } else if (/^-+ .*output end -+$/.test(line)) inside = null;
    else if (inside) {
      const why = SAYS.exec(line)?.[1];
      if (why && inside === "load") atLoad.push(why);
      else if (why && !skips.has(test)) skips.set(test, why);
    } else {
      brief.push(line);
      const [, name, verdict] = /^(\S.*?) \.\.\.(?: (ok|FAILED|ignored)\b.*)?$/.exec(line) ?? [];
      if (!name) continue;
      if (verdict === undefined) test = name;
      if (verdict === "FAILED") failedTests.add(name);
      if (verdict === "ignored") ignored.push(name);
    }
  }
  const count = (pattern: RegExp) => Number(plain.match(pattern)?.[1] ?? 0);
  const said = [...skips].filter(([name]) => !failedTests.has(name));
  return {
    passed: count(/^(?:ok|FAILED) \| (\d+) passed/m) - said.length,
    steps: count(/^(?:ok|FAILED) \| \d+ passed \((\d+) step/m),
    failed: count(/^(?:ok|FAILED) \|.*? (\d+) failed/m),
    skipped: [
      ...said.map(([test, why]) => ({ test, why })),
      ...ignored.map((test) => ({
        test,
        why: SAYS.exec(test)?.[1] ?? (atLoad.join("; ") || test),
      })),
    ],
    brief: brief.join("\n"),
  };
}

/** Skips by reason: how many, and where. */
export function byReason(skips: readonly (Skip & { readonly file: string })[]): string[] {
  const groups = Map.groupBy(skips, ({ why }) => why);
  return [...groups].map(([why, all]) =>
    `skipped: ${why}: ${all.length} in ${[...new Set(all.map(({ file }) => file))].join(", ")}`
  );
}
