/** `audit.lock.json`: hashes of every shader and Plan of the presets, for each kind of device. */

import { InputError } from "../errors.ts";
import type { PlanShader } from "../plan/plan.ts";
import { planHash, shaderHash } from "../plan/hash.ts";
import { lockedPlans } from "./locked_plans.ts";

export const LOCK_NAME = "audit.lock.json";

export interface Lock {
  readonly version: 1;
  /** `seed train software` → SHA-256 of the Plan. */
  readonly plans: Readonly<Record<string, string>>;
  /** SHA-256 of a shader's final text, constants and layout → its file. */
  readonly shaders: Readonly<Record<string, string>>;
}

export async function makeLock(): Promise<Lock> {
  const plans: Record<string, string> = {};
  const shaders = new Map<string, string>();
  for (const [name, plan] of lockedPlans()) {
    plans[name] = await planHash(plan);
    for (const shader of plan.shaders) shaders.set(await shaderHash(shader), shader.file);
  }
  const byFile = [...shaders].sort(([a, f], [b, g]) => f < g || f === g && a < b ? -1 : 1);
  return { version: 1, plans, shaders: Object.fromEntries(byFile) };
}

export const formatLock = (lock: Lock): string => JSON.stringify(lock, null, 2) + "\n";

/** @throws InputError where the text is no lock. */
export function parseLock(text: string, name: string): Lock {
  let lock: Lock;
  try {
    lock = JSON.parse(text);
  } catch (error) {
    throw new InputError(`${name}: no JSON: ${(error as Error).message}`);
  }
  const table = (v: unknown) => v !== null && typeof v === "object" && !Array.isArray(v);
  if (lock?.version !== 1 || !table(lock.plans) || !table(lock.shaders)) {
    throw new InputError(`${name}: not a lock of version 1`);
  }
  return lock;
}

/** Reads the program's own lock. @throws InputError where there is none. */
export async function readLock(root: URL): Promise<Lock> {
  const path = new URL(LOCK_NAME, root);
  const text = await Deno.readTextFile(path).catch((error) => {
    throw new InputError(
      `${LOCK_NAME} cannot be read (${error.message}): ./run audit --update`,
    );
  });
  return parseLock(text, LOCK_NAME);
}

/** What differs, a line each: plans by name, shaders by file. */
export function lockDifferences(saved: Lock, now: Lock): string[] {
  const lines: string[] = [];
  for (const name of new Set([...Object.keys(saved.plans), ...Object.keys(now.plans)])) {
    if (saved.plans[name] !== now.plans[name]) {
      const what = !saved.plans[name] ? "new" : !now.plans[name] ? "gone" : "changed";
      lines.push(`plan "${name}": ${what}`);
    }
  }
  const files = (from: Lock, other: Lock) =>
    Map.groupBy(
      Object.entries(from.shaders).filter(([hash]) => !other.shaders[hash]),
      ([, file]) => file,
    );
  const [gone, added] = [files(saved, now), files(now, saved)];
  for (const file of new Set([...gone.keys(), ...added.keys()])) {
    const count = (table: typeof gone) => table.get(file)?.length ?? 0;
    lines.push(`${file}: ${count(gone)} shaders locked and gone, ${count(added)} not locked`);
  }
  return lines;
}

/** For `openGpu`: refuses every shader that is not in the lock. */
export function lockGuard(lock: Lock): (shader: PlanShader) => Promise<void> {
  return async (shader) => {
    const hash = await shaderHash(shader);
    if (lock.shaders[hash] === shader.file) return;
    throw new InputError(
      `--locked: ${shader.file} as it would run (SHA-256 ${hash.slice(0, 16)}…) is not in ` +
        `${LOCK_NAME}: only the presets are locked`,
    );
  };
}
