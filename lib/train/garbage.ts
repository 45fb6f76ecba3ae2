/**
 * What steps and checkpoints leave behind would stay until V8 sees a reason, and V8 lets tens of
 * megabytes come together first; the task hands out gc.
 */
export class Garbage {
  #collected: number;

  /** Nothing is collected where there is no gc: without `--expose-gc`. */
  constructor(
    readonly gc = (globalThis as { gc?: () => void }).gc,
    readonly now: () => number = () => performance.now(),
  ) {
    this.#collected = now();
  }

  collect(): void {
    this.gc?.();
    this.#collected = this.now();
  }

  /** Some 10 ms, three times a minute. */
  collectNowAndThen(): void {
    if (this.now() - this.#collected > 20_000) this.collect();
  }
}
