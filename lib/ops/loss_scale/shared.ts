/** loss_scale: what its modules share. */

/** Elements of the state: scale, growth_tracker, steps skipped, steps taken. */
export const LOSS_SCALE_STATE = 4;
