/** A mutation run of TypeScript: choose mutants, plant them in a copy, let the tests find them. */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import { type Copy, makeCopy, moduleTexts } from "./copy.ts";
import { type TestFile, testFilesOf, testsFor } from "./imports.ts";
import { findMutants, type Planted } from "./mutants.ts";
import { tryAlone, tryFile, type Verdict } from "./trial.ts";

export interface RunOptions {
  readonly root: string;
  /** Where copies of the project go, one a job. */
  readonly work: string;
  /** Modules whose path begins with one of these; all without. */
  readonly paths?: readonly string[];
  readonly sample?: number;
  readonly seed?: number;
  /** Only test files that neither start processes nor use a GPU. */
  readonly quick?: boolean;
  /** Only test files whose path begins with one of these. */
  readonly tests?: readonly string[];
  readonly jobs?: number;
  /** False of modules to leave out. */
  readonly wants?: (file: string, text: string) => boolean;
  readonly onTrial?: (test: string, left: number, all: number) => void;
  readonly onSurvivor?: (mutant: Planted) => void;
}

export interface Outcome {
  readonly mutant: Planted;
  /** The text of its line, by which an argued equivalent is known again. */
  readonly text: string;
  readonly caught: boolean;
  /** The test that caught it, as file: name; or the files that met it. */
  readonly by: string;
}

export interface RunResult {
  readonly outcomes: readonly Outcome[];
  /** Test files that fail without any mutant, and why. */
  readonly broken: readonly string[];
}

/** The driver runs what it would be tested with; the peers are other people's programs. */
const isOurs = (path: string) =>
  /^(lib|scripts)\//.test(path) && !path.startsWith("scripts/peers/") &&
  path !== "lib/mutate/driver.ts";

/** FNV-1a with a last mixing: an order that does not change when lines move. */
function hash(text: string): number {
  let h = 0x811C9DC5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85EBCA6B);
  h = Math.imul(h ^ (h >>> 13), 0xC2B2AE35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Without `sample` all mutants; else those whose hashes are least. */
export function chooseMutants(
  texts: ReadonlyMap<string, string>,
  { paths = [], sample, seed = 0, wants = () => true }: Partial<RunOptions>,
): Planted[] {
  const chosen: { mutant: Planted; order: number }[] = [];
  for (const [file, text] of [...texts].sort(([a], [b]) => a < b ? -1 : 1)) {
    if (!isOurs(file) || paths.length && !paths.some((p) => file.startsWith(p))) continue;
    if (!wants(file, text)) continue;
    const lines = text.split("\n");
    const seen = new Map<string, number>();
    for (const found of findMutants(text)) {
      const name = [file, lines[found.line - 1].trim(), found.before, found.after].join("\n");
      const nth = seen.get(name) ?? 0;
      seen.set(name, nth + 1);
      const order = hash(`${seed}\n${name}\n${nth}`);
      chosen.push({ mutant: { ...found, file, id: 0 }, order });
    }
  }
  if (sample !== undefined) chosen.sort((a, b) => a.order - b.order).splice(sample);
  return chosen.map(({ mutant }, i) => ({ ...mutant, id: i + 1 }));
}

/** @throws InputError where no module, or no mutant, is meant. */
export async function mutationRun(options: RunOptions): Promise<RunResult> {
  const { root, work, quick = false, tests = [""], jobs = 1, onTrial, onSurvivor } = options;
  const texts = moduleTexts(root);
  const mutants = chooseMutants(texts, options);
  if (mutants.length === 0) {
    throw new InputError(`no mutant in ${options.paths?.join(", ") || "the project"}`);
  }
  const all = testFilesOf(texts).filter((test) =>
    !(quick && test.slow) && tests.some((t) => test.path.startsWith(t))
  );
  const queues = new Map(mutants.map((m) => [m.id, testsFor(m.file, all)]));
  const verdicts = new Map<number, Verdict>();
  const met = new Map<number, TestFile[]>(mutants.map((m) => [m.id, []]));
  const broken = new Map<string, string>();
  const byId = new Map(mutants.map((m) => [m.id, m]));
  // What a test imports too it mostly runs itself: in a quick run that is all that is looked at.
  const mayRun = (test: TestFile, id: number) => {
    const { file } = byId.get(id)!;
    return test.elsewhere.has(file) && !(quick && test.imported.has(file));
  };
  /** Test file → what it reaches, once known. */
  const reached = new Map<string, ReadonlySet<number>>();
  const isBusy = new Set<string>();

  /** The test file that most mutants wait for, and those; without what is known to be of no use. */
  function nextBatch(): { test: TestFile; ids: number[] } | null {
    const waiting = new Map<TestFile, number[]>();
    for (const [id, queue] of queues) {
      while (queue.length) {
        const known = reached.get(queue[0].path);
        const useless = broken.has(queue[0].path) ||
          known && !known.has(id) && !mayRun(queue[0], id);
        if (!useless) break;
        queue.shift();
      }
      if (verdicts.get(id)?.caught || queue.length === 0 || isBusy.has(queue[0].path)) continue;
      waiting.set(queue[0], [...waiting.get(queue[0]) ?? [], id]);
    }
    const batches = [...waiting].map(([test, ids]) => ({ test, ids }));
    batches.sort((a, b) =>
      Number(a.test.slow) - Number(b.test.slow) || b.ids.length - a.ids.length
    );
    return batches[0] ?? null;
  }

  async function job(copy: Copy) {
    for (let batch = nextBatch(); batch; batch = nextBatch()) {
      const { test, ids } = batch;
      isBusy.add(test.path);
      const left = [...queues].filter(([id, q]) => q.length && !verdicts.get(id)?.caught).length;
      onTrial?.(test.path, left, mutants.length);
      const unseen = ids.filter((id) => mayRun(test, id));
      const { base, verdicts: found } = await tryFile(copy, test.path, ids, unseen);
      if (base.failed.length) broken.set(test.path, base.failed.join("; "));
      else reached.set(test.path, new Set([...base.reached, ...base.atLoad]));
      for (const id of ids) {
        if (queues.get(id)![0] === test) queues.get(id)!.shift();
        const verdict = found.get(id);
        if (!verdict) continue;
        met.get(id)!.push(test);
        verdicts.set(
          id,
          verdict.caught ? { ...verdict, by: `${test.path}: ${verdict.by}` } : verdict,
        );
      }
      isBusy.delete(test.path);
    }
  }
  async function confirm(copy: Copy, survivors: number[]) {
    for (let id = survivors.shift(); id !== undefined; id = survivors.shift()) {
      for (const test of met.get(id)!) {
        const verdict = await tryAlone(copy, test.path, id);
        if (!verdict.caught) continue;
        verdicts.set(id, { caught: true, by: `${test.path}: ${verdict.by}` });
        break;
      }
      if (!verdicts.get(id)?.caught) onSurvivor?.(byId.get(id)!);
    }
  }

  const copies: Copy[] = [];
  for (let i = 0; i < jobs; i++) {
    copies.push(await makeCopy(root, join(work, `copy-${i}`), mutants));
  }
  await Promise.all(copies.map(job));
  const survivors = mutants.map((m) => m.id).filter((id) => !verdicts.get(id)?.caught);
  await Promise.all(copies.map((copy) => confirm(copy, survivors)));

  const outcomes = mutants.map((mutant): Outcome => {
    const verdict = verdicts.get(mutant.id);
    const text = texts.get(mutant.file)!.split("\n")[mutant.line - 1].trim();
    const by = verdict?.caught ? verdict.by : met.get(mutant.id)!.map((t) => t.path).join(", ");
    return { mutant, text, caught: verdict?.caught ?? false, by: by || "(no test runs it)" };
  });
  return { outcomes, broken: [...broken].map(([path, why]) => `${path}: ${why}`) };
}
