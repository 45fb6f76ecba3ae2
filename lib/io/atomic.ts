/** Files appear whole or not at all: written under a temporary name in the same folder, then renamed. */

import { asWriteError } from "../errors.ts";
import { dirname, join } from "node:path";

/** What {@link writeFileAtomic} calls a file that is not whole yet. */
const STRAY = /^\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.tmp$/;

/** Where a file of `folder` is written until it is whole. */
export const temporaryIn = (folder: string): string => join(folder, `.${crypto.randomUUID()}.tmp`);

/**
 * Where `path` is written until it is whole: in its folder, or, where this program may write that
 * file alone, beside it.
 */
export function temporaryFor(path: string): string {
  const { state } = Deno.permissions.querySync({ name: "write", path: dirname(path) });
  if (state === "granted") return temporaryIn(dirname(path));
  const beside = `${path}.unfinished.tmp`; // lib/cli/folders.ts gives the permission for it
  try {
    Deno.removeSync(beside); // of a killed process
  } catch {
    // None there, as nearly always; what else is wrong, opening it will tell.
  }
  return beside;
}

/** Makes the folder that `path` is to be in, if need be. */
export async function makeFolderOf(path: string): Promise<void> {
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
  } catch (error) {
    // This program may write that file alone: `./run` lets it make folders only where they are missing.
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
  }
}

/** Removes what a kill left half-written in `folder`; nothing where there is no such folder. */
export async function removeStrays(folder: string): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(folder)).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  });
  for (const { name } of entries) {
    if (STRAY.test(name)) await Deno.remove(join(folder, name), { recursive: true });
  }
}

/**
 * Makes `folder`, if need be, and lets nobody but its owner look into it: for what shows patients.
 * (Windows has no such modes; there a folder takes the rights of the one it lies in.)
 */
export async function privateFolder(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  if (Deno.build.os !== "windows") await Deno.chmod(folder, 0o700);
}

/**
 * Writes `data`, or its parts one after the other, to `path` through a temporary file; creates
 * missing folders.
 *
 * @param mode of the file, such as 0o600 for what its owner alone may read.
 * @throws InputError where the disk is full, or the like.
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string | Iterable<Uint8Array>,
  mode?: number,
): Promise<void> {
  // A device or a pipe, such as /dev/stdout, is written to and never replaced.
  const there = await Deno.stat(path).catch(() => undefined);
  const isPlain = !there || there.isFile || there.isDirectory;
  const temporary = isPlain ? temporaryFor(path) : undefined;
  try {
    if (isPlain) await makeFolderOf(path);
    const file = await Deno.open(temporary ?? path, { write: true, createNew: isPlain, mode });
    try {
      const whole = typeof data === "string" ? new TextEncoder().encode(data) : data;
      for (const part of whole instanceof Uint8Array ? [whole] : whole) {
        for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
      }
      if (temporary) await file.sync(); // a rename must not reach the disk before the bytes it names
    } finally {
      file.close();
    }
    if (temporary) await Deno.rename(temporary, path);
  } catch (error) {
    if (temporary) await Deno.remove(temporary).catch(() => {});
    throw asWriteError(error, `Cannot write ${path}`);
  }
}
