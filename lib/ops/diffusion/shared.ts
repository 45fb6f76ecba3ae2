/** diffusion: what its modules share. */

/** Number of coefficients of a reverse step: kx, ke, clip, lx, le, a, b, c, d, s and two unused. */
export const STEP_COEFFICIENTS = 12;
