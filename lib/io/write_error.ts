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

/** A file that could not be written, and why. */
class WriteError extends InputError {
  override name = "InputError";
  constructor(action: string, readonly reason: string, comfort: string, cause: unknown) {
    super(`${action}: ${reason}${comfort && `; ${comfort}`}`, { cause });
  }
}

/**
 * An InputError in place of an error of the file system.
 *
 * @param action what was tried, and where: "Cannot save the checkpoint of step 7 in runs/demo". Whoever
 * knows more of it than the one who tried may call this on what that one threw.
 * @param comfort what still holds, said after the reason.
 * @returns the error itself where it is something else.
 */
export function asWriteError(error: unknown, action: string, comfort = ""): unknown {
  if (error instanceof WriteError) return new WriteError(action, error.reason, comfort, error);
  if (!(error instanceof Error) || error instanceof InputError) return error;
  const code = (error as Error & { code?: string }).code ?? "";
  const reason = REASONS[code] ??
    (/os error \d+/.test(error.message) ? error.message : undefined);
  return reason ? new WriteError(action, reason, comfort, error) : error;
}
