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

/** Prefix of parameters in a case's tensors. */
export const PARAMETERS = "param.";
