/** `./run share`: a run's model as a folder that holds nothing of a patient. */

import { newCommand } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { parseCheckpoint } from "../lib/diffusion/model_folder.ts";
import { checkOutputFolder } from "../lib/io/output_folder.ts";
import { SHARED_FILES, shareRun } from "../lib/train/share.ts";

const program = newCommand(
  "share",
  "Writes the weights, the scheduler and the settings of a run to a new folder, and nothing else: " +
    "no slice, no picture, no patient's name, no path.",
)
  .argument("<run>", "folder of the run")
  .requiredOption("--out <folder>", "a new or empty folder")
  .option("--checkpoint <which>", "newest, best or a step", "newest")
  .option("--no-ema", "the plain weights instead of the averaged ones")
  .addHelpText(
    "after",
    `
Examples:
  ./run share runs/demo --out out/demo-model
  ./run share runs/lung --out out/lung-model --checkpoint best

diffusers loads the folder (UNet2DModel.from_pretrained(DIR, subfolder="unet")), and so does
./run sample --model DIR. Weights can still give away slices that they have learnt by heart: see
"Is it copying" in ./run evaluate, and docs/privacy.md.`,
  );

await main(async () => {
  parseArguments(program);
  const [run] = program.processedArgs, { out, checkpoint, ema } = program.opts();
  checkOutputFolder("--out", out, { "the run": run });
  const folder = await shareRun(run, out, { ema, checkpoint: parseCheckpoint(checkpoint) });
  console.log(`${folder} as ${out}: ${SHARED_FILES.join(", ")}`);
});
