/** What a device cannot run, in the user's terms. */

import { InputError } from "../errors.ts";

/** How planners and kernels say that a tensor is beyond them. */
const TOO_LARGE = /^Cannot (plan|build|allocate) |^steps over /;

/**
 * Does what lays out a graph, before anything is allocated.
 *
 * @param what of the user's is laid out: "--resolution 1024×1024 with --batch 64".
 * @throws InputError where it is too large for the device, or for any.
 */
export function fitting<T>(what: string, layOut: () => T): T {
  try {
    return layOut();
  } catch (error) {
    if (!(error instanceof Error) || !TOO_LARGE.test(error.message)) throw error;
    throw new InputError(
      `${what} is too large for this GPU: take smaller images or a smaller batch (${error.message})`,
      { cause: error },
    );
  }
}
