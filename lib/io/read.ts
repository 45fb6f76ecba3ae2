/** Reading a file the user named, with its size bounded before a byte of it is in memory. */

import { InputError } from "../errors.ts";

/**
 * The bytes of `path`.
 * @throws InputError if it is missing, not a file, unreadable, or larger than `maxBytes`.
 */
export async function readFileBounded(path: string, maxBytes: number): Promise<Uint8Array> {
  try {
    await requireFile(path, maxBytes);
    return await Deno.readFile(path);
  } catch (error) {
    throw asInputError(error, path);
  }
}

/** @throws InputError where `path` is no file (a device or pipe may never end), or is larger. */
export async function requireFile(path: string, maxBytes: number): Promise<void> {
  const { isDirectory, isFile, size } = await Deno.stat(path);
  if (isDirectory) throw new InputError(`Cannot read "${path}": it is a folder`);
  if (!isFile) throw new InputError(`Cannot read "${path}": it is no regular file`);
  if (size > maxBytes) {
    throw new InputError(`Cannot read "${path}": ${size} bytes, at most ${maxBytes} are accepted`);
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
