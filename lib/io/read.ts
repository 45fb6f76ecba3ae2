/** Reading a file the user named, with its size bounded before a byte of it is in memory. */

import { InputError } from "../errors.ts";

/**
 * The bytes of `path`.
 * @throws InputError if it is missing, not a file, unreadable, or larger than `maxBytes`.
 */
export async function readFileBounded(path: string, maxBytes: number): Promise<Uint8Array> {
  try {
    const info = await Deno.stat(path);
    if (info.isDirectory) throw new InputError(`Cannot read "${path}": it is a folder`);
    if (info.size > maxBytes) {
      throw new InputError(
        `Cannot read "${path}": ${info.size} bytes, at most ${maxBytes} are accepted`,
      );
    }
    return await Deno.readFile(path);
  } catch (error) {
    throw asInputError(error, path);
  }
}

/**
 * What the file system says about `path`, as one line for the user. A denied Deno permission and
 * anything that is not about the file pass through unchanged.
 */
export function asInputError(error: unknown, path: string): unknown {
  if (error instanceof Deno.errors.NotFound) {
    return new InputError(`Cannot read "${path}": no such file or folder`);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new InputError(`Cannot read "${path}": permission denied`);
  }
  if (error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.IsADirectory) {
    return new InputError(`Cannot read "${path}": ${error.message}`);
  }
  return error;
}
