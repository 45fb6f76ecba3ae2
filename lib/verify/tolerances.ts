import type { Precision } from "../graph/tensor.ts";

/**
 * How close is close. PyTorch's own float32 differs from float64 by 1e-6 on outputs, 1.2e-6 on all
 * gradients together, 2.3e-6 on any one and 8e-7 on losses; another float32 implementation is right
 * within about five times that (ten for a single small gradient tensor).
 */
export const TOLERANCES = {
  output: 5e-6,
  gradient: 2e-5,
  gradients: 6e-6,
  /** Absolute size of gradients that are zero by construction (rounding noise of the sum). */
  zeroGradient: 2e-6,
  /** One scheduler step from the recorded x. */
  schedulerStep: 1e-5,
  /** The same at t < 20, where diffusers' own float32 rounding of 1 − ᾱ reaches 8e-5. */
  schedulerStepSmallT: 2e-4,
  alphas: 1e-7,
  trajectory: 5e-5,
  loss: 1e-5,
  /** Final weights: error of the total update relative to the update. */
  update: 1e-3,
  /** Absolute, of torchmetrics' values. */
  metrics: 1e-4,
} as const;

/**
 * The same where activations are stored as f16. A stored number is off by up to 2^-11, 2^-11/√3 in the
 * square mean; 60 tensors on the way through a UNet, and as many on the way back, add up to √60 and
 * √120 of that if they do so at random: 2.2e-3 and 3.1e-3. Twice that, and ten times for a single
 * small gradient. AdamW's first steps divide each gradient by its own size: of a share ε of them, those
 * smaller than the gradient's error ε, a step may go either way, which makes √(3ε) of the whole.
 */
const HALF_TOLERANCES: Partial<Record<keyof typeof TOLERANCES, number>> = {
  output: 4.4e-3,
  gradient: 3e-2,
  gradients: 6e-3,
  zeroGradient: 2e-3,
  trajectory: 4.4e-3,
  loss: 4.4e-3,
  update: 0.13,
};

export const tolerances = (precision: Precision = "f32"): Record<keyof typeof TOLERANCES, number> =>
  precision === "f16" ? { ...TOLERANCES, ...HALF_TOLERANCES } : TOLERANCES;

/** Prefix of parameters in a case's tensors. */
export const PARAMETERS = "param.";
