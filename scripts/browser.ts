/** `deno task browser`: the page that samples from a model in a browser. */

import { basename, join } from "node:path";
import { modelFiles } from "../lib/browser/model_files.ts";
import { pageFiles } from "../lib/browser/page_files.ts";
import { serve } from "../lib/browser/serve.ts";
import { newCommand, refuseGiven, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments, printNotes } from "../lib/cli/main.ts";
import { openModel } from "../lib/diffusion/model_folder.ts";
import { modelNotes } from "../lib/diffusion/sampling_model.ts";
import { InputError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { checkOutputFolder } from "../lib/io/output_folder.ts";
import { provenanceHash } from "../lib/train/provenance_file.ts";

const program = newCommand(
  "browser",
  "Serves a page, to browsers of this machine alone, that samples from a model with the same kernels.",
)
  .option("--run <folder>", "a training run")
  .option("--model <folder>", "or a diffusers folder; with neither the page asks for one")
  .option("--checkpoint <which>", "of the run: newest, best or a step (default: newest)")
  .option("--no-ema", "the run's or checkpoint's plain weights instead of the averaged ones")
  .option("--port <n>", "on 127.0.0.1; 0 takes one that is free", wholeIn(0, 65535), 8000)
  .option("--build <folder>", "serve nothing, write the page there as static files")
  .addHelpText(
    "after",
    `
Examples:
  ./run browser --run runs/demo                     then open the address that it prints
  ./run browser --run runs/demo --build out/page    for a web server
  ./run browser --model unet --port 8080

Ctrl-C ends it. Browsers offer WebGPU to https:// and to 127.0.0.1 alone.`,
  );

await main(async () => {
  parseArguments(program);
  const { run, model: folder, checkpoint, ema, port, build } = program.opts();
  if (run && folder) throw new InputError("give either --run or --model");
  if (build) checkOutputFolder("--build", build, { "--run": run, "--model": folder });
  if (!run && !folder) refuseGiven(program, ["checkpoint", "ema"], "goes with --run or --model");
  if (build) refuseGiven(program, ["port"], "--build serves nothing");
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  if (run || folder) {
    const isGiven = program.getOptionValueSource("ema") === "cli";
    const chosen = { run, model: folder, checkpoint, ema: isGiven ? ema : undefined };
    const model = await openModel(chosen);
    printNotes(modelNotes(model));
    const step = /step-0*(\d+)/.exec(model.folder)?.[1];
    const name = run ? `${basename(run)}, step ${step}` : basename(folder);
    const provenance = run ? await provenanceHash(run) : undefined;
    for (const [path, bytes] of await modelFiles(model, name, provenance)) files.set(path, bytes);
  }
  for (const [path, bytes] of await pageFiles()) files.set(path, bytes);
  const mebi = [...files.values()].reduce((sum, b) => sum + b.length, 0) / 2 ** 20;
  if (build) {
    for (const [path, bytes] of files) await writeFileAtomic(join(build, path), bytes);
    console.log(`${files.size} files, ${mebi.toFixed(1)} MiB: ${build}`);
    return;
  }
  const site = serve(files, port);
  console.log(`${site.address}\nwho knows this address can load the model; Ctrl-C ends`);
  Deno.addSignalListener("SIGINT", () => site.close());
  await site.finished;
});
