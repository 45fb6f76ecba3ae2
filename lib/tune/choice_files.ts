/** What `deno task tune` measured on an adapter, kept in the user's cache folder. */

import { join } from "node:path";
import type { DeviceProfile } from "../graph/op.ts";
import type { Gpu } from "../gpu/device.ts";
import type { PlanOptions } from "../plan/lower.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { parseJsonFile } from "../io/json.ts";
import { LIMITS } from "../io/limits.ts";
import { readFileBounded } from "../io/read.ts";
import { type Choices, chooseBy, hashText } from "./choices.ts";

interface ChoiceFile {
  readonly version: 1;
  readonly adapter: string;
  readonly choices: Choices;
}

/**
 * The cache folder, if the environment names one that this program may know of.
 *
 * `$XDG_CACHE_HOME/lung-ddpm-webgpu`, or `~/.cache/lung-ddpm-webgpu`.
 */
export function cacheFolder(): string | undefined {
  const variable = (name: string) =>
    Deno.permissions.querySync({ name: "env", variable: name }).state === "granted"
      ? Deno.env.get(name)
      : undefined;
  const cache = variable("XDG_CACHE_HOME");
  if (cache) return join(cache, "lung-ddpm-webgpu");
  const home = variable("HOME");
  return home ? join(home, ".cache", "lung-ddpm-webgpu") : undefined;
}

/** The file for an adapter (its name holds the driver's version) with these limits and features. */
export function choicesPath(profile: DeviceProfile, adapter: string): string | undefined {
  const folder = cacheFolder();
  const name = adapter.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);
  const { limits, features, software } = profile;
  const hash = hashText(JSON.stringify([adapter, limits, features, software]));
  return folder && join(folder, "tune", `${name}-${hash}.json`);
}

/** What is stored; nothing where there is no file, or one that is damaged or of another form. */
export async function readChoices(path: string, adapter: string): Promise<Choices> {
  let file: ChoiceFile;
  try {
    file = parseJsonFile(await readFileBounded(path, LIMITS.json.bytes), path) as ChoiceFile;
  } catch {
    return {};
  }
  if (file?.version !== 1 || file.adapter !== adapter || typeof file.choices !== "object") {
    return {};
  }
  return Object.fromEntries(
    Object.entries(file.choices ?? {}).filter(([, choice]) =>
      Array.isArray(choice?.variants) &&
      choice.variants.every((v) =>
        typeof v?.name === "string" && typeof v.kernel === "string" &&
        Number.isFinite(v.milliseconds) && v.milliseconds > 0
      )
    ),
  );
}

export async function writeChoices(
  path: string,
  adapter: string,
  choices: Choices,
): Promise<void> {
  const file: ChoiceFile = { version: 1, adapter, choices };
  await writeFileAtomic(path, JSON.stringify(file, null, 1) + "\n");
}

/**
 * The choice for an adapter from what `deno task tune` stored; undefined (the order in `lower`)
 * where nothing is stored or may be read.
 */
export async function tunedChoice(
  { profile, name, accept }: Pick<Gpu, "profile" | "name" | "accept">,
): Promise<PlanOptions["choose"]> {
  // A device that accepts locked kernels alone is to run what is shipped.
  const path = accept ? undefined : choicesPath(profile, name);
  if (!path) return undefined;
  const choices = await readChoices(path, name);
  return Object.keys(choices).length ? chooseBy(choices) : undefined;
}
