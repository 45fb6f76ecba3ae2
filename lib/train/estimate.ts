/** What a run would take, from some of its own steps: nothing is written. */

import { type Dataset, prepareAll, type SliceCache, type SliceRecord } from "../data/dataset.ts";
import { recordBytes } from "../data/packed/format.ts";
import type { Gpu } from "../gpu/device.ts";
import { mean } from "../metrics/statistics.ts";
import type { RunConfig } from "./config.ts";
import { Preview } from "./preview.ts";
import { samplerOf, Trainer } from "./trainer.ts";

export interface Estimate {
  readonly adapter: string;
  readonly isSoftware: boolean;
  /** Optimizer steps that were timed, and those of the whole run. */
  readonly timed: number;
  readonly steps: number;
  /** Seconds: of a step, of all steps, of all sample grids, of reading all slices. */
  readonly step: number;
  readonly training: number;
  readonly grids: number;
  readonly reading: number;
  /** Sample grids in the run. */
  readonly gridCount: number;
  /** Bytes: of the training plan on the device, of slices kept in memory, of the process now. */
  readonly gpuBytes: number;
  readonly sliceBytes: number;
  readonly processBytes: number;
  /** Bytes: of a checkpoint, of all that are kept at a time, of packed slices. */
  readonly checkpointBytes: number;
  readonly keptBytes: number;
  readonly packedBytes: number;
}

/** Steps before the timed ones: the first ones compile and allocate. */
const WARM_UP = 2;
/** Reverse steps of a sample grid that are timed. */
const REVERSE = 2;
/** Checkpoints beside those that are kept: the best, and one that is being written. */
const MORE_CHECKPOINTS = 2;

/**
 * Takes `count` optimizer steps on some of the slices, and part of a sample grid.
 *
 * @param isPacked the run would pack its slices into a file.
 */
export async function estimateRun(
  gpu: Gpu,
  config: RunConfig,
  dataset: Dataset,
  cache: SliceCache,
  count: number,
  { isPacked, onStep }: { isPacked: boolean; onStep?: (done: number, total: number) => void },
): Promise<Estimate> {
  const few = (records: readonly SliceRecord[]) =>
    ([0, 1] as const).flatMap((label) =>
      records.filter((r) => r.label === label)
        .slice(0, Math.max(config.eval_pairs, config.train_batch_size))
    );
  const used = few(dataset.train);
  const begun = performance.now();
  await prepareAll(used, cache);
  const all = dataset.train.length + dataset.val.length;
  const reading = (performance.now() - begun) / 1000 * all / used.length;

  const trainer = await Trainer.create(gpu, config, used, cache);
  const total = WARM_UP + count;
  const seconds: number[] = [];
  for (let i = 0; i < total; i++) {
    const start = performance.now();
    await trainer.runStep();
    await trainer.flushLosses(); // waits for the device
    if (i >= WARM_UP) seconds.push((performance.now() - start) / 1000);
    onStep?.(i + 1, total);
  }
  const { batchesPerEpoch } = samplerOf(dataset.train, config);
  const { max_train_steps, num_epochs, gradient_accumulation_steps: accumulation } = config;
  const steps = max_train_steps ?? Math.ceil(num_epochs * batchesPerEpoch / accumulation);
  const preview = await Preview.create(trainer, used, cache);
  const reverse = preview.steps.slice(0, REVERSE);
  await preview.make("", undefined, reverse.slice(0, 1)); // compiles
  const start = performance.now();
  await preview.make("", undefined, reverse);
  const grid = (performance.now() - start) / 1000 / reverse.length * preview.steps.length;
  const epochs = Math.floor(steps * accumulation / batchesPerEpoch);
  // One at the end as well, where that is no end of a due epoch.
  const isDue = epochs > 0 && epochs % config.save_images_epochs === 0 &&
    steps * accumulation % batchesPerEpoch === 0;
  const gridCount = Math.floor(epochs / config.save_images_epochs) + (isDue ? 0 : 1);
  const pixels = config.resolution[0] * config.resolution[1];
  // Two sets of weights, and AdamW's two moments, which are as on the device.
  const step = mean(seconds), checkpointBytes = 8 * (trainer.layout.count + trainer.layout.size);
  const estimate: Estimate = {
    adapter: gpu.name,
    isSoftware: gpu.profile.software,
    ...{ timed: count, steps, step, reading, gridCount, checkpointBytes },
    training: steps * step,
    grids: gridCount * grid,
    gpuBytes: trainer.executable.bytes,
    sliceBytes: 6 * pixels * (isPacked ? dataset.val.length : all),
    processBytes: Deno.memoryUsage().rss,
    keptBytes: checkpointBytes * (config.keep + MORE_CHECKPOINTS),
    packedBytes: isPacked ? recordBytes(pixels) * dataset.train.length : 0,
  };
  trainer.batches.close();
  return estimate;
}

const size = (bytes: number) =>
  bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(0)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** `40 s`, `3 min 20 s`, `5 h 10 min`. */
export function durationText(seconds: number): string {
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  const minutes = Math.round(s / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function estimateText(e: Estimate): string {
  const total = e.training + e.grids + e.reading;
  const grids = e.gridCount === 1 ? "1 sample grid" : `${e.gridCount} sample grids`;
  return [
    `adapter: ${e.adapter}`,
    `speed:   ${(1 / e.step).toFixed(2)} steps/s (${e.step.toFixed(2)} s a step, ${e.timed} timed)`,
    `time:    ${durationText(total)}: ${e.steps} steps ${durationText(e.training)}, ` +
    `${grids} ${durationText(e.grids)}, reading slices ${durationText(e.reading)}`,
    `memory:  ${size(e.gpuBytes)} of the GPU's${
      e.isSoftware ? " (software: this machine's)" : ""
    }, ` +
    `${size(e.sliceBytes)} for slices; this process has ${size(e.processBytes)} now`,
    `disk:    ${size(e.keptBytes + e.packedBytes)}: ${
      size(e.checkpointBytes)
    } a checkpoint, at most ` +
    `${Math.round(e.keptBytes / e.checkpointBytes)} at a time` +
    (e.packedBytes ? `, packed slices ${size(e.packedBytes)}` : ""),
  ].join("\n");
}
