/** `deno task bench:data` and `bench:dicom`: how fast data is read, beside what users have in Python. */

import { join, resolve } from "node:path";
import { newCommand, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { openPhantomDataset, SliceCache } from "../lib/data/dataset.ts";
import { openNpyDataset } from "../lib/data/npy_dataset.ts";
import { scanFolder } from "../lib/data/dicom/scan.ts";
import { loadSeries } from "../lib/data/dicom/series.ts";
import { Prefetcher } from "../lib/data/packed/prefetch.ts";
import { folderState, openPacked } from "../lib/data/packed/writer.ts";
import { BalancedSampler } from "../lib/data/sampler.ts";
import { InputError } from "../lib/errors.ts";

const program = newCommand(
  "bench",
  "Measures reading of DICOM (bench:dicom) and of training data (bench:data).",
);

let job: (() => Promise<void>) | undefined;

program.command("dicom")
  .description("every series below a folder to HU volumes, beside pydicom + numpy and SimpleITK")
  .argument("<folder>")
  .option(
    "--python <command>",
    "Python with pydicom and SimpleITK; without it only this project is timed",
    "",
  )
  .action((folder, options) => void (job = () => benchDicom(folder, options)));
program.command("training")
  .description("batches from the packed cache by prefetch, beside the same from memory")
  .option("--data <dir>", "prepared slices; the phantom where none is given")
  .option("--cache <file>", "where to put the packed cache", "out/bench.pack")
  .option("--batches <n>", "batches to time", wholeIn(0, 1e9), 200)
  .option("--batch <n>", "slices a batch", wholeIn(0, 1e9), 8)
  .option("--size <n>", "rows and columns", wholeIn(0, 1e9), 128)
  .option("--step <ms>", "how long the device is busy with a batch", wholeIn(0, 1e9), 50)
  .action((options) => void (job = () => benchTraining(options)));
program.addHelpText(
  "afterAll",
  `
Examples:
  ./run phantom --dicom --out out/big --patients 50 --slices 120 --size 512 --detail 128
  ./run bench:dicom out/big
  ./run bench:data --data data/lidc --step 50`,
);

async function benchDicom(folder: string, { python }: { python: string }) {
  const root = resolve(folder);
  const rows: { name: string; slices: number; seconds: number; peak: number; sum: string }[] = [];
  const start = performance.now();
  const found = scanFolder(root);
  const scanned = (performance.now() - start) / 1000;
  let slices = 0, sum = 0n, peak = 0;
  const growth: string[] = [];
  for (const [i, series] of found.series.entries()) {
    const volume = await loadSeries(series.files);
    slices += volume.slices.length;
    sum += BigInt(sumOf(volume.hu));
    peak = Math.max(peak, Deno.memoryUsage().rss);
    if ([5, 10, 25, 50].includes(i + 1)) {
      growth.push(`${i + 1} series ${(peak / 2 ** 20).toFixed(0)} MiB`);
    }
  }
  const seconds = (performance.now() - start) / 1000;
  rows.push({ name: "this project", slices, seconds, peak: peak / 2 ** 20, sum: String(sum) });
  if (python) {
    for (const name of ["pydicom", "simpleitk"]) {
      const script = join(import.meta.dirname!, "../tests/reference/read_dicom.py");
      const { stdout, success } = await new Deno.Command(python, {
        args: [script, name, root],
        stderr: "inherit",
      }).output().catch((error) => {
        throw new InputError(`Cannot start "${python}": ${error.message}`);
      });
      if (!success) {
        throw new InputError(`${python} with ${name} failed; leave out --python to go without`);
      }
      const [n, s, mib, total] = new TextDecoder().decode(stdout).trim().split(" ");
      rows.push({ name, slices: Number(n), seconds: Number(s), peak: Number(mib), sum: total });
    }
  }
  console.log(
    `scan of ${slices} files: ${scanned.toFixed(2)} s; peak memory: ${growth.join(", ")}`,
  );
  for (const r of rows) {
    console.log(
      `${r.name.padEnd(14)} ${(r.slices / r.seconds).toFixed(0).padStart(6)} slices/s  ` +
        `${r.seconds.toFixed(2).padStart(8)} s  peak ${r.peak.toFixed(0).padStart(5)} MiB  ` +
        `sum of HU ${r.sum}`,
    );
  }
}

function sumOf(values: Int16Array): number {
  let total = 0;
  for (let from = 0; from < values.length; from += 65536) {
    let part = 0; // fits 32 bits: 65536 values of 16
    const to = Math.min(values.length, from + 65536);
    for (let i = from; i < to; i++) part = part + values[i] | 0;
    total += part;
  }
  return total;
}

interface TrainingOptions {
  data?: string;
  cache: string;
  batches: number;
  batch: number;
  size: number;
  step: number;
}

async function benchTraining({ data, cache, batches, batch, size: side, step }: TrainingOptions) {
  const size = { height: side, width: side }, pixels = side * side;
  const { train } = data
    ? await openNpyDataset(resolve(data))
    : openPhantomDataset({ seed: 0, count: 64, size: side });
  const state = data ? folderState(resolve(data)) : `phantom 0 64 ${side}`;
  const packed = await openPacked({ path: resolve(cache), records: train, size, state });
  packed.close();
  const labels = train.map((r) => r.label);
  // As the device takes it: planes are copied, then the thread is free until the device is done.
  const device = [0, 1, 2].map(() => new Float32Array(batch * pixels));
  const busy = () => new Promise((done) => setTimeout(done, step));

  const memory = new SliceCache(size);
  for (const record of train) await memory.get(record);
  const fromMemory = async () => {
    const sampler = new BalancedSampler(labels, batch, 0);
    for (let i = 0; i < batches; i++) {
      const slices = await Promise.all(sampler.next().map((index) => memory.get(train[index])));
      (["ct", "lungMask", "classMap"] as const).forEach((key, plane) =>
        slices.forEach((slice, k) => device[plane].set(slice[key], k * pixels))
      );
      await busy();
    }
  };
  const fromDisk = async () => {
    const sampler = new BalancedSampler(labels, batch, 0);
    let asked = 0;
    const prefetcher = new Prefetcher({
      path: resolve(cache),
      next: () =>
        asked < batches + 3 ? { indices: sampler.next(), microStep: asked++, tag: 0 } : null,
    });
    // The worker's start is part of a program's start, as loading to memory is.
    prefetcher.recycle((await prefetcher.take())!);
    const start = performance.now();
    for (let i = 0; i < batches; i++) {
      const ready = (await prefetcher.take())!;
      [ready.ct, ready.lungMask, ready.classMap].forEach((plane, k) => device[k].set(plane));
      prefetcher.recycle(ready);
      await busy();
    }
    prefetcher.close();
    return (performance.now() - start) / 1000;
  };
  const times = { memory: [] as number[], disk: [] as number[] };
  for (let round = 0; round < 3; round++) {
    const start = performance.now();
    await fromMemory();
    times.memory.push((performance.now() - start) / 1000);
    times.disk.push(await fromDisk());
  }
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[1];
  const rate = (seconds: number) => `${(batches * batch / seconds).toFixed(1)} slices/s`;
  const a = median(times.memory), b = median(times.disk);
  console.log(
    `${train.length} slices, ${batches} batches of ${batch}, device busy ${step} ms each`,
  );
  console.log(
    `from memory ${rate(a)}, from disk ${rate(b)}: ${((b / a - 1) * 100).toFixed(2)}% slower`,
  );
}

await main(async () => {
  parseArguments(program);
  await job?.();
});
