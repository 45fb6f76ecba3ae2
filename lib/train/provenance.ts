/** Which code, data and settings a run is of. */

import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Dataset } from "../data/dataset.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/**
 * The commit that the program was checked out at; nothing outside a git working tree. Read from the
 * files of `.git`, since a training run may start no other program.
 */
export async function commitOf(root = ROOT): Promise<string | undefined> {
  const read = (path: string) => Deno.readTextFile(path).then((t) => t.trim(), () => undefined);
  let git = join(root, ".git");
  const link = await read(git); // a work tree's .git is a file that names the folder
  if (link?.startsWith("gitdir: ")) git = resolve(root, link.slice("gitdir: ".length));
  const head = await read(join(git, "HEAD"));
  if (!head?.startsWith("ref: ")) return head;
  const ref = head.slice("ref: ".length);
  const shared = resolve(git, await read(join(git, "commondir")) ?? ".");
  const loose = await read(join(git, ref)) ?? await read(join(shared, ref));
  if (loose) return loose;
  const packed = await read(join(shared, "packed-refs"));
  return packed?.split("\n").find((line) => line.endsWith(` ${ref}`))?.split(" ")[0];
}

/** A hash of which slices there are, in which split, with which label and weight. */
export function datasetHash({ train, val, test }: Dataset): string {
  const splits = { train, val, test };
  const lines = Object.entries(splits).flatMap(([split, records]) =>
    records.map((r) => `${split} ${r.id} ${r.label}${r.weight ? ` ×${r.weight}` : ""}`)
  );
  return sha256(lines.join("\n"));
}
