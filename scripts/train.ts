/** `deno task train`: trains the lung-CT diffusion model. */

import { join } from "node:path";
import { main, type Progress, progressBar } from "../lib/cli/main.ts";
import { prepareAll } from "../lib/data/dataset.ts";
import { CheckFailedError } from "../lib/errors.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { asWriteError } from "../lib/io/write_error.ts";
import { REPORT_NAME, writeReport } from "../lib/train/report.ts";
import { DivergedError, RUN_CONFIG_NAME } from "../lib/train/run.ts";
import { trainSession } from "../lib/train/session.ts";
import type { Trainer } from "../lib/train/trainer.ts";
import { openTrainingData, parseTrainRequest } from "./train_options.ts";

await main(async () => {
  const request = await parseTrainRequest();
  const { config, out, data, resume } = request;
  const { dataset, cache } = await openTrainingData(request);
  for (const note of dataset.notes) console.log(`data: ${note}`);
  const records = [...dataset.train, ...dataset.val];
  const loading = progressBar("slices  ", records.length);
  await prepareAll(records, cache, (done) => loading.update(done));
  loading.stop();
  const positives = dataset.train.filter((r) => r.label === 1).length;
  console.log(
    `data: ${dataset.train.length} training slices, ${positives} with a nodule; ` +
      `${dataset.val.length} for validation`,
  );

  let stop = false;
  const onInterrupt = () => {
    if (stop) Deno.exit(130);
    stop = true;
    console.error("\nfinishing the step and saving; press Ctrl-C again to leave at once");
  };
  const signals = Deno.build.os === "windows"
    ? ["SIGINT"] as const
    : ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onInterrupt);

  let overwrite = request.overwrite;
  let compiling: Progress | undefined;
  let bar: Progress | undefined;
  let started = performance.now();
  let running: Trainer | undefined;
  const notes: string[] = [];
  try {
    const { complete, step } = await trainSession(
      { config, dataset, cache, out, resume, openGpu },
      {
        onPipeline(done, total) {
          compiling ??= progressBar("kernels ", 1);
          compiling.update(done / total);
        },
        async onReady(trainer) {
          compiling?.stop();
          compiling = undefined;
          const mebibytes = (trainer.executable.bytes / 2 ** 20).toFixed(1);
          const seconds = ((performance.now() - started) / 1000).toFixed(1);
          console.log(
            `adapter: ${trainer.gpu.name}\nmodel: ${trainer.layout.count} parameters, ` +
              `${config.resolution.join("×")}, ` +
              `batch ${config.train_batch_size}×${config.gradient_accumulation_steps}; ` +
              `peak GPU memory of a training step ${mebibytes} MiB; ready in ${seconds} s`,
          );
          if (trainer.step > 0) console.log(`going on from step ${trainer.step}`);
          else if (overwrite) await Deno.remove(out, { recursive: true }).catch(() => {});
          overwrite = false;
          const json = JSON.stringify({ data: data ?? null, ...config }, null, 2) + "\n";
          await writeFileAtomic(join(out, RUN_CONFIG_NAME), json).catch((error) => {
            throw asWriteError(error, `Cannot write ${join(out, RUN_CONFIG_NAME)}`);
          });
          running = trainer;
          bar?.stop();
          bar = progressBar("training", trainer.totalSteps, "loss {loss} {speed} steps/s {what}");
        },
        onWarning(text) {
          console.warn(`warning: ${text}`);
          started = performance.now();
        },
      },
      {
        onStep(step, loss, speed) {
          bar!.update(step, { loss: loss?.toFixed(4) ?? "…", speed: speed.toFixed(2), what: "" });
        },
        onNote: (text) => notes.push(text),
        onSampling: (done, total) =>
          bar!.update(running!.step, { what: `sampling ${done}/${total}` }),
        stopRequested: () => stop,
        onEpoch: async ({ rows }) => {
          await writeReport({ out, trainer: running!, dataset, data }, rows);
        },
      },
    );
    bar?.stop();
    for (const note of notes) console.log(note);
    if (complete) console.log(`done: ${out}; see ${join(out, REPORT_NAME)}`);
    else console.log(`stopped at step ${step}; go on with: ./run train --resume --out ${out}`);
  } catch (error) {
    bar?.stop();
    for (const note of notes) console.log(note);
    if (error instanceof DivergedError) throw new CheckFailedError(error.message);
    throw error;
  }
  for (const signal of signals) Deno.removeSignalListener(signal, onInterrupt);
});
