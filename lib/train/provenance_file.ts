/** provenance.json of a run: which code, kernels, data, device and settings made it. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Dataset } from "../data/dataset.ts";
import type { DeviceProfile } from "../graph/op.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { parseJsonFile } from "../io/json.ts";
import { LIMITS } from "../io/limits.ts";
import { readFileBounded } from "../io/read.ts";
import { planHash, shaderHash } from "../plan/hash.ts";
import type { Plan } from "../plan/plan.ts";
import { tunedChoice } from "../tune/choice_files.ts";
import { commitOf, datasetHash } from "./provenance.ts";
import type { Trainer } from "./trainer.ts";

export const PROVENANCE_NAME = "provenance.json";

const ROOT = new URL("../../", import.meta.url);
const hashOf = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** One start of the run: the first, or a later one that went on. */
export interface Session {
  readonly from_step: number;
  /** Of the program; null outside a git working tree. */
  readonly commit: string | null;
  /** SHA-256 of audit.lock.json: every kernel and Plan of the presets. */
  readonly lock: string | null;
  /** SHA-256 of the Plan of a step, as audit.lock.json has it. */
  readonly plan: string;
  /** SHA-256 of each shader (text, constants, layout) → its file, as audit.lock.json has them. */
  readonly shaders: Readonly<Record<string, string>>;
  /** Adapter with its driver, as WebGPU tells it. */
  readonly adapter: string;
  /** What the Plan was made for: features, limits, kind. */
  readonly device: DeviceProfile;
  /** Whether kernels were chosen by measuring on this machine. */
  readonly tuned: boolean;
  /** Processes that shared the batch. */
  readonly processes: number;
  readonly deno: string;
  readonly packages: Readonly<Record<string, string>>;
  /** Settings and `data` that were given anew when the run went on at `from_step`. */
  readonly changes?: Readonly<Record<string, { readonly from: unknown; readonly to: unknown }>>;
}

export interface Provenance {
  readonly version: 2;
  readonly seed: number;
  readonly config: unknown;
  /** SHA-256 of which slices there are, in which split, with which label. */
  readonly data: string;
  readonly sessions: readonly Session[];
}

const readOr = async (url: URL): Promise<string | undefined> =>
  await Deno.readTextFile(url).catch(() => undefined);

/** The hashes of a Plan and of its shaders, those of audit.lock.json. */
export async function planRecord(plan: Plan): Promise<Pick<Session, "plan" | "shaders">> {
  const shaders: [string, string][] = [];
  for (const shader of plan.shaders) shaders.push([await shaderHash(shader), shader.file]);
  shaders.sort(([a, f], [b, g]) => f < g || f === g && a < b ? -1 : 1);
  return { plan: await planHash(plan), shaders: Object.fromEntries(shaders) };
}

async function session(trainer: Trainer): Promise<Session> {
  const lock = await readOr(new URL("audit.lock.json", ROOT));
  const packages = JSON.parse(await readOr(new URL("deno.json", ROOT)) ?? "{}").imports ?? {};
  return {
    from_step: trainer.step,
    commit: await commitOf() ?? null,
    lock: lock === undefined ? null : hashOf(lock),
    ...await planRecord(trainer.executable.plan),
    adapter: trainer.gpu.name,
    device: trainer.gpu.profile,
    tuned: await tunedChoice(trainer.gpu) !== undefined,
    processes: trainer.group?.size ?? 1,
    deno: Deno.version.deno,
    packages,
  };
}

/** Reads a run's provenance; undefined where it has none, or one that cannot be read. */
export async function readProvenance(run: string): Promise<Provenance | undefined> {
  try {
    const path = join(run, PROVENANCE_NAME);
    return parseJsonFile(await readFileBounded(path, LIMITS.json.bytes), path) as Provenance;
  } catch {
    return undefined;
  }
}

/** SHA-256 of a run's provenance.json, for the text of pictures; undefined where there is none. */
export async function provenanceHash(run: string): Promise<string | undefined> {
  const bytes = await Deno.readFile(join(run, PROVENANCE_NAME)).catch(() => undefined);
  return bytes && hashOf(bytes);
}

/**
 * Writes provenance.json, or adds a session to it where the run goes on.
 *
 * @returns what it says: checkpoints carry it, so that neither is changed unnoticed.
 */
export async function writeProvenance(
  out: string,
  trainer: Trainer,
  dataset: Dataset,
): Promise<Provenance> {
  const before = trainer.step > 0 ? await readProvenance(out) : undefined;
  const { config } = trainer, data = datasetHash(dataset);
  const was = { ...before?.config as Record<string, unknown>, data: before?.data };
  const is: Record<string, unknown> = { ...config, data };
  const changes = Object.fromEntries(
    Object.entries(was).flatMap(([key, from]) =>
      before === undefined || JSON.stringify(from) === JSON.stringify(is[key])
        ? []
        : [[key, { from, to: is[key] }]]
    ),
  );
  const now = { ...await session(trainer), ...Object.keys(changes).length && { changes } };
  const provenance: Provenance = {
    version: 2,
    seed: config.seed,
    ...{ config, data },
    sessions: [...before?.sessions ?? [], now],
  };
  const json = JSON.stringify(provenance, null, 2) + "\n";
  await writeFileAtomic(join(out, PROVENANCE_NAME), json);
  return JSON.parse(json);
}
