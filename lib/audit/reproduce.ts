/** Runs part of a training run again and says whether it comes out the same. */

import { basename } from "node:path";
import type { Dataset } from "../data/dataset.ts";
import { InputError } from "../errors.ts";
import { listCheckpoints, loadCheckpoint, type TrainingState } from "../train/checkpoint.ts";
import { datasetHash } from "../train/provenance.ts";
import { type Provenance, readProvenance } from "../train/provenance_file.ts";
import type { Trainer } from "../train/trainer.ts";

export interface Stretch {
  /** Folder of the checkpoint to begin at; undefined: at the start of the run. */
  readonly from: string | undefined;
  /** Folder of the checkpoint to arrive at. */
  readonly to: string;
  readonly steps: number;
}

const stepOf = (folder: string) => Number(basename(folder).replace("step-", ""));

/**
 * The shortest stretch between two kept checkpoints that follow each other, or from the start to the
 * first; with `fromStart` always the latter.
 *
 * @throws InputError where the run keeps no checkpoint.
 */
export async function chooseStretch(run: string, fromStart: boolean): Promise<Stretch> {
  const folders = (await listCheckpoints(run)).toReversed();
  if (folders.length === 0) throw new InputError(`${run} holds no checkpoint to arrive at`);
  const stretches = folders.map((to, i): Stretch => {
    const from = i > 0 ? folders[i - 1] : undefined;
    return { from, to, steps: stepOf(to) - (from ? stepOf(from) : 0) };
  });
  if (fromStart) return stretches[0];
  return stretches.reduce((best, s) => s.steps < best.steps ? s : best);
}

/** What is not as the run's provenance says; empty where all is. */
export async function circumstances(
  run: string,
  trainer: Trainer,
  dataset: Dataset,
): Promise<string[]> {
  const provenance: Provenance | undefined = await readProvenance(run);
  if (!provenance) return ["the run has no provenance.json"];
  const notes: string[] = [];
  if (provenance.data !== datasetHash(dataset)) notes.push("the data set is another one");
  const last = provenance.sessions.at(-1);
  if (last && last.adapter !== trainer.gpu.name) {
    notes.push(`the run was on ${last.adapter}, this is ${trainer.gpu.name}`);
  }
  if (last && last.deno !== Deno.version.deno) {
    notes.push(`the run was on Deno ${last.deno}, this is ${Deno.version.deno}`);
  }
  return notes;
}

export interface Agreement {
  readonly name: string;
  readonly elements: number;
  /** Elements whose bits differ. */
  readonly different: number;
  readonly largest: number;
}

/** Runs the stretch and compares the state bit for bit with the checkpoint at its end. */
export async function reproduce(
  trainer: Trainer,
  { from, to, steps }: Stretch,
  onStep: (done: number) => void,
): Promise<Agreement[]> {
  if (from) trainer.restore(await loadCheckpoint(from, trainer.layout));
  for (let i = 0; i < steps; i++) {
    await trainer.runStep();
    // The losses' log must not wrap around unread, and the queue stays short.
    if (i % 4 === 3) await trainer.losses();
    onStep(i + 1);
  }
  const [got, expected] = [await trainer.state(), await loadCheckpoint(to, trainer.layout)];
  const parts = ["params", "ema", "m", "v"] as const satisfies readonly (keyof TrainingState)[];
  return parts.map((name) => {
    const [a, b] = [got[name], expected[name]];
    const [bitsA, bitsB] = [new Uint32Array(a.buffer), new Uint32Array(b.buffer)];
    let different = 0, largest = 0;
    for (let i = 0; i < b.length; i++) {
      if (!padding(trainer, i) && bitsA[i] !== bitsB[i]) {
        different++;
        largest = Math.max(largest, Math.abs(a[i] - b[i]));
      }
    }
    return { name, elements: b.length, different, largest };
  });
}

/** Gaps between parameters are no part of a model's files. */
function padding({ layout }: Trainer, at: number): boolean {
  return paddingOf(layout)[at] === 1;
}

const gaps = new WeakMap<object, Uint8Array>();

function paddingOf(layout: Trainer["layout"]): Uint8Array {
  let mask = gaps.get(layout);
  if (!mask) {
    mask = new Uint8Array(layout.size).fill(1);
    for (const { name } of layout.specs) {
      const { offset, shape } = layout.get(name);
      mask.fill(0, offset, offset + shape.reduce((x, y) => x * y, 1));
    }
    gaps.set(layout, mask);
  }
  return mask;
}
