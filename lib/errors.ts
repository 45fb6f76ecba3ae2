/** Exit codes of every script: 0 done, 1 a check failed, 2 wrong use or input, 3 no usable GPU. */
export const EXIT = { ok: 0, checkFailed: 1, usage: 2, noGpu: 3 } as const;

/** Characters of a message, a note or a name that are shown at most. */
export const SHOWN = 300;

/** C0 and C1 controls, line and paragraph separators, marks that turn the direction of writing. */
const HIDDEN =
  // deno-lint-ignore no-control-regex
  /[\0-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

function escaped(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\r") return "\\r";
  if (character === "\t") return "\\t";
  const code = character.codePointAt(0)!.toString(16);
  return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
}

/**
 * Text of a file or a command line as one line that no terminal obeys: what is hidden in it becomes
 * escapes, and of more than `max` characters the middle is left out (a name stands at the beginning
 * of a message, the reason at its end).
 */
export function shown(text: string, max: number = SHOWN): string {
  const plain = cut(text, max).replace(HIDDEN, escaped).toWellFormed();
  return cut(plain, max).toWellFormed();
}

function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const tail = Math.floor(max / 3);
  return `${text.slice(0, max - tail - 1)}…${text.slice(text.length - tail)}`;
}

/** The same for what is of several lines: line ends and tabs stay, and so does the length. */
export function harmless(text: string): string {
  return text.replace(HIDDEN, (c) => c === "\n" || c === "\t" ? c : escaped(c)).toWellFormed();
}

/**
 * A mistake in what the user gave: a flag, a file, a configuration. Scripts print its message as one
 * line, without a stack, and exit with code 2. The message names the file (or flag) and the reason,
 * as {@link shown} has it: whoever made the file may have written part of it.
 *
 * @example
 * ```ts
 * import { InputError, unet2DConfig } from "@lung-ddpm/webgpu";
 * try {
 *   unet2DConfig({ act_fn: "gelu" }, "config.json");
 * } catch (error) {
 *   if (!(error instanceof InputError)) throw error; // its message names the file, the key, the reason
 * }
 * ```
 */
export class InputError extends Error {
  /** `InputError`. */
  override name = "InputError";
  /** The message is cut to 300 characters, and no terminal obeys it. */
  constructor(message: string, options?: ErrorOptions) {
    super(shown(message), options);
  }
}

/**
 * No adapter, or one that lacks what the program needs. Scripts exit with code 3.
 *
 * @example
 * ```ts
 * import { NoGpuError, openGpu } from "@lung-ddpm/webgpu";
 * try {
 *   (await openGpu()).destroy();
 * } catch (error) {
 *   if (!(error instanceof NoGpuError)) throw error; // its message says what to install
 * }
 * ```
 */
export class NoGpuError extends Error {
  /** `NoGpuError`. */
  override name = "NoGpuError";
}

/**
 * The GPU went away: reset, driver update, out of memory. What was on it is lost.
 *
 * @example
 * ```ts
 * import { DeviceLostError, openGpu } from "@lung-ddpm/webgpu";
 * const gpu = await openGpu();
 * try {
 *   await gpu.idle();
 * } catch (error) {
 *   if (!(error instanceof DeviceLostError)) throw error; // open it again and load the last checkpoint
 * }
 * gpu.destroy();
 * ```
 */
export class DeviceLostError extends Error {
  /** `DeviceLostError`. */
  override name = "DeviceLostError";
}

/** A check that the user asked for (verify, audit) did not hold. Scripts exit with code 1. */
export class CheckFailedError extends Error {
  override name = "CheckFailedError";
}

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
  readonly reason: string;
  constructor(action: string, reason: string, comfort: string, cause: unknown) {
    super(`${action}: ${reason}${comfort && `; ${comfort}`}`, { cause });
    this.reason = reason;
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
