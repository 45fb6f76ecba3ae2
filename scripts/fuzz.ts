/** `deno task fuzz`: hostile files into every reader of untrusted input, crafted ones and damaged ones. */

import { fileURLToPath } from "node:url";
import { newCommand, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments, progressBar } from "../lib/cli/main.ts";
import { CRAFTED } from "../lib/data/fuzz/crafted/all.ts";
import { excess, measure, MOST } from "../lib/data/fuzz/measure.ts";
import { mutate } from "../lib/data/fuzz/mutate.ts";
import { probe, TARGETS } from "../lib/data/fuzz/targets.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { walk } from "../lib/io/walk.ts";

const program = newCommand(
  "fuzz",
  `Feeds hostile files to every reader: ${CRAFTED.length} crafted ones (bombs, sparse files, nesting, ` +
    "sizes that lie), each in a process of its own, then good files damaged at random. Each must be " +
    "read or refused by a short error, in bounded time and memory. Exit code: 0 all were, 1 some " +
    "were not.",
)
  .option("--count <n>", "damaged files", wholeIn(0, 1e9), 6000)
  .option("--seed <n>", "of the damage", wholeIn(0, 1e9), 0)
  .option("--seconds <n>", "longest time for one file", wholeIn(0, 1e9), MOST.seconds)
  .option("--megabytes <n>", "most memory, MiB", wholeIn(0, 1e9), MOST.mebibytes)
  .option("--crafted <text>", "only crafted files whose name has this in it; none: -", "")
  .argument("[folder]", "good files to start from", "tests/fixtures")
  .addHelpText(
    "after",
    `
Examples:
  ./run fuzz                                 some three minutes
  ./run fuzz --crafted .png --count 0
  ./run fuzz --crafted - --count 20000 --seed 7`,
  );

const ROOT = new URL("../", import.meta.url);

interface Worst {
  files: number;
  seconds: number;
  mebibytes: number;
}

/** @returns what is wrong. */
async function crafted(wanted: string, seconds: number, mebibytes: number): Promise<string[]> {
  const child = fileURLToPath(new URL("fuzz_read.ts", import.meta.url));
  const chosen = CRAFTED.filter(({ file }) => file.includes(wanted));
  const out = fileURLToPath(new URL("out", ROOT));
  await Deno.mkdir(out, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: out, prefix: "fuzz-" });
  const problems: string[] = [], worst = new Map<string, Worst>();
  try {
    for (const one of chosen) {
      const found = await measure(one, folder, child);
      const problem = excess(found, { seconds, mebibytes });
      const took = `${found.seconds.toFixed(2)} s, ${found.mebibytes.toFixed(0)} MiB`;
      const said = found.refusal?.replaceAll(folder, "…") ?? "read";
      console.log(`${problem ? "FAILED" : "ok"} ${one.file} (${one.name}): ${took}: ${said}`);
      if (problem) problems.push(`${one.file}: ${problem}`);
      const ending = one.file.slice(one.file.indexOf(".") + 1);
      const entry = worst.get(ending) ?? { files: 0, seconds: 0, mebibytes: 0 };
      entry.files++;
      entry.seconds = Math.max(entry.seconds, found.seconds);
      entry.mebibytes = Math.max(entry.mebibytes, found.mebibytes);
      worst.set(ending, entry);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  for (const [ending, { files, seconds, mebibytes }] of worst) {
    const most = `at most ${seconds.toFixed(2)} s and ${mebibytes.toFixed(0)} MiB`;
    console.log(`crafted ${ending}: ${files} files, ${most}`);
  }
  return problems;
}

/** Damages `count` files of `folder`. @returns what is wrong. */
async function damaged(folder: string, count: number, seed: number, seconds: number) {
  const byEnding = new Map<string, string[]>();
  for (const path of walk(folder)) {
    const ending = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
    if (!TARGETS[ending] || Deno.statSync(path).size > 2 ** 20) continue;
    byEnding.set(ending, [...byEnding.get(ending) ?? [], path]);
  }
  if (byEnding.size === 0) throw new InputError(`no files to start from in "${folder}"`);
  const endings = [...byEnding.keys()].sort();
  const good = new Map<string, Uint8Array>();
  const bar = progressBar("damaged files", count);
  const problems: string[] = [];
  const tally = new Map(endings.map((e) => [e, { files: 0, refused: 0, slowest: 0 }]));
  let peak = 0;
  for (let number = 0; number < count; number++) {
    // DICOM has most to go wrong: every other file.
    const ending = number % 2 === 0 && byEnding.has("dcm")
      ? "dcm"
      : endings[(number >> 1) % endings.length];
    const files = byEnding.get(ending)!, path = files[(number >> 1) % files.length];
    const bytes = good.get(path) ?? Deno.readFileSync(path);
    good.set(path, bytes);
    const name = `fuzz-${number}.${ending}`;
    const found = await probe(TARGETS[ending], mutate(bytes, seed, number), name, seconds);
    const entry = tally.get(ending)!;
    entry.files++;
    if (found.refused) entry.refused++;
    entry.slowest = Math.max(entry.slowest, found.seconds);
    if (found.problem) problems.push(`${name} (from ${path}): ${found.problem}`);
    if (number % 50 === 0) peak = Math.max(peak, Deno.memoryUsage().rss);
    bar.update(number + 1);
  }
  bar.stop();
  for (const [ending, { files, refused, slowest }] of tally) {
    console.log(
      `damaged ${ending}: ${files} files, ${refused} refused, slowest ${
        (slowest * 1000).toFixed(0)
      } ms`,
    );
  }
  return { problems, mebibytes: peak / 2 ** 20 };
}

await main(async () => {
  parseArguments(program);
  const { count, seed, seconds, megabytes, crafted: wanted } = program.opts();
  const problems = wanted === "-" ? [] : await crafted(wanted, seconds, megabytes);
  if (count > 0) {
    const found = await damaged(program.processedArgs[0], count, seed, seconds);
    problems.push(...found.problems);
    console.log(`peak memory ${found.mebibytes.toFixed(0)} MiB`);
    if (found.mebibytes > megabytes) problems.push(`damaged files: memory above ${megabytes} MiB`);
  }
  console.log(`${problems.length} problems`);
  for (const problem of problems.slice(0, 20)) console.log(problem);
  if (problems.length > 0) throw new CheckFailedError(`${problems.length} files`);
});
