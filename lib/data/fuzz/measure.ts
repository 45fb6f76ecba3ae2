/** Crafted files read in processes of their own, with the time and the memory that it took. */

import type { Crafted } from "./crafted/crafted.ts";
import type { Outcome } from "./crafted/read.ts";

/** Peak memory of the whole process, Deno itself included, and the file's length. */
export type Measured = Outcome & { mebibytes: number; fileBytes: number };

/** What a crafted file may take. */
export const MOST = { seconds: 2, mebibytes: 1024 } as const;
/** One that is read to its end may take so much longer, for each GiB of its length. */
const SECONDS_PER_GIB = 4;
/** A child that takes more is ended. */
const END_SECONDS = 30;
const FLAGS = ["--quiet", "--no-prompt", "--no-check", "--cached-only"];

/**
 * Writes the file into `folder`, has it read, and removes it.
 * @param child the script that reads: scripts/fuzz_read.ts.
 */
export async function measure(
  crafted: Crafted,
  folder: string,
  child: string,
): Promise<Measured> {
  const path = `${folder}/${crafted.file}`;
  // Also written in a child: what this process takes would count as the reading one's, which begins
  // as a copy of it.
  const { code, stderr } = await new Deno.Command("deno", {
    args: ["run", ...FLAGS, "--allow-read", `--allow-write=${folder}`, child, "write", path],
    stdin: "null",
    stdout: "null",
  }).output();
  if (code !== 0) throw new Error(`Cannot make ${path}: ${new TextDecoder().decode(stderr)}`);
  try {
    const { size } = await Deno.stat(path);
    const found = await inChild(["run", ...FLAGS, "--allow-read", child, "read", path]);
    return { ...found, fileBytes: size };
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

async function inChild(args: string[]): Promise<Omit<Measured, "fileBytes">> {
  const child = new Deno.Command("deno", {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const begun = performance.now();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, END_SECONDS * 1000);
  const { success, code, signal, stdout, stderr } = await child.output();
  clearTimeout(timer);
  if (success) return JSON.parse(new TextDecoder().decode(stdout));
  const said = new TextDecoder().decode(stderr).trim().split("\n").at(-1) ?? "";
  const problem = isLate
    ? `ended after ${END_SECONDS} s`
    : `the process died (${signal ?? `code ${code}`}): ${said}`;
  return { refusal: null, problem, seconds: (performance.now() - begun) / 1000, mebibytes: NaN };
}

/** What is wrong with a measurement, or null. */
export function excess(
  { problem, refusal, seconds, mebibytes, fileBytes }: Measured,
  most: { seconds: number; mebibytes: number } = MOST,
): string | null {
  if (problem) return problem;
  const more = refusal === null ? SECONDS_PER_GIB * fileBytes / 2 ** 30 : 0;
  if (seconds > most.seconds + more) return `took ${seconds.toFixed(1)} s`;
  return mebibytes > most.mebibytes ? `took ${mebibytes.toFixed(0)} MiB` : null;
}
