/** A run that went wrong: noticing it, and finding the first tensor that is no number. */

import { mean } from "../metrics/statistics.ts";
import type { TrainingState } from "./checkpoint.ts";
import type { Trainer } from "./trainer.ts";

/** The loss is no number any more, or grows without bound. */
export class DivergedError extends Error {
  override name = "DivergedError";

  /** @param step the optimizer step whose loss it was. */
  constructor(message: string, readonly step: number) {
    super(message);
  }
}

/** A loss scale below this does not help any more: gradients overflow by themselves. */
const LEAST_SCALE = 2 ** -20;
/** Losses that the judgement of growth rests on. */
const WINDOW = 20;
/** A mean loss this many times that of the first losses counts as diverging. */
const GROWTH = 10;

/** Watches the losses of a run as they come in. */
export class DivergenceWatch {
  readonly #first: number[] = [];
  readonly #last: number[] = [];

  /** @param scale of the loss, with f16. @throws DivergedError */
  checkScale(scale: number | undefined, step: number): void {
    if (scale !== undefined && scale < LEAST_SCALE) {
      throw new DivergedError(`gradients overflow f16 at any loss scale by step ${step}`, step);
    }
  }

  /** @throws DivergedError */
  check(loss: number, step: number): void {
    if (!Number.isFinite(loss)) {
      throw new DivergedError(`the loss is ${loss} at step ${step}`, step);
    }
    if (this.#first.length < WINDOW) this.#first.push(loss);
    this.#last.push(loss);
    if (this.#last.length > WINDOW) this.#last.shift();
    const [before, now] = [mean(this.#first), mean(this.#last)];
    // The first losses of an untrained model are about the variance of its target, often 1.
    if (this.#last.length === WINDOW && now > GROWTH * Math.max(before, 1)) {
      throw new DivergedError(
        `the loss has grown from ${before.toPrecision(3)} to ${now.toPrecision(3)} at step ${step}`,
        step,
      );
    }
  }
}

export interface BadTensor {
  /** Optimizer step, 1 for the first. */
  readonly step: number;
  readonly op: string;
  readonly scope: string;
  readonly phase: string;
  readonly shape: readonly number[];
  readonly index: number;
  readonly value: number;
}

/**
 * Runs again from `state` (or from the start) up to the step before `step`, then dispatch by
 * dispatch, looking at every tensor as it is made. Leaves the trainer in a useless state.
 *
 * @returns the first tensor with a NaN or infinite value; nothing if all are finite.
 */
export async function firstBadTensor(
  trainer: Trainer,
  state: TrainingState | null,
  step: number,
): Promise<BadTensor | undefined> {
  if (state) trainer.restore(state);
  else trainer.initialise();
  // What was logged on the way to the failure is no part of it.
  for (const name of ["losses", "norms"]) {
    const log = trainer.executable.plan.states[name];
    if (log) trainer.executable.write(name, new Float32Array(log.bytes / 4));
  }
  // The step before may have made the weights bad that this one's loss shows.
  while (trainer.step < step - 2) {
    await trainer.runStep();
    if (trainer.step % 16 === 0) await trainer.gpu.idle();
  }
  while (trainer.step < step) {
    for (let i = 0; i < trainer.config.gradient_accumulation_steps; i++) {
      await trainer.prepareMicroStep(i);
      const bad = await runSlowly(trainer);
      if (bad) return { step: trainer.step + 1, ...bad };
      trainer.finishMicroStep(i);
    }
  }
}

async function runSlowly(trainer: Trainer): Promise<Omit<BadTensor, "step"> | undefined> {
  const { executable, layout } = trainer;
  const { dispatches, tensors } = executable.plan;
  // Scaled gradients that overflow are no fault: the step is skipped.
  const scales = trainer.config.precision === "f16";
  for (const [i, { node, op, scope, phase }] of dispatches.entries()) {
    executable.run(i, i + 1);
    if (scales && phase !== "forward" && op !== "adamw") continue;
    if (dispatches[i + 1]?.node === node) continue; // its outputs are not whole yet
    for (let k = 0; tensors[`${node}:${k}`]; k++) {
      const { shape, dtype } = tensors[`${node}:${k}`];
      if (dtype !== "f32" && dtype !== "f16") continue;
      let values: Float32Array = await executable.read(`${node}:${k}`);
      if (values.length === layout.size) values = layout.clearGaps(values);
      const index = values.findIndex((v) => !Number.isFinite(v));
      if (index >= 0) return { op, scope, phase, shape, index, value: values[index] };
    }
  }
}

/** `conv2d "mid_block.resnets.0.conv1" (backward), output [2,16,8,8], is Infinity at …` */
export function describeBadTensor({ step, op, scope, phase, shape, index, value }: BadTensor) {
  const place: number[] = [];
  for (let rest = index, k = shape.length - 1; k >= 0; k--) {
    place.unshift(rest % shape[k]);
    rest = Math.floor(rest / shape[k]);
  }
  return `the first bad tensor is the ${phase} output [${shape}] of ${op} "${scope}" in step ` +
    `${step}: ${value} at [${place}]`;
}
