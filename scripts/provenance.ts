/** `deno task provenance`: is what a run or a picture says about where it comes from true? */

import { join } from "node:path";
import { verifyOutputs } from "../lib/audit/provenance_outputs.ts";
import { type Verdict, verifyRun } from "../lib/audit/provenance.ts";
import { newCommand } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { savedSources } from "../lib/data/joined.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { readJsonObject } from "../lib/nn/pretrained.ts";
import { runConfig } from "../lib/train/config.ts";
import { datasetHash } from "../lib/train/provenance.ts";
import { RUN_CONFIG_NAME } from "../lib/train/run.ts";
import { openTrainingData } from "./train_options.ts";

const ROOT = new URL("../", import.meta.url);

const program = newCommand(
  "provenance",
  "Checks where a run, or what was sampled from it, comes from: computes every hash anew, and " +
    "compares settings, checkpoints, kernels and data with what was written down.",
)
  .argument("<verb>", "verify")
  .argument("<path>", "a run's folder, or a picture, DICOM or NIfTI file that sample wrote")
  .option("--run <folder>", "the run that the file was sampled from")
  .addHelpText(
    "after",
    `
Examples:
  ./run provenance verify runs/demo
  ./run provenance verify out/samples/grid.png --run runs/demo

Exit code: 0 all is as written down, 1 something is not, 2 wrong use or input.`,
  );

/** The hash of the run's data, where that is still there. */
async function dataOf(run: string): Promise<string | undefined> {
  try {
    const path = join(run, RUN_CONFIG_NAME);
    const { data, ...saved } = await readJsonObject(path);
    const { dataset } = await openTrainingData({
      config: runConfig(saved, path),
      data: savedSources(data, path),
    });
    return datasetHash(dataset);
  } catch {
    return undefined;
  }
}

function conclude({ problems, notes }: Verdict, what: string): void {
  for (const note of notes) console.log(`note: ${note}`);
  for (const problem of problems) console.log(`NOT as written down: ${problem}`);
  if (problems.length) {
    throw new CheckFailedError(`${problems.length} things of ${what} are not as written down`);
  }
  console.log(`${what}: all as written down`);
}

await main(async () => {
  parseArguments(program);
  const [verb, path] = program.args, { run } = program.opts();
  if (verb !== "verify") throw new InputError(`${verb}: there is verify`);
  const { isDirectory } = await Deno.stat(path).catch(() => {
    throw new InputError(`${path}: no such file or folder`);
  });
  if (isDirectory) {
    if (run !== undefined) throw new InputError("--run is of a file that was sampled from it");
    conclude(await verifyRun(path, { root: ROOT, data: await dataOf(path) }), path);
    return;
  }
  if (run === undefined) {
    throw new InputError(`${path}: --run RUN says which run it was sampled from`);
  }
  const ofRun = await verifyRun(run, { root: ROOT, data: await dataOf(run) });
  const ofFile = await verifyOutputs(path, run);
  conclude({
    problems: [...ofFile.problems, ...ofRun.problems],
    notes: [...ofFile.notes, ...ofRun.notes],
  }, path);
});
