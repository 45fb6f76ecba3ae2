/** Walks a folder of the user's without leaving it. */

import { isAbsolute, join, relative } from "node:path";
import { asInputError } from "./read.ts";

/** Deeper folders than any data set has. */
const MAX_DEPTH = 32;

export interface WalkOptions {
  /** Told of each link that leads out of the folder, or that cannot be followed: it is passed over. */
  readonly onSkippedLink?: (path: string) => void;
}

/**
 * Every file below `root`, in a fixed order. Names that begin with a dot are passed over. A link is
 * followed where it stays below `root`, each folder once; `root` itself may be a link.
 *
 * @throws InputError where `root`, or a folder in it, cannot be read.
 */
export function* walk(root: string, { onSkippedLink }: WalkOptions = {}): Generator<string> {
  const seen = new Set<string>();
  let top: string;
  try {
    top = Deno.realPathSync(root);
  } catch (error) {
    throw asInputError(error, root);
  }
  const isBelow = (real: string) => {
    const way = relative(top, real);
    return way !== ".." && !/^\.\.[/\\]/.test(way) && !isAbsolute(way);
  };
  function* visit(folder: string, depth: number): Generator<string> {
    let entries: Deno.DirEntry[];
    try {
      if (depth > MAX_DEPTH) throw new Error(`folders nested deeper than ${MAX_DEPTH}`);
      const real = Deno.realPathSync(folder);
      if (seen.has(real)) return;
      seen.add(real);
      entries = [...Deno.readDirSync(folder)];
    } catch (error) {
      throw asInputError(error, folder);
    }
    entries.sort((a, b) => a.name < b.name ? -1 : 1);
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue; // records of our own, .DS_Store and their like
      const path = join(folder, entry.name);
      let { isFile, isDirectory } = entry;
      if (entry.isSymlink) {
        const target = follow(path);
        if (!target || !isBelow(target.real)) {
          onSkippedLink?.(path);
          continue;
        }
        ({ isFile, isDirectory } = target.info);
      }
      if (isDirectory) yield* visit(path, depth + 1);
      else if (isFile) yield path;
    }
  }
  yield* visit(root, 0);
}

/** Undefined for a link to nowhere, or to where this program may not look. */
function follow(path: string): { real: string; info: Deno.FileInfo } | undefined {
  try {
    return { real: Deno.realPathSync(path), info: Deno.statSync(path) };
  } catch {
    return undefined;
  }
}

/** What a data set says of links that were passed over; nothing where there were none. */
export function linkNotes(skipped: readonly string[]): string[] {
  if (skipped.length === 0) return [];
  return [
    `${skipped.length} links lead out of the folder or to nowhere: not followed (${skipped[0]}` +
    `${skipped.length > 1 ? ", …" : ""}); copy what they point to`,
  ];
}
