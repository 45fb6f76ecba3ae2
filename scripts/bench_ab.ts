/** `./run bench ab`: an edited kernel beside the one that the project has, taking turns. */

import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { table } from "../lib/audit/text.ts";
import { again, compareTwo } from "../lib/bench/ab.ts";
import { chooseClock } from "../lib/bench/clock.ts";
import { Calibration } from "../lib/bench/peaks.ts";
import { fileReplaced, partsOf, withTexts } from "../lib/bench/replaced.ts";
import { type Checked, Checker, timeable } from "../lib/bench/rows.ts";
import { Budget, median, quantile } from "../lib/bench/statistics.ts";
import { short } from "../lib/bench/tables.ts";
import { newCommand, numberIn, refuseGiven } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { CheckFailedError, InputError, shown } from "../lib/errors.ts";
import type { Variant } from "../lib/graph/op.ts";
import { readFileBounded } from "../lib/io/read.ts";
import { checkChoice, type Choice, choiceOptions, jobsChosen, open } from "./bench_options.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const program = choiceOptions(newCommand(
  "bench ab",
  "Times an edited kernel beside the project's, both checked against float64, taking turns.",
))
  .requiredOption("--b <what>", "the other one: PATH.wgsl, or git:REV for the files of a commit")
  .option("--file <name>", "which file of the variant PATH.wgsl stands for")
  .option("--budget <seconds>", "time at most", numberIn(1, 3600), 15)
  .option("--watch", "again whenever PATH.wgsl is saved; Ctrl-C ends it")
  .addHelpText(
    "after",
    `
a is what the project's folder has now. Without --shape the op's largest kernel in --model is taken.
b joins the libraries that a joins, and has its bindings and grid. One that computes wrongly is not
timed: the error says where it is furthest off, and the exit code is 1.

Examples:
  ./run bench ab --op group_norm_stats --b out/stats.wgsl
  ./run bench ab --op conv2d --shape x=8x32x64x64,w=32x32x3x3 --variant direct --b out/mine.wgsl --watch
  ./run bench ab --op attention --b git:HEAD~3`,
  );

interface Options extends Choice {
  b: string;
  file?: string;
  budget: number;
  watch?: boolean;
}

const readOwn = (path: string) => {
  try {
    return Deno.readTextFileSync(join(ROOT, path));
  } catch {
    return undefined;
  }
};

function wgslFiles(folder = "kernels"): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? wgslFiles(`${folder}/${name}`)
      : name.endsWith(".wgsl")
      ? [`${folder}/${name}`]
      : []
  );
}

/** A file as a commit has it. */
async function atCommit(revision: string, path: string): Promise<string> {
  if (!/^[\w./~^@{}]+[\w./~^@{}-]*$/.test(revision)) {
    throw new InputError(`--b git:${revision}: it must name a commit, such as HEAD~1`);
  }
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: ["-C", ROOT, "show", `${revision}:${path}`],
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new InputError(`--b git:${revision}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Texts of b, by the files that they stand for. */
async function textsOf({ b, file }: Options, variant: Variant): Promise<Map<string, string>> {
  if (b.startsWith("git:")) {
    const parts = partsOf(variant, wgslFiles(), readOwn);
    const texts = parts.map(async (p) => [p, await atCommit(b.slice(4), p)] as const);
    return new Map(await Promise.all(texts));
  }
  const text = new TextDecoder().decode(await readFileBounded(b, 2 ** 20));
  return new Map([[fileReplaced(variant, b, file), text]]);
}

/** Each time the file was saved: editors write it anew in its folder, and more than once. */
async function* saves(path: string): AsyncGenerator<void> {
  const place = resolve(path);
  const text = () => Deno.readTextFile(place).catch(() => "");
  let last = await text();
  for await (const { paths } of Deno.watchFs(dirname(place))) {
    if (!paths.some((p) => p.endsWith(place.split("/").at(-1)!))) continue;
    const now = await text();
    if (now === "" || now === last) continue;
    last = now;
    yield;
  }
}

await main(async () => {
  parseArguments(program);
  const options = program.opts<Options>();
  checkChoice(program, options);
  const isCommit = options.b.startsWith("git:");
  if (isCommit) refuseGiven(program, ["file", "watch"], "goes with --b PATH.wgsl");
  if (options.variant === "all") throw new InputError("--variant all: ab is about one");
  const chosen = await open(options);
  const { gpu, plan } = chosen;
  const jobs = jobsChosen(chosen, options);
  if (options.shape && jobs.length > 1) {
    throw new InputError(`--shape, --axis: ab is about one kernel, these are ${jobs.length}`);
  }
  const [job] = jobs, { form, variant } = job;
  const checker = new Checker(gpu, plan);
  const calibration = await Calibration.load(gpu);
  await chooseClock(gpu, calibration.compute);
  calibration.destroy();
  console.log(`${form.op}/${variant.name}  ${job.shape}  ${job.scope}`);
  const ours = await checker.check(job);

  const run = async () => {
    const texts = await textsOf(options, variant);
    const change = (v: Variant) => withTexts(v, texts, readOwn);
    const theirs = await checker.check({ ...job, change }).catch((error: Error) => {
      throw new CheckFailedError(`b ${error.message}`);
    });
    const [a, b] = [variant, change(variant)].map((v) => timeable(gpu, form, v));
    const result = await compareTwo([a, b], { budget: new Budget(options.budget) });
    const line = (name: string, times: readonly number[], { error }: Checked) => [
      name,
      ...[median(times), quantile(times, 0.2), quantile(times, 0.8)].map(short),
      error === null ? "not checked" : error.toExponential(1),
    ];
    const rows = [line("a", result.a, ours), line("b", result.b, theirs)];
    console.log(table(["", "ms", "p20", "p80", "error"], rows));
    console.log(
      `b takes ${result.ratio.toFixed(3)} times as long as a ` +
        `(99%: ${result.low.toFixed(3)} … ${result.high.toFixed(3)}): ` +
        `${result.verdict}, ${result.turns} turns`,
    );
  };
  if (!options.watch) await run();
  else {
    console.log(`watching ${options.b}; Ctrl-C ends`);
    await again(saves(options.b), run, (error) => console.error(`failed: ${shown(error.message)}`));
  }
  gpu.destroy();
});
