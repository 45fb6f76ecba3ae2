/** Full disks and the like, told in a line instead of a stack. */

import { InputError } from "../errors.ts";

/** What keeps a file from being written and is not the program's fault. */
const REASONS: Record<string, string> = {
  ENOSPC: "no space left on the disk",
  EDQUOT: "the disk quota is used up",
  EFBIG: "files may not be that large here",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EIO: "the disk reports an error",
};

/**
 * An InputError in place of an error of the file system.
 *
 * @param action what was tried, and where: "Cannot save the checkpoint of step 7 in runs/demo".
 * @param comfort what still holds, said after the reason.
 * @returns the error itself where it is something else.
 */
export function asWriteError(error: unknown, action: string, comfort = ""): unknown {
  if (!(error instanceof Error) || error instanceof InputError) return error;
  const code = (error as Error & { code?: string }).code ?? "";
  const reason = REASONS[code] ??
    (/os error \d+/.test(error.message) ? error.message : undefined);
  if (!reason) return error;
  return new InputError(`${action}: ${reason}${comfort && `; ${comfort}`}`, { cause: error });
}
