/** `./run mutate --ts`: plants bugs in the TypeScript and demands that the tests find them. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Progress, progressLines } from "../lib/cli/main.ts";
import { CheckFailedError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import {
  type Equivalent,
  shareCaught,
  summarise,
  summaryJson,
  summaryText,
} from "../lib/mutate/report.ts";
import { mutationRun } from "../lib/mutate/run.ts";
import { stampsOf } from "../lib/mutate/stamps.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const WORK = join(ROOT, "out/mutate");
const EQUIVALENT = join(ROOT, "docs/mutations_typescript_equivalent.json");
const REPORT = join(ROOT, "docs/mutations_typescript.json");

export interface TypeScriptRun {
  readonly paths: readonly string[];
  readonly tests?: readonly string[];
  readonly sample?: number;
  readonly seed: number;
  readonly quick?: boolean;
  readonly changed?: boolean;
  readonly jobs: number;
  readonly report?: boolean;
}

const oneLine = (text: string) => text.replace(/\s+/g, " ").slice(0, 80);

/** @throws CheckFailedError where fewer than 90% of what is no equivalent were caught. */
export async function mutateTypeScript(run: TypeScriptRun): Promise<void> {
  const { paths, tests, sample, seed, quick, jobs } = run;
  const stamps = await stampsOf(ROOT);
  const stampFile = join(WORK, "stamps.json");
  const known: Record<string, string> = JSON.parse(
    await Deno.readTextFile(stampFile).catch(() => "{}"),
  );
  let progress: Progress | undefined;
  const result = await mutationRun({
    root: ROOT,
    work: WORK,
    ...{ paths, tests, sample, seed, quick, jobs },
    wants: (file) => !run.changed || stamps.get(file) !== known[file],
    onTrial: (test, left, all) => {
      progress ??= progressLines("mutants", all, "{test}");
      progress.update(all - left, { test });
    },
    onSurvivor: ({ file, line, kind, before, after }) =>
      console.log(`${file}:${line} survived (${kind}): ${oneLine(before)} → ${oneLine(after)}`),
  });
  progress?.stop();
  const equivalents: Equivalent[] = JSON.parse(await Deno.readTextFile(EQUIVALENT));
  const summary = summarise(result.outcomes, equivalents);
  console.log(summaryText(summary));
  for (const line of result.broken) console.log(`left out, it fails without a mutant: ${line}`);
  const json = summaryJson(summary, result, { paths, tests, sample, seed, quick: Boolean(quick) });
  await writeFileAtomic(run.report ? REPORT : join(WORK, "report.json"), json);
  for (const { mutant: { file } } of result.outcomes) known[file] = stamps.get(file)!;
  await writeFileAtomic(stampFile, JSON.stringify(known));
  if (shareCaught(summary.total) < 0.9) {
    throw new CheckFailedError(
      `${summary.missed.length} of ${summary.total.mutants} mutants survived`,
    );
  }
}
