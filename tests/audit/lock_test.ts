/** The lock: no shader and no Plan of the presets changes without `deno task audit --update`. */

import assert from "node:assert/strict";
import {
  formatLock,
  type Lock,
  lockDifferences,
  lockGuard,
  makeLock,
  parseLock,
  readLock,
} from "../../lib/audit/lock.ts";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { auditedStep, presetConfig } from "../../lib/audit/steps.ts";
import { InputError } from "../../lib/errors.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("audit.lock.json is up to date (else: deno task audit --update, and say why)", async () => {
  assert.deepEqual(lockDifferences(await readLock(ROOT), await makeLock()), []);
});

Deno.test("a change of one shader or Plan shows; the guard refuses what is not locked", async () => {
  const lock = await makeLock();
  assert.deepEqual(lockDifferences(parseLock(formatLock(lock), "lock"), lock), []);
  const [[hash, file]] = Object.entries(lock.shaders);
  const shaders = { ...lock.shaders, [hash.replace(/^./, "z")]: file };
  delete (shaders as Record<string, string>)[hash];
  const plans = { ...lock.plans, "demo train gpu": "0" };
  const changed: Lock = { version: 1, plans, shaders };
  const lines = lockDifferences(changed, lock);
  assert.deepEqual(lines, [
    'plan "demo train gpu": changed',
    `${file}: 1 shaders locked and gone, 1 not locked`,
  ]);

  const { plan } = auditedStep("train", "demo", presetConfig("demo"), AUDIT_PROFILES.software);
  const guard = lockGuard(lock);
  for (const shader of plan.shaders) await guard(shader);
  const [shader] = plan.shaders;
  await assert.rejects(guard({ ...shader, text: shader.text + " " }), InputError);
  await assert.rejects(guard({ ...shader, constants: { WORKGROUP: 3 } }), /--locked: kernels/);
  assert.throws(() => parseLock("{}", "x.json"), /x.json: not a lock of version 1/);
  assert.throws(() => parseLock("{", "x.json"), /x.json: no JSON/);
});
