/** Which files of a folder are a training run's, and which are the user's. */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import { removeStrays } from "../io/atomic.ts";
import { LOCK_NAME } from "../io/output_folder.ts";
import { readJsonObject } from "../nn/pretrained.ts";
import { CHECKPOINTS } from "./checkpoint.ts";
import { runConfig } from "./config.ts";
import { METRICS_NAME } from "./metrics_file.ts";
import { PROVENANCE_NAME } from "./provenance_file.ts";
import { REPORT_NAME } from "./report.ts";
import { RUN_CONFIG_NAME } from "./run.ts";

/** Within a run's folder: what shows patients by name. Only the owner may look into it. */
export const PRIVATE_FOLDER = "private";

const FILES = [RUN_CONFIG_NAME, METRICS_NAME, PROVENANCE_NAME, REPORT_NAME, "slices.pack"];
/** Folder → names that a run writes in it. */
const FOLDERS: Readonly<Record<string, RegExp>> = {
  [CHECKPOINTS]: /^(step-\d{8}|best\.json)$/,
  samples: /^epoch-\d+\.png$/,
};

async function names(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return [];
    }
    throw error;
  }
}

/** Whether the folder's config.json is that of a run. */
async function isRun(out: string): Promise<boolean> {
  const path = join(out, RUN_CONFIG_NAME);
  try {
    const { data: _, ...raw } = await readJsonObject(path);
    runConfig(raw, path);
    return true;
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
}

/**
 * Refuses to begin a run in a folder that holds files of others under the names that a run writes.
 *
 * @throws InputError naming the file.
 */
export async function requireRunFolder(out: string): Promise<void> {
  if (await isRun(out)) return;
  const there = await names(out);
  const clash = FILES.find((name) => there.includes(name));
  const inside = await Promise.all(
    Object.entries(FOLDERS).map(async ([folder, own]) => {
      const found = (await names(join(out, folder))).find((name) => own.test(name));
      return found && join(folder, found);
    }),
  );
  const found = clash ?? inside.find(Boolean);
  if (found) {
    throw new InputError(
      `${out} holds ${found}, which a run would write over, and its ${RUN_CONFIG_NAME} is not that ` +
        "of a run: choose another --out",
    );
  }
}

/**
 * Removes what an earlier run wrote in `out`, and nothing else.
 *
 * @param keepsPacked the packed slices were just made for the run that begins.
 * @returns names of what was left, for the user to know.
 * @throws InputError as {@link requireRunFolder}.
 */
export async function clearRun(out: string, keepsPacked = false): Promise<string[]> {
  await requireRunFolder(out);
  await removeStrays(out);
  for (const name of FILES) await Deno.remove(join(out, name)).catch(ignoreMissing);
  if (!keepsPacked) {
    await Deno.remove(join(out, PRIVATE_FOLDER), { recursive: true }).catch(ignoreMissing);
  }
  for (const [folder, own] of Object.entries(FOLDERS)) {
    const path = join(out, folder);
    await removeStrays(path);
    for (const name of await names(path)) {
      if (own.test(name)) await Deno.remove(join(path, name), { recursive: true });
    }
    await Deno.remove(path).catch(() => {}); // not where something of the user's is in it
  }
  return (await names(out)).filter((name) => ![LOCK_NAME, PRIVATE_FOLDER].includes(name)).sort();
}

/** Removes a folder made for a run that then could not begin; where anything else is in it, it stays. */
export async function abandonRun(out: string): Promise<void> {
  if (await isRun(out)) return;
  await Deno.remove(join(out, PRIVATE_FOLDER), { recursive: true }).catch(ignoreMissing);
  await Deno.remove(join(out, LOCK_NAME)).catch(ignoreMissing);
  await Deno.remove(out).catch(() => {});
}

const ignoreMissing = (error: unknown) => {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
};
