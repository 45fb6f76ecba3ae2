/** Exit codes of every script: 0 done, 1 a check failed, 2 wrong use or input, 3 no usable GPU. */
export const EXIT = { ok: 0, checkFailed: 1, usage: 2, noGpu: 3 } as const;

/**
 * A mistake in what the user gave: a flag, a file, a configuration. Scripts print its message as one
 * line, without a stack, and exit with code 2. The message names the file (or flag) and the reason.
 */
export class InputError extends Error {
  override name = "InputError";
}

/** No adapter, or one that lacks what the program needs. Scripts exit with code 3. */
export class NoGpuError extends Error {
  override name = "NoGpuError";
}

/** The GPU went away: reset, driver update, out of memory. What was on it is lost. */
export class DeviceLostError extends Error {
  override name = "DeviceLostError";
}

/** A check that the user asked for (verify, audit) did not hold. Scripts exit with code 1. */
export class CheckFailedError extends Error {
  override name = "CheckFailedError";
}
