/** Reading the files of a checkpoint, each against the SHA-256 that was written down for it. */

import { createHash } from "node:crypto";
import { join, relative } from "node:path";
import { InputError } from "../errors.ts";
import { readFileBounded } from "./read.ts";

/** Reads a file of at most `maxBytes`, as `readFileBounded` does. */
export type ReadBytes = (path: string, maxBytes: number) => Promise<Uint8Array>;

/**
 * Reads files below `folder`; the bytes that are handed on are the bytes that were hashed.
 *
 * @param sha256 name below the folder (with `/`) → SHA-256.
 * @param where the file that says so, for messages.
 * @throws InputError naming a file whose SHA-256 is another one, or is not written down.
 */
export function checkedReader(
  folder: string,
  sha256: Readonly<Record<string, unknown>>,
  where: string,
): ReadBytes {
  return async (path, maxBytes) => {
    const bytes = await readFileBounded(path, maxBytes);
    const name = relative(folder, path).replaceAll("\\", "/");
    const expected = Object.hasOwn(sha256, name) ? sha256[name] : undefined;
    if (typeof expected !== "string") {
      throw new InputError(`${path}: ${join(folder, where)} has no SHA-256 of it`);
    }
    if (createHash("sha256").update(bytes).digest("hex") !== expected) {
      throw new InputError(
        `${path}: its SHA-256 is not the one in ${where}: the file was changed or damaged`,
      );
    }
    return bytes;
  };
}
