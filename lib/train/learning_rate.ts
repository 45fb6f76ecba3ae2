/** Learning rates over a run, under diffusers' names (`optimization.py`, `get_scheduler`). */

export const LR_SCHEDULERS = ["constant", "constant_with_warmup", "linear", "cosine"] as const;
export type LrScheduler = (typeof LR_SCHEDULERS)[number];

export interface LearningRateOptions {
  readonly scheduler: LrScheduler;
  /** The highest rate. */
  readonly lr: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
}

/**
 * The rate that the optimizer uses after `done` optimizer steps, 0 for its first. With warm-up the
 * first step's rate is 0, as it is in diffusers.
 */
export function learningRate(options: LearningRateOptions, done: number): number {
  const { scheduler, lr, warmupSteps, totalSteps } = options;
  if (scheduler === "constant") return lr;
  if (done < warmupSteps) return lr * done / Math.max(1, warmupSteps);
  const rest = Math.max(1, totalSteps - warmupSteps);
  switch (scheduler) {
    case "constant_with_warmup":
      return lr;
    case "linear":
      return lr * Math.max(0, (totalSteps - done) / rest);
    case "cosine":
      return lr * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (done - warmupSteps) / rest)));
  }
}
