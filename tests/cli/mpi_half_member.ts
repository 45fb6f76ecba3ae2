/**
 * One process of the test of f16 with several: trains from a loss scale that overflows, says what it
 * saw. Arguments: output folder, loss scale to begin with, steps, and the rank and step in which a
 * gradient overflows whatever the scale is.
 */

import { join } from "node:path";
import { openGpu } from "../../lib/gpu/device.ts";
import { writeFileAtomic } from "../../lib/io/atomic.ts";
import { writeSafetensors } from "../../lib/io/safetensors_file.ts";
import { Mpi } from "../../lib/mpi/mpi.ts";
import { fromLossScale, INITIAL_LOSS_SCALE } from "../../lib/train/loss_scale.ts";
import type { ProcessGroup } from "../../lib/train/process_group.ts";
import { Trainer } from "../../lib/train/trainer.ts";
import { tinyConfig, tinyData } from "../train/tiny.ts";

const [out, ...numbers] = Deno.args;
const [scale, steps, badRank, badStep] = numbers.map(Number);
const mpi = Mpi.open();
/** Steps in which a gradient of this process was not finite before the exchange, and after it. */
const own: number[] = [], summed: number[] = [];
let step = 0;
const group: ProcessGroup = {
  rank: mpi.rank,
  size: mpi.size,
  async sum(data) {
    if (mpi.rank === badRank && step === badStep) data[0] = Infinity;
    if (!data.every(Number.isFinite)) own.push(step);
    await mpi.sum(data);
    if (!data.every(Number.isFinite)) summed.push(step);
  },
};
const tiny = tinyConfig({ precision: "f16", train_batch_size: 4, max_train_steps: steps });
// Two channels a group: a bias before a group norm of one channel has no gradient but rounding.
const config = { ...tiny, unet: { ...tiny.unet, norm_num_groups: 2 } };
const { dataset, cache } = tinyData(config);
const gpu = await openGpu();
const trainer = await Trainer.create(gpu, config, dataset.train, cache, {
  group: mpi.size > 1 ? group : undefined,
});
const { executable } = trainer;
executable.write("loss_scale", fromLossScale({ ...INITIAL_LOSS_SCALE, scale }));
const scales: number[] = [];
for (; step < steps; step++) {
  const [now, ...rest] = await executable.read("loss_scale");
  scales.push(now);
  // Alone, the overflow of another process is a step from a scale that nothing withstands.
  const alone = mpi.size === 1 && step === badStep;
  if (alone) executable.write("loss_scale", Float32Array.of(2 ** 60, ...rest));
  await trainer.runStep();
  if (!alone) continue;
  const [, ...after] = await executable.read("loss_scale");
  executable.write("loss_scale", Float32Array.of(now / 2, ...after));
}
const records = await trainer.flushLosses();
const skipped = records.filter((r) => !Number.isFinite(r.gradientNorm)).map((r) => r.microStep);
const { progress, ...model } = await trainer.state();
const counted = records.at(-1)!.skippedSteps;
const said = { own, summed, skipped, counted, scales, lossScale: progress.lossScale };
const file = (extension: string) => join(out, `rank-${mpi.rank}.${extension}`);
await writeFileAtomic(file("json"), JSON.stringify(said));
await writeSafetensors(
  file("safetensors"),
  Object.entries(model).map(([name, data]) => [name, { dtype: "F32", shape: [data.length], data }]),
);
trainer.batches.close();
gpu.destroy();
mpi.finish();
