/** One test file against some mutants, in a child process that is watched. */

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Copy, DRIVER, setActive } from "./copy.ts";

export interface Base {
  /** Mutants that ran while the modules loaded, and while the tests did. */
  readonly atLoad: readonly number[];
  readonly reached: readonly number[];
  /** Tests that fail without any mutant, and why. */
  readonly failed: readonly string[];
}

export type Verdict = { readonly caught: true; readonly by: string } | { readonly caught: false };

export interface Trial {
  readonly base: Base;
  readonly verdicts: ReadonlyMap<number, Verdict>;
}

type Event =
  | { event: "base" } & Base
  | { event: "start" | "survived" | "unsure"; id: number }
  | { event: "caught"; id: number; by: string };

/** As `./run test` gives them, but writing stays in the copy. */
const FLAGS = [
  "--no-prompt",
  "--no-check",
  "--frozen",
  "--cached-only",
  "--v8-flags=--max-old-space-size=3072",
  "--allow-read",
  "--allow-env=LUNG_SHARED,CI,OP,PATH,HOME,XDG_CACHE_HOME,TMPDIR",
  // Without a list where this was started so: scripts/launch.ts says when.
  Deno.permissions.querySync({ name: "run" }).state === "granted"
    ? "--allow-run"
    : "--allow-run=deno,sh",
];

/** A mutant may take this often the time of the tests without it, and not less than so long. */
const TIMES_SLOWER = 6, LEAST_MS = 8_000;
const FIRST_RUN_MS = 300_000;

async function* events(stream: ReadableStream<Uint8Array>): AsyncGenerator<Event> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream() as never)) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const at = line.indexOf("\u0001");
      if (at >= 0) yield JSON.parse(line.slice(at + 1));
    }
  }
}

interface Job {
  readonly copy: Copy;
  readonly test: string;
  readonly ids: readonly number[];
  readonly unseen?: readonly number[];
  /** One mutant, on from the start. */
  readonly alone?: boolean;
  /** Of silence, in ms. */
  readonly limit: number;
}

function start({ copy, test, ids, unseen = [], alone }: Job) {
  const url = (path: string) => pathToFileURL(path).href;
  setActive(copy.root, alone ? ids[0] : 0); // one that was killed may have left its own there
  return new Deno.Command("deno", {
    args: [
      "run",
      ...FLAGS,
      `--allow-write=${copy.root}`,
      join(copy.root, DRIVER),
      url(copy.switchPath),
      url(join(copy.root, test)),
      ids.join(","),
      unseen.join(","),
      ...alone ? ["alone"] : [],
    ],
    cwd: copy.root,
    env: { TMPDIR: join(copy.root, "out/tmp"), DENO_WEBGPU_BACKEND: "vulkan,metal,dx12" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
}

interface Watched {
  readonly base?: Base;
  readonly baseMs: number;
  readonly verdicts: ReadonlyMap<number, Verdict>;
  readonly unsure: readonly number[];
}

/** Runs until the child ends, or is silent for too long: then the mutant it is at is caught. */
async function watch(job: Job): Promise<Watched> {
  const child = start(job);
  const verdicts = new Map<number, Verdict>();
  const unsure: number[] = [];
  const began = performance.now();
  let base: Base | undefined, baseMs = 0, at: number | null = job.alone ? job.ids[0] : null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isLate = false;
  const wait = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, ms);
  };
  wait(job.limit);
  for await (const event of events(child.stdout)) {
    at = null;
    if (event.event === "base") {
      base = event;
      baseMs = performance.now() - began;
    } else if (event.event === "start") at = event.id;
    else if (event.event === "unsure") unsure.push(event.id);
    else if (event.event === "caught") verdicts.set(event.id, { caught: true, by: event.by });
    else verdicts.set(event.id, { caught: false });
    wait(job.alone ? job.limit : limitAfter(baseMs));
  }
  clearTimeout(timer);
  await child.status;
  if (at !== null) {
    verdicts.set(at, { caught: true, by: isLate ? "(it never ended)" : "(the process died)" });
  }
  return { base, baseMs, verdicts, unsure };
}

const limitAfter = (baseMs: number) => Math.max(LEAST_MS, TIMES_SLOWER * baseMs);

/**
 * @param ids the mutants to try in this file; those that it does not reach get no verdict.
 * @param unseen those of them that workers or processes of this test may run unseen.
 */
export async function tryFile(
  copy: Copy,
  test: string,
  ids: readonly number[],
  unseen: readonly number[],
): Promise<Trial> {
  const verdicts = new Map<number, Verdict>();
  const alone = new Set<number>();
  let base: Base | undefined, limit = LEAST_MS, left = ids;
  do {
    const found = await watch({ copy, test, ids: left, unseen, limit: FIRST_RUN_MS });
    base ??= found.base;
    limit = limitAfter(found.baseMs);
    if (!found.base || found.base.failed.length) {
      const failed = found.base?.failed ?? ["it does not end without a mutant"];
      return { base: { atLoad: [], reached: [], ...base, failed }, verdicts };
    }
    for (const id of found.base.atLoad) if (ids.includes(id)) alone.add(id);
    for (const [id, verdict] of found.verdicts) verdicts.set(id, verdict);
    for (const id of found.unsure) alone.add(id);
    const { reached } = found.base;
    left = left.filter((id) =>
      !verdicts.has(id) && !alone.has(id) && (reached.includes(id) || unseen.includes(id))
    );
  } while (left.length);
  for (const id of alone) {
    const found = await watch({ copy, test, ids: [id], alone: true, limit });
    for (const [of, verdict] of found.verdicts) verdicts.set(of, verdict);
  }
  return { base: base!, verdicts };
}

/** A survivor once more, in a process that has run nothing before: nothing kept hides it there. */
export async function tryAlone(copy: Copy, test: string, id: number): Promise<Verdict> {
  const found = await watch({ copy, test, ids: [id], alone: true, limit: FIRST_RUN_MS });
  return found.verdicts.get(id)!;
}
