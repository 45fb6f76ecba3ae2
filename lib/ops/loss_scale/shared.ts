/** loss_scale: what its modules share. */

/** As `torch.amp.GradScaler` has them. */
export interface LossScaleOptions {
  readonly growthFactor: number;
  readonly backoffFactor: number;
  /** Steps in a row without overflow after which the scale grows. */
  readonly growthInterval: number;
  /** Largest global norm of the true gradient, see `gradientClip`. */
  readonly maxNorm?: number;
}

export type LossScaleAttrs = Required<LossScaleOptions>;

/** Elements of the state: scale, growth_tracker, steps skipped, steps taken. */
export const LOSS_SCALE_STATE = 4;
