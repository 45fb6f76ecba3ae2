/** `./run reader-study`: can readers tell generated slices from real ones? */

import { Command } from "commander";
import { refuseGiven, sizeIn, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments, printNotes, progressBar } from "../lib/cli/main.ts";
import { openFolder } from "../lib/data/open_folder.ts";
import { LUNG_WINDOW } from "../lib/data/window.ts";
import { InputError } from "../lib/errors.ts";
import { readerPage } from "../lib/evaluate/reader_page.ts";
import {
  chooseItems,
  makeStudy,
  parseAnswers,
  parseKey,
  scoreStudy,
  type StudyScore,
} from "../lib/evaluate/reader_study.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { LIMITS } from "../lib/io/limits.ts";
import { checkOutputFolder } from "../lib/io/output_folder.ts";
import { readFileBounded } from "../lib/io/read.ts";

const program = new Command("reader-study")
  .description("Makes a page on which readers tell generated slices from real ones, and scores it.")
  .option("--real <folder>", "real slices; of the test split, else validation, else training")
  .option("--generated <folder>", "generated slices (the layout that sample writes)")
  .option("--out <file>", "the page; its key goes beside it, as .key.json", "out/study.html")
  .option("--count <n>", "slices shown, half of them real", wholeIn(2, 1000), 40)
  .option("--seed <n>", "what the choice and the order follow from", wholeIn(0, 2 ** 32 - 1), 0)
  .option("--resolution <HxW>", "size of all slices (default: of the generated)", sizeIn(8, 1024))
  .option("--score <files...>", "answers that readers saved: prints how well they could tell")
  .option("--key <file>", "of the study, for --score")
  .option("--any-values", "take real slices whose values are no HU")
  .addHelpText(
    "after",
    `
Examples:
  ./run reader-study --real DIR --generated out/samples --out out/study.html --count 60
  ./run reader-study --score answers-*.json --key out/study.key.json

The page works offline, from the disk, and tells nothing of where a slice comes from. Keys: r or ←
real, g or → generated, u undo. Give readers the page alone; the key, which only you may read, says
which slices are real.

Exit code: 0 done, 2 wrong use or input.`,
  );

interface Options {
  real?: string;
  generated?: string;
  out: string;
  count: number;
  seed: number;
  resolution?: [number, number];
  score?: string[];
  key?: string;
  anyValues?: boolean;
}

const percent = (v: number) => Number.isFinite(v) ? `${(100 * v).toFixed(1)}%` : "—";
const range = (low?: number, high?: number) =>
  Number.isFinite(low) ? `[${percent(low!)}, ${percent(high!)}]` : "";

function table({ readers, all, kappa, shared, items }: StudyScore): string {
  const lines = [
    ["reader", "answered", "right", "95 %", "real called real", "generated called generated"],
    ...readers.map((r, i) => [
      r.reader || `reader ${i + 1}`,
      `${r.answered} of ${items}`,
      percent(r.accuracy),
      range(...r.interval),
      percent(r.realCalledReal),
      percent(r.generatedCalledGenerated),
    ]),
    ["all", "", percent(all.value), range(all.low, all.high), "", ""],
  ];
  const widths = lines[0].map((_, c) => Math.max(...lines.map((line) => line[c].length)));
  const text = lines.map((line) =>
    line.map((cell, c) => cell.padEnd(widths[c])).join("  ").trimEnd()
  );
  return `${text.join("\n")}\n\nFleiss' κ ${
    kappa === null
      ? "not defined (no slice has two answers, or all are the same)"
      : `${kappa.toFixed(3)}, over ${shared} slices with two or more answers`
  }\n50% right is guessing. The interval of all is over readers and slices.`;
}

async function score(files: readonly string[], keyPath: string): Promise<void> {
  const key = parseKey(await readFileBounded(keyPath, LIMITS.json.bytes), keyPath);
  const readers = [];
  for (const file of files) {
    readers.push(parseAnswers(await readFileBounded(file, LIMITS.json.bytes), file, key));
  }
  console.log(table(scoreStudy(key, readers)));
}

async function make(o: Options, realFolder: string, generatedFolder: string): Promise<void> {
  const { out, count, seed } = o;
  const keyPath = out.replace(/\.html?$/i, "") + ".key.json";
  for (const path of [out, keyPath]) {
    const isThere = await Deno.lstat(path).then(() => true, () => false);
    if (isThere) {
      throw new InputError(
        `${path} exists: give another --out; answers to an old study need its page and key`,
      );
    }
  }
  // Pages lie beside other files: only the folders that are read must stay apart.
  const inputs = { "--real": realFolder, "--generated": generatedFolder };
  checkOutputFolder("--out", out, inputs);
  const real = await openFolder(realFolder, LUNG_WINDOW, { checkHu: !o.anyValues });
  const generated = await openFolder(generatedFolder, LUNG_WINDOW);
  const split = (["test", "val", "train"] as const).find((name) => real[name].length > 0) ??
    "train";
  if (split !== "test") {
    printNotes([`--real has no test split: slices of its ${split} split are shown`]);
  }
  const made = [...generated.train, ...generated.val, ...generated.test];
  const items = chooseItems(real[split], made, count, seed);
  if (items.length < count) printNotes([`${items.length} slices are shown: there are no more`]);
  const first = await items.find(({ kind }) => kind === "generated")!.record.load();
  const [height, width] = o.resolution ?? [first.height, first.width];
  const bar = progressBar("slices", items.length);
  const study = await makeStudy(
    items,
    { height, width },
    LUNG_WINDOW,
    seed,
    (done) => bar.update(done),
  );
  bar.stop();
  await writeFileAtomic(keyPath, JSON.stringify(study.key, null, 1) + "\n", 0o600);
  await writeFileAtomic(out, readerPage(study));
  console.log(`${out}: for readers; ${keyPath}: for you alone`);
}

await main(async () => {
  parseArguments(program);
  const o = program.opts<Options>();
  if (o.score) {
    if (!o.key) throw new InputError("--score needs --key, the file beside the study's page");
    const ofMaking = ["real", "generated", "out", "count", "seed", "resolution", "anyValues"];
    refuseGiven(program, ofMaking, "changes nothing with --score");
    return await score(o.score, o.key);
  }
  if (o.key) throw new InputError("--key goes with --score");
  if (!o.real || !o.generated) {
    throw new InputError("give --real and --generated, or --score and --key");
  }
  await make(o, o.real, o.generated);
});
