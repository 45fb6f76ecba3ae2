/** Guards of the folders that tasks write: no input in them, no link out of them, one writer at a time. */

import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { InputError } from "../errors.ts";
import { asInputError } from "./read.ts";

/** The real place of a path that need not exist: of its nearest folder that does, and the rest. */
function realPlace(path: string, isFirst = true): string {
  const whole = resolve(path);
  try {
    return Deno.realPathSync(whole);
  } catch (error) {
    // `./run` names outputs by their real places: where parents may not be looked at, there are no links.
    const isHidden = error instanceof Deno.errors.NotCapable && !isFirst;
    if (isHidden) return whole;
    if (!(error instanceof Deno.errors.NotFound)) throw asInputError(error, path);
    const parent = dirname(whole);
    return parent === whole ? whole : join(realPlace(parent, false), basename(whole));
  }
}

const holds = (folder: string, path: string): boolean => {
  const way = relative(folder, path);
  return way !== ".." && !/^\.\.[/\\]/.test(way) && !isAbsolute(way);
};

/**
 * Refuses an output folder that is, holds or lies in a folder of inputs, also by way of links: what is
 * written would mix with what is read, or overwrite it.
 *
 * @param option how the user gave it, for messages. @param inputs option → path; undefined where not given.
 * @throws InputError naming both.
 *
 * @example
 * checkOutputFolder("--out", "prepared", { "--dicom": "scans", "--lung-masks": undefined });
 */
export function checkOutputFolder(
  option: string,
  out: string,
  inputs: Readonly<Record<string, string | undefined>>,
): void {
  const place = realPlace(out);
  for (const [name, input] of Object.entries(inputs)) {
    if (input === undefined) continue;
    const source = realPlace(input);
    const how = source === place
      ? "is"
      : holds(place, source)
      ? "holds"
      : holds(source, place)
      ? "lies in"
      : undefined;
    if (how) {
      throw new InputError(
        `${option} ${out} ${how} ${name} ${input}: choose a folder apart from what is read`,
      );
    }
  }
  refuseLinks(option, out, 3);
}

/** Links within an output folder would take what is written elsewhere. */
function refuseLinks(option: string, folder: string, depth: number): void {
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(folder)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw asInputError(error, folder);
  }
  for (const { name, isSymlink, isDirectory } of entries) {
    const path = join(folder, name);
    if (isSymlink) {
      throw new InputError(
        `${option}: ${path} is a link, and links in an output folder are not followed: remove it, ` +
          "or choose another folder",
      );
    }
    if (isDirectory && depth > 0) refuseLinks(option, path, depth - 1);
  }
}

/** The file that is locked while a task writes its folder. */
export const LOCK_NAME = ".lock";

/**
 * Keeps `folder`, which is made if need be, to one writer. The operating system holds the lock and
 * drops it when the process ends, however it ends: none is ever left behind.
 *
 * @param shared for processes that may write side by side (shards); they still exclude all others.
 * @returns what gives the folder free again.
 * @throws InputError while another process holds it.
 *
 * @example
 * using _lock = lockFolder("runs/demo");
 */
export function lockFolder(folder: string, shared = false): Disposable {
  const path = join(folder, LOCK_NAME);
  const isNew = !exists(folder);
  let file: Deno.FsFile;
  try {
    Deno.mkdirSync(folder, { recursive: true });
    file = Deno.openSync(path, { read: true, write: true, create: true });
  } catch (error) {
    throw asInputError(error, path);
  }
  if (!file.tryLockSync(!shared)) {
    const bytes = new Uint8Array(200);
    const length = file.readSync(bytes) ?? 0;
    file.close();
    const who = new TextDecoder().decode(bytes.subarray(0, length)).trim();
    throw new InputError(
      `${folder} is being written by another process${
        who && ` (${who})`
      }: wait for it, or choose ` +
        "another folder",
    );
  }
  file.truncateSync(0);
  file.writeSync(new TextEncoder().encode(`process ${Deno.pid}, ${new Date().toISOString()}\n`));
  return {
    [Symbol.dispose]() {
      file.close();
      if (isNew) removeIfUnused(folder, path);
    },
  };
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A folder made for a task that then wrote nothing. */
function removeIfUnused(folder: string, lock: string): void {
  try {
    if ([...Deno.readDirSync(folder)].some(({ name }) => name !== LOCK_NAME)) return;
    Deno.removeSync(lock);
    Deno.removeSync(folder);
  } catch {
    // Somebody else is at it: then it is not unused.
  }
}
