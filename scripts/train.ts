/** `deno task train`: trains the lung-CT diffusion model. */

import { Command, InvalidArgumentError, Option } from "commander";
import { join } from "node:path";
import { main, parseArguments, progressBar } from "../lib/cli/main.ts";
import { openNpyDataset, openPhantomDataset, prepareAll, SliceCache } from "../lib/data/dataset.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { readJsonObject } from "../lib/nn/pretrained.ts";
import { latestCheckpoint, listCheckpoints } from "../lib/train/checkpoint.ts";
import { PRESETS, RUN_RULES, type RunConfig, runConfig } from "../lib/train/config.ts";
import { DivergedError, RUN_CONFIG_NAME, trainRun } from "../lib/train/run.ts";
import { Trainer } from "../lib/train/trainer.ts";

const number = (text: string) => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("not a number");
  return value;
};
const list = (text: string) => text.split(/[,x×]/).map(number);

const program = new Command("train")
  .description("Trains the conditional diffusion model. Without --data, on the built-in phantom.")
  .option(
    "--preset <name>",
    `demo (minutes on two CPU cores) or seed (the original setting)`,
    "demo",
  )
  .option("--data <folder>", "slices in the .npy layout (see docs/data.md)")
  .option("--out <folder>", "where the run goes", "runs/<preset>")
  .option("--resume", "go on from the newest checkpoint in --out")
  .option("--config <file>", "JSON to take settings from, over the preset")
  .option("--steps <n>", "optimizer steps (max_train_steps)", number)
  .option("--epochs <n>", "epochs (num_epochs), if --steps is not given", number)
  .option("--resolution <HxW>", "image size, e.g. 64 or 48x64", list)
  .option("--channels <list>", "block_out_channels of the UNet, e.g. 32,64,96", list)
  .option("--overwrite", "start anew although --out holds a run");
for (const [key, { help, choices }] of Object.entries(RUN_RULES)) {
  if (key === "num_epochs" || key === "max_train_steps") continue;
  const name = `--${key.replaceAll("_", "-")}`;
  const isFlag = typeof PRESETS.demo[key] === "boolean";
  if (isFlag) program.option(name, help);
  else if (choices) program.addOption(new Option(`${name} <name>`, help).choices([...choices]));
  else program.option(`${name} <n>`, help, number);
}
program.addHelpText(
  "after",
  `
Examples:
  deno task train                                  the demo on the phantom, then a picture
  deno task train --data DIR --epochs 20           on your slices
  deno task train --preset seed --data DIR         the original setting: 128², 200 epochs
  deno task train --resume --out runs/demo         go on after a stop
  deno task train --resolution 64 --steps 300 --learning-rate 5e-4

Ctrl-C finishes the step, saves a checkpoint and says how to go on.
Exit code: 0 done, 1 the loss diverged, 2 wrong use or input, 3 no usable GPU.`,
);

/** Preset, then --config, then flags. */
async function readConfig(options: Record<string, unknown>): Promise<RunConfig> {
  const preset = PRESETS[options.preset as string];
  if (!preset) {
    throw new InputError(`--preset ${options.preset}: there is ${Object.keys(PRESETS).join(", ")}`);
  }
  const raw: Record<string, unknown> = structuredClone(preset);
  let name = "flags";
  if (options.config) {
    name = options.config as string;
    const { unet, ...rest } = await readJsonObject(name);
    Object.assign(raw, rest);
    if (unet) Object.assign(raw.unet as object, unet);
  }
  for (const key of Object.keys(RUN_RULES)) {
    const camel = key.replace(/_(\w)/g, (_, c) => c.toUpperCase());
    if (options[camel] !== undefined) raw[key] = options[camel];
  }
  if (options.steps !== undefined) raw.max_train_steps = options.steps;
  if (options.epochs !== undefined) raw.num_epochs = options.epochs;
  if (options.resolution) {
    const [height, width = height] = options.resolution as number[];
    raw.resolution = [height, width];
  }
  if (options.channels) {
    const channels = options.channels as number[];
    Object.assign(raw.unet as object, {
      block_out_channels: channels,
      down_block_types: channels.map(() => "DownBlock2D"),
      up_block_types: channels.map(() => "UpBlock2D"),
    });
  }
  return runConfig(raw, name);
}

await main(async () => {
  parseArguments(program);
  const options = program.opts();
  const out = options.out === "runs/<preset>"
    ? join("runs", options.preset)
    : options.out as string;
  const before = await listCheckpoints(out);
  let config: RunConfig;
  if (options.resume) {
    if (before.length === 0) throw new InputError(`--resume: ${out} holds no checkpoint`);
    const path = join(out, RUN_CONFIG_NAME);
    const { data, ...saved } = await readJsonObject(path);
    config = runConfig(saved, path);
    options.data ??= data ?? undefined;
    if (options.steps !== undefined) config.max_train_steps = options.steps;
    if (options.epochs !== undefined) config.num_epochs = options.epochs;
  } else {
    config = await readConfig(options);
    if (before.length && !options.overwrite) {
      throw new InputError(
        `${out} holds a run already: give --resume, --overwrite or another --out`,
      );
    }
  }
  const [height, width] = config.resolution;
  const window = { level: config.window_level, width: config.window_width };
  const dataset = options.data ? await openNpyDataset(options.data) : openPhantomDataset({
    seed: config.seed,
    count: config.phantom_slices,
    size: 2 * Math.max(height, width),
  });
  for (const note of dataset.notes) console.log(`data: ${note}`);
  const cache = new SliceCache({ height, width }, window, { antialias: config.antialias });

  const gpu = await openGpu();
  const records = [...dataset.train, ...dataset.val];
  const loading = progressBar("slices  ", records.length);
  await prepareAll(records, cache, (done) => loading.update(done));
  loading.stop();
  const positives = dataset.train.filter((r) => r.label === 1).length;
  console.log(
    `data: ${dataset.train.length} training slices, ${positives} with a nodule; ` +
      `${dataset.val.length} for validation`,
  );

  const started = performance.now();
  const compiling = progressBar("kernels ", 1);
  const trainer = await Trainer.create(gpu, config, dataset.train, cache, {
    onPipeline: (done, total) => compiling.update(done / total),
  });
  compiling.stop();
  const mebibytes = (trainer.executable.bytes / 2 ** 20).toFixed(1);
  console.log(
    `adapter: ${gpu.name}\nmodel: ${trainer.layout.count} parameters, ${height}×${width}, ` +
      `batch ${config.train_batch_size}×${config.gradient_accumulation_steps}; peak GPU memory of a ` +
      `training step ${mebibytes} MiB; ready in ${
        ((performance.now() - started) / 1000).toFixed(1)
      } s`,
  );
  if (options.resume) {
    const state = await latestCheckpoint(
      out,
      trainer.layout,
      (reason) => console.warn(`damaged checkpoint passed over: ${reason}`),
    );
    trainer.restore(state);
    console.log(`going on from step ${trainer.step}`);
  } else if (options.overwrite) {
    await Deno.remove(out, { recursive: true }).catch(() => {});
  }
  const saved = { data: options.data ?? null, ...config };
  await writeFileAtomic(join(out, RUN_CONFIG_NAME), JSON.stringify(saved, null, 2) + "\n");

  let stop = false;
  const onInterrupt = () => {
    if (stop) Deno.exit(130);
    stop = true;
    console.error("\nfinishing the step and saving; press Ctrl-C again to leave at once");
  };
  Deno.addSignalListener("SIGINT", onInterrupt);
  const bar = progressBar("training", trainer.totalSteps, "loss {loss} {speed} steps/s {what}");
  const notes: string[] = [];
  try {
    const done = await trainRun(trainer, dataset, cache, out, {
      onStep: (step, loss, speed) =>
        bar.update(step, { loss: loss?.toFixed(4) ?? "…", speed: speed.toFixed(2), what: "" }),
      onNote: (text) => notes.push(text),
      onSampling: (at, total) => bar.update(trainer.step, { what: `sampling ${at}/${total}` }),
      stopRequested: () => stop,
    });
    bar.stop();
    for (const note of notes) console.log(note);
    if (done) console.log(`done: ${out}`);
    else {console.log(
        `stopped at step ${trainer.step}; go on with: ./run train --resume --out ${out}`,
      );}
  } catch (error) {
    bar.stop();
    if (error instanceof DivergedError) throw new CheckFailedError(error.message);
    throw error;
  }
  Deno.removeSignalListener("SIGINT", onInterrupt);
  gpu.destroy();
});
