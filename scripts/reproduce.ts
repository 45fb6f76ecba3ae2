/** `deno task reproduce RUN`: runs part of a training run again and compares bit for bit. */

import { join } from "node:path";
import { chooseStretch, circumstances, reproduce } from "../lib/audit/reproduce.ts";
import { verifyRun } from "../lib/audit/provenance.ts";
import { newCommand } from "../lib/cli/command.ts";
import { main, parseArguments, printNotes, progressBar } from "../lib/cli/main.ts";
import { savedSources } from "../lib/data/joined.ts";
import { prepareAll } from "../lib/data/dataset.ts";
import { CheckFailedError } from "../lib/errors.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { readJsonObject } from "../lib/nn/pretrained.ts";
import { runConfig } from "../lib/train/config.ts";
import { datasetHash } from "../lib/train/provenance.ts";
import { RUN_CONFIG_NAME } from "../lib/train/run.ts";
import { Trainer } from "../lib/train/trainer.ts";
import { openTrainingData, packTrainingData } from "./train_options.ts";

const ROOT = new URL("../", import.meta.url);

const program = newCommand(
  "reproduce",
  "Runs part of a training run again, between two of its checkpoints, and says whether weights, " +
    "averaged weights and moments come out the same, bit for bit.",
)
  .argument("<run>", "folder of the run")
  .option("--from-start", "from the first step to the first checkpoint that was kept")
  .addHelpText(
    "after",
    `
Examples:
  ./run reproduce runs/demo
  ./run reproduce runs/demo --from-start

Exit code: 0 the same bits, 1 others, 2 no such run, 3 no usable GPU.`,
  );

await main(async () => {
  parseArguments(program);
  const [out] = program.args;
  const { data, ...saved } = await readJsonObject(join(out, RUN_CONFIG_NAME));
  const config = runConfig(saved, join(out, RUN_CONFIG_NAME));
  const stretch = await chooseStretch(out, Boolean(program.opts().fromStart));
  const request = {
    config,
    data: savedSources(data, join(out, RUN_CONFIG_NAME)),
    out,
    resume: true,
    overwrite: false,
    locked: false,
    epochKeys: [],
  };
  const { dataset, cache } = await openTrainingData(request);
  const packed = await packTrainingData(request, dataset, () => {});
  if (!packed) await prepareAll(dataset.train, cache);
  const gpu = await openGpu();
  const trainer = await Trainer.create(gpu, config, dataset.train, cache, { packed });
  printNotes(await circumstances(out, trainer, dataset));
  const { problems } = await verifyRun(out, { root: ROOT, data: datasetHash(dataset) });
  if (problems.length) {
    for (const problem of problems) console.log(`NOT as written down: ${problem}`);
    throw new CheckFailedError(
      `${out} is not as it was written down: ./run provenance verify ${out}`,
    );
  }
  console.log(
    `${stretch.steps} steps ${stretch.from ? `from ${stretch.from}` : "from the start"} ` +
      `to ${stretch.to}`,
  );
  const bar = progressBar("steps", stretch.steps);
  const parts = await reproduce(trainer, stretch, (done) => bar.update(done));
  bar.stop();
  for (const p of parts) {
    console.log(
      `${p.name}: ` +
        (p.different
          ? `${p.different} of ${p.elements} differ, the most by ${p.largest.toExponential(2)}`
          : `all ${p.elements} the same, bit for bit`),
    );
  }
  trainer.batches.close();
  gpu.destroy();
  const off = parts.filter((p) => p.different);
  if (off.length) throw new CheckFailedError(`the run was not reproduced: ${off[0].name} differs`);
});
