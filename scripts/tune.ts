/** `./run tune`: finds the fastest kernels for this machine's GPU and remembers them. */

import { table } from "../lib/audit/text.ts";
import { benchConfig, benchStep } from "../lib/bench/steps.ts";
import {
  newCommand,
  numberIn,
  precisionOption,
  refuseOthers,
  wholeIn,
} from "../lib/cli/command.ts";
import { main, parseArguments, progressBar } from "../lib/cli/main.ts";
import { InputError } from "../lib/errors.ts";
import { openGpu, requirePrecision } from "../lib/gpu/device.ts";
import type { Precision } from "../lib/graph/tensor.ts";
import { choicesPath, readChoices, writeChoices } from "../lib/tune/choice_files.ts";
import { tune, tuneJobs } from "../lib/tune/tune.ts";
import { smallConfig } from "../lib/bench/small.ts";
import { PRESETS } from "../lib/train/config.ts";

const program = newCommand("tune", "Times the variants of kernels and stores the fastest.")
  .option("--preset <names...>", "whose steps to tune for", ["seed", "demo"])
  .option("--batch <n>", "batch, where not the preset's own", wholeIn(1, 4096))
  .option("--size <n>", "image size, where not the preset's own", wholeIn(4, 4096))
  .addOption(precisionOption())
  .option(
    "--budget <seconds>",
    "time after which the rest keeps its order",
    numberIn(1, 86400),
    180,
  )
  .option("--again", "time anew what is known already")
  .option("--list", "only say what is stored")
  .addHelpText(
    "after",
    `
Where a GPU is new, train and sample do this for 20 s by themselves (--no-tune: they do not).
Each variant is compared with float64 first and left out where it is wrong. Choices are kept by
adapter and driver, in $XDG_CACHE_HOME or ~/.cache under lung-ddpm-webgpu/tune; train and sample use
them. Delete the file to go back to what is shipped.

Examples:
  ./run tune
  ./run tune --precision f16
  ./run tune --preset seed --batch 16 --budget 600`,
  );

interface Options {
  preset: string[];
  batch?: number;
  size?: number;
  precision: Precision;
  budget: number;
  again?: boolean;
  list?: boolean;
}

await main(async () => {
  parseArguments(program);
  const options = program.opts<Options>();
  for (const name of options.preset) {
    if (!PRESETS[name]) {
      throw new InputError(`--preset ${name}: there is ${Object.keys(PRESETS).join(", ")}`);
    }
  }
  if (options.list) {
    refuseOthers(program, ["list"], "--list only says what is stored");
  }
  const gpu = await openGpu();
  requirePrecision(options.precision, gpu);
  const path = choicesPath(gpu.profile, gpu.name);
  if (!path) throw new InputError("neither XDG_CACHE_HOME nor HOME says where to store choices");
  const known = options.again ? {} : await readChoices(path, gpu.name);
  if (options.list) {
    console.log(`${path}: ${Object.keys(known).length} shapes`);
    for (const [key, { variants }] of Object.entries(known)) {
      console.log(
        `${key}\n  ${variants.map((v) => `${v.name} ${v.milliseconds.toFixed(3)} ms`).join(", ")}`,
      );
    }
    return;
  }
  if (!gpu.profile.features.includes("timestamp-query")) {
    throw new InputError("the device has no timestamp queries: nothing can be timed");
  }

  const device = { device: gpu.profile };
  const sizes: string[] = [];
  const steps = options.preset.flatMap((preset) => {
    const raw = PRESETS[preset] as { train_batch_size: number; resolution: [number, number] };
    const batch = options.batch ?? raw.train_batch_size;
    const size = options.size ?? raw.resolution[0];
    sizes.push(`${size}², batch ${batch}`);
    return (["train", "sample"] as const).map((kind) => {
      const config = benchConfig(batch, size, preset, options.precision);
      const { graph } = benchStep(kind, config, device);
      return { graph, small: benchStep(kind, smallConfig(config), device).graph };
    });
  });
  const jobs = tuneJobs(gpu, steps);
  console.error(`${gpu.name}: ${jobs.length} shapes with a choice, ${options.budget} s at most`);
  const bar = progressBar("tuning", jobs.length, "{what}");
  const result = await tune(gpu, jobs, {
    known,
    seconds: options.budget,
    onProgress: (done, _, what) => bar.update(done, { what }),
    save: (choices) => writeChoices(path, gpu.name, choices),
  });
  bar.stop();
  if (result.changed.length) {
    console.log(table(
      ["op", "inputs", "shipped", "fastest", "gain"],
      result.changed.map(({ job, from, to, gain }) => [
        job.form.op,
        job.form.inputs.map((t) => `[${t.shape}]`).join(" "),
        from,
        to,
        `${gain.toFixed(2)}×`,
      ]),
    ));
  }
  for (const { key, variant, why } of result.rejected) {
    console.log(`left out: ${variant} of ${key}: ${why}`);
  }
  const { changed, rejected, left } = result;
  console.log(
    `${
      jobs.length - left
    } of ${jobs.length} shapes known, ${changed.length} better than shipped, ` +
      `${rejected.length} variants left out: ${path}`,
  );
  console.log(
    "measured: each shape alone, in turns, of training and sampling steps of " +
      `${options.preset.join(", ")} (${
        sizes.join(", ")
      }; ${options.precision}). Not measured: whole ` +
      "steps, other sizes and batches" +
      (left ? `, and the ${left} shapes that ${options.budget} s were too short for` : ""),
  );
  gpu.destroy();
});
