/** `./run bench submit`: this machine's benchmark as one file to send. */

import { resolve } from "node:path";
import { table } from "../lib/audit/text.ts";
import { schemaError } from "../lib/bench/result_file.ts";
import { stepTable } from "../lib/bench/output.ts";
import { submission } from "../lib/bench/submit.ts";
import { newCommand, numberIn } from "../lib/cli/command.ts";
import { main, parseArguments, type Progress, progressBar } from "../lib/cli/main.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { probeDevice } from "../lib/probes/mod.ts";
import { choicesPath, readChoices, tunedChoice } from "../lib/tune/choice_files.ts";
import { aboutHere } from "./bench_options.ts";

const program = newCommand(
  "bench submit",
  "Writes this machine's benchmark to one file that can be sent: nothing of yours is in it.",
)
  .option("--out <file>", "the file", "out/submit.json")
  .option("--budget <seconds>", "time at most", numberIn(20, 3600), 540)
  .addHelpText(
    "after",
    `
In it: names of adapter and processor, features and limits, peaks, each kernel of the seed model's
training step with its error, steps at batch 1, 8 and 16, what ./run tune chose, how the adapter
rounds. Nothing is sent: read the file, then open a pull request that adds it to benchmarks/.

Examples:
  ./run bench submit
  ./run bench submit --out radeon-rx-6800.json`,
  );

await main(async () => {
  parseArguments(program);
  const { out, budget } = program.opts<{ out: string; budget: number }>();
  const gpu = await openGpu();
  const path = choicesPath(gpu.profile, gpu.name);
  const choices = path ? await readChoices(path, gpu.name) : {};
  const { fingerprint, probes } = await probeDevice(gpu);
  let bar: Progress | undefined, label = "";
  const result = await submission(gpu, {
    seconds: budget,
    about: await aboutHere(gpu),
    plan: { device: gpu.profile, choose: await tunedChoice(gpu) },
    more: {
      tuned: Object.fromEntries(
        Object.entries(choices).map(([form, { variants }]) => [form, variants.map((v) => v.name)]),
      ),
      probes: {
        fingerprint,
        list: probes.map(({ name, verdict, digest }) => ({ name, verdict, digest })),
      },
    },
    onProgress(what, done, total) {
      if (what !== label) {
        bar?.stop();
        bar = progressBar(label = what, total);
      }
      bar!.update(done);
    },
  });
  bar?.stop();
  const odd = schemaError(result);
  if (odd) throw new Error(`the result is not what its schema says: ${odd}`);
  const shown = stepTable(result.steps!);
  console.log(table(shown.head, shown.rows));
  await writeFileAtomic(resolve(out), JSON.stringify(result, null, 1) + "\n");
  const { rows, seconds } = result;
  const settled = rows.filter((r) => !r.flags.includes("unsettled")).length;
  console.log(
    `wrote ${out}: ${rows.length} kernels, ${settled} of them known to 1%, ` +
      `${result.steps!.length} steps, ${seconds.toFixed(0)} s`,
  );
  gpu.destroy();
});
