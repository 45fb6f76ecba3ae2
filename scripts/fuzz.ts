/** `deno task fuzz`: thousands of damaged files into every reader of untrusted input. */

import { newCommand, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments, progressBar } from "../lib/cli/main.ts";
import { walk } from "../lib/io/walk.ts";
import { mutate } from "../lib/data/fuzz/mutate.ts";
import { probe, TARGETS } from "../lib/data/fuzz/targets.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";

const program = newCommand(
  "fuzz",
  "Damages good files and checks that each is read or refused with a clear error.",
)
  .option("--count <n>", "damaged files", wholeIn(0, 1e9), 6000)
  .option("--seed <n>", "of the damage", wholeIn(0, 1e9), 0)
  .option("--seconds <n>", "longest time for one file", wholeIn(0, 1e9), 2)
  .option("--megabytes <n>", "most memory", wholeIn(0, 1e9), 1024)
  .argument("[folder]", "good files to start from", "tests/fixtures")
  .addHelpText("after", "\nExample:\n  deno task fuzz --count 20000 --seed 7\n");

await main(async () => {
  parseArguments(program);
  const { count, seed, seconds, megabytes } = program.opts();
  const byEnding = new Map<string, string[]>();
  for (const path of walk(program.processedArgs[0])) {
    const ending = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
    if (!TARGETS[ending] || Deno.statSync(path).size > 2 ** 20) continue;
    byEnding.set(ending, [...byEnding.get(ending) ?? [], path]);
  }
  if (byEnding.size === 0) {
    throw new InputError(`no files to start from in "${program.processedArgs[0]}"`);
  }
  const endings = [...byEnding.keys()].sort();
  const good = new Map<string, Uint8Array>();
  const bar = progressBar("files", count);
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
      `${ending}: ${files} files, ${refused} refused, slowest ${(slowest * 1000).toFixed(0)} ms`,
    );
  }
  console.log(`peak memory ${(peak / 2 ** 20).toFixed(0)} MiB, ${problems.length} problems`);
  for (const problem of problems.slice(0, 20)) console.log(problem);
  if (peak > megabytes * 2 ** 20) throw new CheckFailedError(`memory above ${megabytes} MiB`);
  if (problems.length > 0) throw new CheckFailedError(`${problems.length} of ${count} files`);
});
